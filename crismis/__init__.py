# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""crismis finds, names, repairs and measures cosmic-ray hits in CCD images.

Public names load when they are first used, so that ``import crismis`` stays cheap.
"""

from importlib import import_module

try:
    from .version import version as __version__
except ImportError:  # a source tree that was never built
    __version__ = "0.1.dev0"

# Registers format="crismis" with CCDData.read, which a lazy import could not.
from . import ingest  # noqa: F401

_HOME = {
    "Category": "taxonomy",
    "Catalog": "survey",
    "CosmicRayCCDData": "ccddata",
    "Flag": "ccddata",
    "CrismisError": "errors",
    "Detector": "detectors",
    "IngestError": "errors",
    "ModelError": "errors",
    "categorize_cosmicrays": "events",
    "cosmicray_lacosmic": "identify",
    "cosmicray_learned": "identify",
    "get_detector": "detectors",
    "rates": "physics",
    "read": "ingest",
    "read_all": "ingest",
    "run": "survey",
    "simulate_exposure": "simulate",
}
_ROOMS = ("events", "identify", "ingest", "learning", "physics", "simulate", "survey", "view")

__all__ = sorted([*_HOME, "__version__"])


def __getattr__(name):
    if name in _HOME:
        value = getattr(import_module(f".{_HOME[name]}", __name__), name)
        globals()[name] = value
        return value
    if name in _ROOMS:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *_HOME, *_ROOMS])
