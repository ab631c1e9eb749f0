"""Archive scale: the chain over many files, resumable, into one catalog."""

from .catalog import Catalog
from .engine import Summary, run
from .folder import status
from .schema import BOOKKEEPING, SCHEMA_VERSION, TABLES, arrow_schema

__all__ = [
    "BOOKKEEPING",
    "SCHEMA_VERSION",
    "TABLES",
    "Catalog",
    "Summary",
    "arrow_schema",
    "run",
    "status",
]
