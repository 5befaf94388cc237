"""Distinct users out of tables by day, at a cost that has an end.

A user key is the beginning of a keyed hash, so any sixteenth of all keys is a fair sample. Few rows are counted
exactly; of many, the sixteenth below a fixed key is counted and multiplied, which an index of those rows alone serves.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

SAMPLE_END = "10000000-0000-0000-0000-000000000000"
ONE_IN = 16
# Rows of the sample up to which all rows are counted: sixteen times as many, on the average.
EXACT_BELOW = 3_000


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
    sample = f"FROM {table} WHERE {where} AND user_key < '{SAMPLE_END}'"
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH taken AS MATERIALIZED (SELECT user_key {sample}) "  # noqa: S608 - names of our own
            "SELECT few, CASE WHEN few "
            f"THEN (SELECT count(*) FROM (SELECT DISTINCT user_key FROM {table} WHERE {where}) AS everybody) "
            "ELSE (SELECT count(DISTINCT user_key) FROM taken) END "
            f"FROM (SELECT count(*) <= {EXACT_BELOW} AS few FROM taken) AS size",
            [*given, *given],
        )
        few, n = cursor.fetchone()
    return Estimate(n) if few else scaled(n)


def scaled(n: int) -> Estimate:
    """What a sample of `n` users says: the whole, give or take √((16 − 1) ÷ (16 · n)) of it."""
    return Estimate(n * ONE_IN, math.sqrt((1 - 1 / ONE_IN) / max(n, 1)))
