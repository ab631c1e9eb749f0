# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Every object that the reference shows has an example, and every module says what is public."""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import crismis

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"
EXAMPLES = re.compile(r"^Examples\n-+\n(.*)", re.M | re.S)


def documented_modules():
    pages = "\n".join(page.read_text() for page in REFERENCE.glob("*.rst"))
    return ["crismis", *re.findall(r"automodapi:: (\S+)", pages)]


def public_objects():
    for name in documented_modules():
        module = importlib.import_module(name)
        for public in module.__all__:
            value = getattr(module, public)
            if inspect.isclass(value) or inspect.isroutine(value):
                yield pytest.param(value, id=f"{name}.{public}")


@pytest.mark.parametrize("value", list(public_objects()))
def test_public_object_has_an_example_that_runs(value):
    found = EXAMPLES.search(inspect.getdoc(value) or "")
    assert found, "no Examples section"
    assert ">>> " in found[1], "no doctest in the Examples section"
    assert "+SKIP" not in found[1], "the example is never run"


def test_names_of_the_package_are_documented():
    objects = {getattr(crismis, name) for name in crismis.__all__ if name != "__version__"}
    shown = set()
    for name in documented_modules()[1:]:
        module = importlib.import_module(name)
        shown |= {id(getattr(module, public)) for public in module.__all__}
    assert {value for value in objects if id(value) not in shown} == set()


def test_all_names_exist_and_are_sorted_out():
    for info in pkgutil.walk_packages(crismis.__path__, "crismis."):
        if info.name.endswith(("__main__", "setup_package", "conftest", "version")):
            continue
        module = importlib.import_module(info.name)
        names = getattr(module, "__all__", [])
        assert len(set(names)) == len(names), info.name
        assert all(hasattr(module, name) for name in names), info.name
