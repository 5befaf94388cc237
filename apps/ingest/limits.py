"""How much a key may send: a token bucket in Valkey that all processes share, taken from in chunks.

One question to Valkey leases tokens for a second at most, so that nearly every request is settled in this process.
Over any time t no more than rate·t + burst pass, and at most one chunk for each process. While Valkey is away each
web process grants its share of the rate by itself.
"""

import math
import threading
import time
from dataclasses import dataclass, field
from functools import lru_cache

import structlog
from django.conf import settings
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from apps.core.refusal import Refused
from apps.ingest.token_bucket import NEARLY_FULL, Answer, Bucket, Lease, Limit, per_minute

log = structlog.get_logger("portal.limits")
PATIENCE_S = 0.25
AWAY_S = 2.0
LONGEST_WAIT_S = 60
MOST_KEYS = 10_000
# The arithmetic of token_bucket.Bucket.ask, by the clock of the server that all ask. A test holds one to the other.
_ASK = """
local rate, burst, wanted, chunk, back = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]),
  tonumber(ARGV[5])
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local held = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens, at = tonumber(held[1]) or burst, tonumber(held[2]) or now
tokens = math.min(burst, tokens + math.max(0, now - at) * rate + back)
local granted, wait, dry = 0, 0, 0
local needed = math.min(wanted, burst * tonumber(ARGV[6]))
if tokens >= needed then
  granted = math.max(wanted, math.floor(math.min(tokens, chunk)))
  tokens = tokens - granted
else
  wait, dry = (needed - tokens) / rate, math.max(0, 1 - tokens) / rate
end
redis.call('HSET', KEYS[1], 'tokens', string.format('%.17g', tokens), 'at', string.format('%.6f', now))
redis.call('EXPIRE', KEYS[1], math.ceil((burst - tokens) / rate) + 60)
return {granted, string.format('%.6f', wait), string.format('%.6f', dry)}
"""


class Throttled(Refused):
    """429: come again in `retry_after_s`. `categories` are the SDKs' words for what they hold back until then (none:
    everything), `scope` theirs for whose limit it is.
    """

    status = 429

    def __init__(
        self,
        code: str,
        message: str,
        retry_after_s: int,
        categories: tuple[str, ...] = (),
        scope: str = "key",
    ) -> None:
        super().__init__(code, message, "sentry_key")
        self.retry_after_s = retry_after_s
        self.categories = categories
        self.scope = scope

    @property
    def headers(self) -> list[tuple[str, str]]:
        """For everybody, and in the grammar of the SDKs."""
        wait, kinds = str(self.retry_after_s), ";".join(self.categories)
        return [("Retry-After", wait), ("X-Sentry-Rate-Limits", f"{wait}:{kinds}:{self.scope}")]


class RateLimited(Throttled):
    """The key has sent more than its limit lets pass."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("rate_limited", "this key has sent more events than it may", retry_after_s)


@dataclass
class _Held:
    """What this process holds of one key: its lease, and the bucket of its own for while Valkey is away."""

    lease: Lease = field(default_factory=Lease)
    own: Bucket | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass
class _Link:
    """Until when Valkey is not asked again, since it did not answer."""

    away_until: float = 0.0


_held: dict[int, _Held] = {}
_link = _Link()


def take(key_id: int, events: int, rate_per_minute: int | None = None) -> None:
    """Count `events` against a key's limit (None: the installation's). Raises RateLimited."""
    held = _held.get(key_id) or _first_seen(key_id)
    now = time.monotonic()
    with held.lock:
        if held.lease.take(events, now):
            return
        if now < held.lease.dry_until:
            raise RateLimited(_seconds(held.lease.dry_until - now))
        limit = _limit(rate_per_minute or settings.INGEST_RATE_PER_MINUTE)
        answer = _ask(key_id, held, events, limit, now)
        if not held.lease.renew(events, answer, now):
            raise RateLimited(_seconds(answer.wait_s))


def forget() -> None:
    """Hold nothing, and ask Valkey again at once."""
    _held.clear()
    _link.away_until = 0.0
    _limit.cache_clear()
    _client.cache_clear()


def _first_seen(key_id: int) -> _Held:
    if len(_held) >= MOST_KEYS:
        _held.clear()
    return _held.setdefault(key_id, _Held())


def _seconds(wait_s: float) -> int:
    """Whole seconds, as headers say them; a limit that was raised meanwhile is noticed within a minute."""
    return min(max(math.ceil(wait_s), 1), LONGEST_WAIT_S)


@lru_cache(maxsize=1024)
def _limit(events_per_minute: int) -> Limit:
    return per_minute(events_per_minute, settings.INGEST_BURST_S)


@lru_cache(maxsize=1)
def _client() -> Redis:
    """Apart from the cache's own, whose patience would hold the few threads that answer requests."""
    return Redis.from_url(
        settings.CACHES["default"]["LOCATION"],
        socket_timeout=PATIENCE_S,
        socket_connect_timeout=PATIENCE_S,
        retry=Retry(NoBackoff(), 0),
    )


def _ask(key_id: int, held: _Held, events: int, limit: Limit, now: float) -> Answer:
    """From the shared bucket, handing back what the last lease left; while that is away from one of our own."""
    back = held.lease.left
    if now >= _link.away_until:
        try:
            return _ask_valkey(key_id, events, limit, back)
        except (RedisError, OSError) as error:
            _link.away_until = time.monotonic() + AWAY_S
            log.warning("Valkey away: each process limits by itself", error=type(error).__name__)
    share = limit.share(settings.WEB_WORKERS)
    if held.own is None:
        held.own = Bucket(min(share.burst, max(1.0, share.rate)), now)
    return held.own.ask(events, share, now=now, chunk=share.chunk, back=back)


def name_of(key_id: int) -> str:
    """Where Valkey keeps the bucket of a key."""
    return f"{settings.CACHES['default'].get('KEY_PREFIX', '')}:ingest:bucket:{key_id}"


def _ask_valkey(key_id: int, events: int, limit: Limit, back: int) -> Answer:
    given = (limit.rate, limit.burst, events, limit.chunk, back, NEARLY_FULL)
    granted, wait, dry = _client().register_script(_ASK)(keys=[name_of(key_id)], args=given)
    return Answer(int(granted), float(wait), float(dry))
