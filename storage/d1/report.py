"""What an import kept and refused, and why: ids and reasons, never what people said."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

#: Ids that are shown as they are. Another one could say anything; its place is shown instead.
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
#: How many ids stand behind a reason in the text; the JSON has them all.
SHOWN_IDS = 8


@dataclass(slots=True)
class TableReport:
    """`refused` and `notes` are ids by reason; a note is about a row that was kept."""

    kept: int = 0
    already_there: int = 0
    refused: dict[str, list[str]] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)
    unknown_columns: list[str] = field(default_factory=list)
    missing: bool = False

    @property
    def refusals(self) -> int:
        """How many rows were refused."""
        return sum(map(len, self.refused.values()))

    def refuse(self, row_id: str, reason: str) -> None:
        """Count a row that isn't kept."""
        self.refused.setdefault(reason, []).append(row_id)

    def note(self, row_id: str, reason: str) -> None:
        """Say something of a row that is kept."""
        self.notes.setdefault(reason, []).append(row_id)


@dataclass(slots=True)
class Report:
    """Table by table, in the order of reading."""

    tables: dict[str, TableReport] = field(default_factory=dict)
    dry_run: bool = False

    @property
    def refusals(self) -> int:
        """How many rows were refused in all."""
        return sum(table.refusals for table in self.tables.values())

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "dry_run": self.dry_run,
            "refused": self.refusals,
            "tables": {
                name: {
                    "kept": table.kept,
                    "already_there": table.already_there,
                    "refused": _listed(table.refused),
                    "notes": _listed(table.notes),
                    "unknown_columns": table.unknown_columns,
                    "missing": table.missing,
                }
                for name, table in self.tables.items()
            },
        }

    def lines(self) -> Iterator[str]:
        """For people."""
        if self.dry_run:
            yield "Nothing was stored (--dry-run). This is what would be:"
        for name, table in self.tables.items():
            if table.missing:
                yield f"{name}: the export has no such table"
                continue
            yield (
                f"{name}: {table.kept} kept, {table.already_there} already there, "
                f"{table.refusals} refused"
            )
            for reason, ids in table.refused.items():
                yield f"  refused: {reason}: {_shown(ids)}"
            for reason, ids in table.notes.items():
                yield f"  note: {reason}: {_shown(ids)}"
            if table.unknown_columns:
                yield f"  left out, unknown columns: {', '.join(table.unknown_columns)}"


def shown_id(row_id: Any, place: int) -> str:
    """How a row is named in a report: its id, or `#12` for the twelfth that was read."""
    return row_id if isinstance(row_id, str) and _ID.fullmatch(row_id) else f"#{place}"


def _listed(by_reason: dict[str, list[str]]) -> list[dict[str, Any]]:
    return [{"reason": reason, "ids": ids} for reason, ids in by_reason.items()]


def _shown(ids: list[str]) -> str:
    more = f" and {len(ids) - SHOWN_IDS} more" if len(ids) > SHOWN_IDS else ""
    return ", ".join(ids[:SHOWN_IDS]) + more
