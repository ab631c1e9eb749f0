"""The exceptions crismis raises on purpose, each naming the thing and the remedy."""

__all__ = ["CatalogError", "CrismisError", "IngestError", "ModelError"]


class CrismisError(Exception):
    """Base of every exception that crismis raises on purpose.

    Examples
    --------
    >>> import numpy as np
    >>> import crismis
    >>> try:
    ...     crismis.cosmicray_learned(np.ones((32, 32)), gain=1.0, readnoise=3.0, model="none.crm")
    ... except crismis.CrismisError as error:
    ...     print(type(error).__name__)
    ...
    ModelError
    """


class IngestError(CrismisError, OSError):
    """A file that cannot be read as an image.

    Parameters
    ----------
    path : path-like
        The file.
    reason : str
        What is wrong with it.
    remedy : str, optional
        What the user can do about it.

    Examples
    --------
    >>> import crismis
    >>> try:
    ...     crismis.read("missing.fits")
    ... except crismis.IngestError as error:
    ...     print(error.path, "-", error.reason)
    ...
    missing.fits - there is no such file
    """

    def __init__(self, path, reason, remedy=""):
        self.path = str(path)
        self.reason = reason
        self.remedy = remedy
        super().__init__(f"{path}: {reason}" + (f" ({remedy})" if remedy else ""))

    def __reduce__(self):
        return type(self), (self.path, self.reason, self.remedy)


class ModelError(CrismisError, ValueError):
    """A model file that is damaged, of an unknown version, or made for another task.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import crismis
    >>> from crismis.network import load_model
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "damaged.crm"
    >>> _ = path.write_bytes(b"not a model")
    >>> try:
    ...     load_model(path)
    ... except crismis.ModelError:
    ...     print("make the model again, or get another copy")
    ...
    make the model again, or get another copy
    """


class CatalogError(CrismisError, ValueError):
    """A catalog that is missing, damaged, in use, or of an unknown schema version.

    Examples
    --------
    >>> import tempfile
    >>> from crismis import Catalog
    >>> from crismis.errors import CatalogError
    >>> try:
    ...     Catalog(tempfile.mkdtemp())
    ... except CatalogError:
    ...     print("no catalog there")
    ...
    no catalog there
    """
