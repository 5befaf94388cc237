"""Where the embedded servers keep their files, and the addresses that follow from it.

All of it is computed, never asked of a running server: the settings need the addresses before any server
exists.
"""

import hashlib
import os
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit

PROJECT_DIR = Path(__file__).resolve().parents[3]
DATABASE, OWNER_ROLE, APP_ROLE = "portal", "portal_owner", "portal_app"
POSTGRES_SOCKET, VALKEY_SOCKET = ".s.PGSQL.5432", "valkey.sock"
# sun_path holds 104 bytes on macOS and 108 on Linux, the closing NUL included.
_SOCKET_PATH_BYTES = 100
_CACHE_DB, _BROKER_DB = 0, 1


class RedisUrls(NamedTuple):
    """One server in the two spellings that its clients want: redis-py for the cache, kombu for the broker."""

    cache: str
    broker: str


def data_dir() -> Path:
    """PORTAL_DATA_DIR, or `var` in the project; absolute and resolved: two spellings are one place."""
    raw = os.environ.get("PORTAL_DATA_DIR", "").strip()
    return Path(raw).expanduser().resolve() if raw else PROJECT_DIR / "var"


def socket_dir(data: Path) -> Path:
    """Directory of both sockets: `run` below `data`, or a short one of the same privacy where that path is
    too long.

    The short one is named after the data directory; once made, its name is kept in `run.path` and holds
    even if somebody else (root, another spelling) asks.
    """
    plain = data / "run"
    if len(os.fsencode(plain / POSTGRES_SOCKET)) <= _SOCKET_PATH_BYTES:
        return plain
    kept = data / "run.path"
    if kept.exists():
        return Path(kept.read_text().strip())
    digest = hashlib.sha256(os.fsencode(data)).hexdigest()[:12]
    return Path("/tmp") / f"portal-{os.getuid()}-{digest}"  # noqa: S108 - made private, or refused


def postgres_url(role: Literal["app", "owner"]) -> str:
    """Address of the embedded database for one of its two roles, over the Unix socket."""
    user = {"app": APP_ROLE, "owner": OWNER_ROLE}[role]
    return f"postgresql://{user}@{quote(str(socket_dir(data_dir())), safe='')}/{DATABASE}"


def redis_urls(url: str) -> RedisUrls:
    """Cache and broker addresses on the server at `url`; on the embedded one when it is empty.

    The two get database numbers of their own, unless the URL names a number, which then holds for both.
    """
    if not url:
        return _socket_urls("", quote(str(socket_dir(data_dir()) / VALKEY_SOCKET)), "")
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    named = (query.get("db") or query.get("virtual_host") or [""])[0]
    if parts.scheme in ("unix", "redis+socket"):
        return _socket_urls(parts.netloc, parts.path, named)
    scheme = {"valkey": "redis", "valkeys": "rediss"}.get(parts.scheme, parts.scheme)
    named = parts.path.strip("/") or named
    cache, broker = (
        urlunsplit((scheme, parts.netloc, f"/{named or number}", parts.query, ""))
        for number in (_CACHE_DB, _BROKER_DB)
    )
    return RedisUrls(cache, broker)


def _socket_urls(credentials: str, path: str, named: str) -> RedisUrls:
    return RedisUrls(
        cache=f"unix://{credentials}{path}?db={named or _CACHE_DB}",
        broker=f"redis+socket://{credentials}{path}?virtual_host={named or _BROKER_DB}",
    )
