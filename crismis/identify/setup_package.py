# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""How the kernels of this room are compiled."""

import sys

from setuptools import Extension


def get_extensions():
    """Return the extension with the flags that let loops become vector code."""
    here = "crismis/identify"
    flags = [] if sys.platform == "win32" else ["-O3", "-fno-math-errno", "-fno-trapping-math"]
    headers = ("judge.h", "judge_body.h", "measure.h", "measure_body.h", "stars.h", "words.h")
    return [
        Extension(
            "crismis.identify._kernels",
            [f"{here}/_kernels.pyx"],
            include_dirs=[f"{here}/src"],
            depends=[f"{here}/src/{n}" for n in headers],
            extra_compile_args=flags,
        )
    ]
