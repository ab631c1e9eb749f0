"""Doctests draw without a display and leave no figures open."""

import matplotlib
import pytest

matplotlib.use("agg")
collect_ignore_glob = ["*/setup_package.py"]  # needs setuptools, which users may lack


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")
