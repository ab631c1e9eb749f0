"""Sphinx configuration: the field's shared settings, and what differs from them."""

import builtins
import datetime
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sphinx_astropy.conf.v2 import *  # noqa: F403
from sphinx_astropy.conf.v2 import exclude_patterns, extensions, html_theme_options

import crismis

HERE = Path(__file__).parent

project = "crismis"
author = "The crismis developers"
copyright = f"{datetime.date.today().year}, {author}"
version = release = crismis.__version__

extensions.remove("sphinx_astropy.ext.missing_static")
extensions += ["sphinx_design", "sphinx_gallery.gen_gallery"]
try:
    import enchant  # noqa: F401
    import sphinxcontrib.spelling  # noqa: F401
except ImportError:  # spelling is checked where the enchant library is installed
    pass
else:
    extensions.append("sphinxcontrib.spelling")
spelling_lang = "en_GB"
spelling_word_list_filename = "spelling_wordlist.txt"
spelling_show_suggestions = True
spelling_exclude_patterns = ["api/*", "reference/*", "sg_execution_times.rst", "gen_modules/*"]

exclude_patterns += [
    "examples",
    "scripts",
    "gallery_template",
    "_templates",
    "sg_execution_times.rst",
]

# -- References ---------------------------------------------------------------------------------

nitpicky = True

OUTSIDE = {
    "python": "https://docs.python.org/3/",
    "numpy": "https://numpy.org/doc/stable/",
    "scipy": "https://docs.scipy.org/doc/scipy/",
    "matplotlib": "https://matplotlib.org/stable/",
    "astropy": "https://docs.astropy.org/en/stable/",
    "ccdproc": "https://ccdproc.readthedocs.io/en/latest/",
    "photutils": "https://photutils.readthedocs.io/en/stable/",
    "regions": "https://astropy-regions.readthedocs.io/en/stable/",
    "sklearn": "https://scikit-learn.org/stable/",
    "dask": "https://docs.dask.org/en/stable/",
    "distributed": "https://distributed.dask.org/en/stable/",
    "pyarrow": "https://arrow.apache.org/docs/",
    "pandas": "https://pandas.pydata.org/docs/",
}


def fetch_inventory(name):
    """Save an outside project's inventory; `None` where it cannot be had."""
    path = HERE / "_build" / "inventories" / f"{name}.inv"
    try:
        with urllib.request.urlopen(f"{OUTSIDE[name]}objects.inv", timeout=5) as answer:
            content = answer.read()
    except (OSError, ValueError):
        return None
    if not content.startswith(b"# Sphinx inventory"):
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return str(path)


with ThreadPoolExecutor(len(OUTSIDE)) as pool:
    inventories = dict(zip(OUTSIDE, pool.map(fetch_inventory, OUTSIDE), strict=True))
intersphinx_mapping = {
    name: (OUTSIDE[name], path) for name, path in inventories.items() if path is not None
}

# The one rule for outside references: resolved above where the inventory could be had, ignored
# where not. A wrong reference to anything of crismis is always an error.
OUTSIDE_NAMES = "|".join(
    sorted({*OUTSIDE, "astroscrappy", "skimage", "typer", *dir(builtins), *sys.stdlib_module_names})
)
nitpick_ignore_regex = [(r"py:.*|std:.*", rf"({OUTSIDE_NAMES})(\..*)?")]


def resolve_public_name(app, env, node, contnode):
    """Lead ``crismis.name`` to the page of the module that the name lives in."""
    head, _, rest = node.get("reftarget", "").partition(".")
    name, _, member = rest.partition(".")
    home = crismis._HOME.get(name)
    if node.get("refdomain") != "py" or head != "crismis" or home is None:
        return None
    target = ".".join(filter(None, ("crismis", home, name, member)))
    python = env.get_domain("py")
    return (
        python.resolve_any_xref(env, node["refdoc"], app.builder, target, node, contnode)[0][1]
        if python.find_obj(env, None, None, target, None)
        else None
    )


# -- Pages ----------------------------------------------------------------------------------------

numpydoc_xref_param_type = False
automodsumm_inherited_members = False
copybutton_exclude = ".linenos, .gp, .go"

html_theme_options.update(
    {
        "logo": {"text": "crismis"},
        "navigation_with_keys": False,
        "show_prev_next": True,
        "navigation_depth": 3,
        "show_nav_level": 1,
    }
)
html_title = f"crismis {release}"
html_static_path = ["_static"]
html_css_files = ["crismis.css"]
html_sidebars = {page: [] for page in ("index", "getting_started", "changes")}

plot_formats = [("png", 110)]
plot_include_source = False
plot_html_show_formats = False
plot_html_show_source_link = False
plot_rcparams = {"savefig.bbox": "tight", "figure.constrained_layout.use": True}
plot_apply_rcparams = True

sphinx_gallery_conf = {
    "examples_dirs": ["examples"],
    "gallery_dirs": ["tutorials"],
    "filename_pattern": r"/\d\d_",
    "copyfile_regex": r".*index\.rst",
    "abort_on_example_error": True,
    "show_memory": False,
    "min_reported_time": 1e9,
    "download_all_examples": False,
    "remove_config_comments": True,
    "within_subsection_order": "FileNameSortKey",
    "write_computation_times": False,
    "capture_repr": (),
    "matplotlib_animations": False,
}

# -- Links ----------------------------------------------------------------------------------------

linkcheck_timeout = 20
linkcheck_retries = 2
linkcheck_anchors = False
linkcheck_ignore = [r"https://doi\.org/.*"]  # publishers refuse robots


def setup(app):
    app.connect("missing-reference", resolve_public_name, priority=400)
