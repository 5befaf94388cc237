"""Distinct users out of tables by day, at a cost that has an end.

A user key is the beginning of a keyed hash, so the users below a fixed key are a fair sample of all. Few rows are
counted exactly; of more, the users of one sixteenth or one sixty-fourth of all keys are counted and multiplied, which
an index of those rows alone serves.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

SAMPLE_END = "10000000-0000-0000-0000-000000000000"  # of a sixteenth: what the indexes hold
_SMALL_END = "04000000-0000-0000-0000-000000000000"
# Rows of the small sample up to which all rows are counted, and up to which a sixteenth is.
EXACT_BELOW = 300
SIXTEENTH_BELOW = 4_000


@dataclass(frozen=True)
class Estimate:
    """A number of users. `within` is the relative standard error of an estimate, 0 of a count."""

    n: int
    within: float = 0.0

    @property
    def exact(self) -> bool:
        """Whether everybody was counted."""
        return self.within == 0


def estimate(table: str, where: str, given: Sequence[Any]) -> Estimate:
    """Distinct `user_key` of a table's rows. `table` and `where` come from the code; values stand in `given`."""
    return estimates(table, (), where, given).get((), Estimate(0))


def estimates(
    table: str, by: Sequence[str], where: str, given: Sequence[Any]
) -> dict[tuple[str, ...], Estimate]:
    """The same for each value of some columns; they are counted all or estimated all, in one query."""
    rows = f"FROM {table} WHERE {where}"  # names of our own
    with connection.cursor() as cursor:
        cursor.execute(_sql(rows, ", ".join((*by, "user_key")), by), [*given] * 4)
        found = cursor.fetchall()
    return {tuple(row[:-2]): scaled(row[-1], row[-2]) for row in found}


def _sql(rows: str, columns: str, by: Sequence[str]) -> str:
    """One of three branches runs: the other two are ruled out before they read a row."""
    branches = " UNION ALL ".join(
        f"(SELECT DISTINCT {columns} {rows}{bound} AND (SELECT one_in FROM size) = {one_in})"  # noqa: S608
        for one_in, bound in ((1, ""), (16, _below(SAMPLE_END)), (64, _below(_SMALL_END)))
    )
    grouped = f"GROUP BY {', '.join(by)}" if by else "HAVING count(*) > 0"
    return (
        f"WITH size AS MATERIALIZED (SELECT CASE WHEN count(*) <= {EXACT_BELOW} THEN 1 "  # noqa: S608
        f"WHEN count(*) <= {SIXTEENTH_BELOW} THEN 16 ELSE 64 END AS one_in {rows}{_below(_SMALL_END)}) "
        f"SELECT {', '.join((*by, '(SELECT one_in FROM size)', 'count(*)'))} FROM ({branches}) AS people {grouped}"
    )


def _below(end: str) -> str:
    return f" AND user_key < '{end}'"


def scaled(n: int, one_in: int) -> Estimate:
    """What a sample of `n` users, one in so many, says: the whole, give or take √((1 − 1 ÷ one_in) ÷ n) of it."""
    return Estimate(n * one_in, math.sqrt((1 - 1 / one_in) / max(n, 1)))
