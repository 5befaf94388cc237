"""Tables as CSV that a spreadsheet opens without running anything in it."""

import csv
import io
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from apps.reports.analytics.block import Block, Row

# What a spreadsheet takes for the beginning of a formula (OWASP, CSV injection), also after blanks.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def written(block: Block, rows: Iterable[Row]) -> str:
    """All columns, RFC 4180; times in ISO 8601 UTC, "no data" as an empty cell."""
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow([column.name for column in block.columns])
    table.writerows([[safe(row[column.name]) for column in block.columns] for row in rows])
    return out.getvalue()


def safe(value: Any) -> str | int | float:
    """One cell. Text that would be a formula begins with an apostrophe; numbers stay numbers."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if isinstance(value, list):
        return " ".join(map(str, value))
    text = str(value).replace("\x00", "")
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text
