"""Lists as files: CSV that a spreadsheet opens without running anything, or JSON."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from starlette.responses import Response

from dashboard.api.problem import NO_STORE

#: Rows of one export; a business with more takes them by pages of the list.
MAX_ROWS = 20_000

#: A cell that begins so is a formula to Excel, LibreOffice or Google Sheets
#: (https://owasp.org/www-community/attacks/CSV_Injection); full-width forms are read as these too.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def safe_cell(value: Any) -> str:
    """The text of a cell, which no spreadsheet takes for a formula: an apostrophe before it says
    "text", as when one types it."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def csv_file(name: str, columns: Mapping[str, str], rows: Iterable[Mapping[str, Any]]) -> Response:
    """`columns`: key of a row → heading. Semicolons and a byte order mark: what a French Excel
    opens in columns and with its accents."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=";", quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(columns.values())
    for row in rows:
        writer.writerow([safe_cell(row.get(key)) for key in columns])
    return Response(
        out.getvalue().encode("utf-8-sig"),
        headers={**NO_STORE, "content-disposition": f'attachment; filename="{name}.csv"'},
        media_type="text/csv",
    )


def json_file(name: str, noun: str, rows: Sequence[Mapping[str, Any]]) -> Response:
    """The same rows as the API's lists show them."""
    return Response(
        msgspec.json.encode({"success": True, noun: rows}),
        headers={**NO_STORE, "content-disposition": f'attachment; filename="{name}.json"'},
        media_type="application/json",
    )
