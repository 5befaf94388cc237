"""Signs of life of the processes that answer no requests: a key in the cache that each renews, and that expires.

Only for showing: nothing is decided by it. That ticks run is known from their ledger.
"""

from datetime import datetime

from django.core.cache import cache
from redis.exceptions import RedisError

SILENT_AFTER_S = 45
_KEPT_S = 3600
_RENEW_S = 5
_renewed: dict[str, datetime] = {}


def beat(kind: str, now: datetime) -> None:
    """Say that a process of this kind is alive, every few seconds at most. Without a cache it does nothing."""
    if kind in _renewed and (now - _renewed[kind]).total_seconds() < _RENEW_S:
        return
    _renewed[kind] = now
    try:
        cache.set(f"portal:pulse:{kind}", now.timestamp(), _KEPT_S)
    except (RedisError, OSError):
        return


def age_s(kind: str, now: datetime) -> float | None:
    """Seconds since such a process was heard of; None if none was, or the cache is away."""
    try:
        at = cache.get(f"portal:pulse:{kind}")
    except (RedisError, OSError):
        return None
    return None if at is None else now.timestamp() - at
