"""Extraction: what the sources hold becomes versions in raw, each table in one transaction."""

from retention.extract.errors import (
    DeletesRefusedError,
    DriftError,
    ExtractError,
    ReconciliationError,
    VolumeError,
)
from retention.extract.ledger import LoadResult
from retention.extract.load import extract_table

__all__ = [
    "DeletesRefusedError",
    "DriftError",
    "ExtractError",
    "LoadResult",
    "ReconciliationError",
    "VolumeError",
    "extract_table",
]
