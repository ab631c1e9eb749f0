# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Make builds reproducible where ``SOURCE_DATE_EPOCH`` is set; the rest is in pyproject.toml."""

import gzip
import io
import os
import sys
import tarfile

from setuptools import setup
from setuptools.command.sdist import sdist

EPOCH = os.environ.get("SOURCE_DATE_EPOCH")


def normalize(path, time):
    """Rewrite a tar.gz: entries in order, all of one time and no one's."""
    with tarfile.open(path) as archive:
        entries = [
            (entry, archive.extractfile(entry).read() if entry.isfile() else b"")
            for entry in sorted(archive.getmembers(), key=lambda entry: entry.name)
        ]
    with (
        open(path, "wb") as file,
        gzip.GzipFile("", "wb", mtime=time, fileobj=file) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for entry, content in entries:
            entry.mtime, entry.pax_headers = time, {}
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
            archive.addfile(entry, io.BytesIO(content))


class Reproducible(sdist):
    """An archive that depends on the files alone."""

    def make_archive(self, *args, **kwargs):
        path = super().make_archive(*args, **kwargs)
        if EPOCH:
            normalize(path, int(EPOCH))
        return path


if EPOCH and sys.platform != "win32":
    # What is meant for debuggers names the folder of the build.
    os.environ["CFLAGS"] = os.environ.get("CFLAGS", "") + " -g0"

setup(cmdclass={"sdist": Reproducible})
