"""What the door refused and which keys it heard, counted in this process and written every few seconds.

The thread that commits the inbox writes them, so that no request waits for it. A process that ends loses the
counts of its last seconds, never an event.
"""

import threading
from collections import Counter
from collections.abc import Mapping
from datetime import date

import psycopg

from apps.ingest import counts
from apps.ingest.batch import known_type
from apps.projects import key_use


class Tally:
    """Counts since the last flush."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._refused: Counter[counts.Key] = Counter()
        self._used: Counter[tuple[int, date]] = Counter()

    def used(self, key_id: int, day: date) -> None:
        """One request with this key."""
        with self._lock:
            self._used[key_id, day] += 1

    def refused(self, project_id: int, items: Mapping[str, int], outcome: str, day: date) -> None:
        """Items that were not taken, by type."""
        with self._lock:
            for kind, n in items.items():
                self._refused[day, project_id, known_type(kind), outcome] += n

    def forget(self) -> None:
        """Back to having counted nothing."""
        with self._lock:
            self._refused.clear()
            self._used.clear()

    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (self._refused or self._used)

    def flush(self, connection: psycopg.Connection) -> None:
        """Write all in one transaction. Raises psycopg.Error; then nothing was written, and all is kept for later."""
        with self._lock:
            refused, used = self._refused, self._used
            self._refused, self._used = Counter(), Counter()
        try:
            with connection.transaction(), connection.cursor() as cursor:
                counts.add(cursor, refused)
                key_use.add(cursor, used)
        except BaseException:
            with self._lock:
                self._refused.update(refused)
                self._used.update(used)
            raise


tally = Tally()
