"""Taking over the data of the mission's earlier service, from an export of its D1 database."""

from storage.d1.export import Export, open_export
from storage.d1.report import Report, TableReport
from storage.d1.takeover import Takeover

__all__ = ["Export", "Report", "TableReport", "Takeover", "open_export"]
