"""The exceptions crismis raises on purpose, each naming the thing and the remedy."""

__all__ = ["CatalogError", "CrismisError", "IngestError", "ModelError"]


class CrismisError(Exception):
    """Base of every exception that crismis raises on purpose."""


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
    """

    def __init__(self, path, reason, remedy=""):
        self.path = str(path)
        self.reason = reason
        self.remedy = remedy
        super().__init__(f"{path}: {reason}" + (f" ({remedy})" if remedy else ""))

    def __reduce__(self):
        return type(self), (self.path, self.reason, self.remedy)


class ModelError(CrismisError, ValueError):
    """A model file that is damaged, of an unknown version, or made for another task."""


class CatalogError(CrismisError, ValueError):
    """A catalog that is missing, damaged, in use, or of an unknown schema version."""
