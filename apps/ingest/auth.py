"""Whose event this is: the project's public key, in any of the places where SDKs put it.

The key is public and write-only, so a wrong one gets one constant answer: nobody learns whether it was malformed,
unknown, ended or another project's.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qs, urlsplit

from apps.core.refusal import Refused

MAX_HEADER_CHARS = 2048
_KEY = re.compile(r"[0-9a-fA-F]{32}")
_PROJECT = re.compile(r"/api/([0-9]{1,18})/(?:[a-z_-]{1,32})/?")


class AuthRefused(Refused):
    """401 in constant form, whatever was wrong."""

    status = 401

    def __init__(self) -> None:
        super().__init__("not_authenticated", "a valid project key is required", "sentry_key")


@dataclass(frozen=True, slots=True)
class Credentials:
    """The public key (32 lower-case hex digits), the client's own name if it gave one, the DSN's project if any."""

    key: str
    client: str = ""
    project_id: int | None = None


def credentials(
    *, sentry_auth: str = "", authorization: str = "", query: str = "", dsn: object = None
) -> Credentials:
    """From X-Sentry-Auth, the query string, Authorization and an envelope header's dsn; the first that has one decides.

    Raises AuthRefused if none holds a key of the right form.
    """
    found = _from_header(sentry_auth) or _from_query(query) or _from_header(authorization) or _from_dsn(dsn)
    if found is None:
        raise AuthRefused
    return found


def has_credentials(*, sentry_auth: str = "", authorization: str = "", query: str = "") -> bool:
    """Whether the key can be had without reading the body."""
    return bool(_from_header(sentry_auth) or _from_query(query) or _from_header(authorization))


def project_of_path(path: str) -> int | None:
    """The project's number in `/api/<project>/<endpoint>/`."""
    match = _PROJECT.fullmatch(path)
    return int(match[1]) if match else None


def _key(text: object) -> str | None:
    return text.lower() if isinstance(text, str) and _KEY.fullmatch(text) else None


def _from_header(header: str) -> Credentials | None:
    """`Sentry sentry_key=…, sentry_client=…` in any order and quoting, or `Bearer <key>`."""
    return _parse_header(header) if 0 < len(header) <= MAX_HEADER_CHARS else None


@lru_cache(maxsize=1024)  # an SDK sends the same header with every event
def _parse_header(header: str) -> Credentials | None:
    scheme, _, rest = header.strip().partition(" ")
    scheme = scheme.lower()
    if scheme == "bearer":
        key = _key(rest.strip())
        return Credentials(key) if key else None
    pairs = _pairs(rest if scheme == "sentry" else header)
    key = _key(pairs.get("sentry_key"))
    return Credentials(key, _client(pairs.get("sentry_client", ""))) if key else None


def _pairs(text: str) -> dict[str, str]:
    """`a=b, c = "d"` as a dict; the first of two equal names counts, as in the query."""
    pairs: dict[str, str] = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        pairs.setdefault(name.strip().lower(), value.strip().strip("\"'").strip())
    return pairs


@lru_cache(maxsize=1024)
def _parse_query(query: str) -> Credentials | None:
    try:
        pairs = parse_qs(query, max_num_fields=50, errors="replace")
    except ValueError:
        return None
    key = _key(pairs.get("sentry_key", [""])[0].strip())
    return Credentials(key, _client(pairs.get("sentry_client", [""])[0])) if key else None


def _from_query(query: str) -> Credentials | None:
    return _parse_query(query) if "sentry_key" in query and len(query) <= MAX_HEADER_CHARS else None


def _from_dsn(dsn: object) -> Credentials | None:
    """`https://<key>[:<old secret>]@<host>[/<prefix>]/<project>`."""
    if not isinstance(dsn, str) or not 0 < len(dsn) <= MAX_HEADER_CHARS:
        return None
    try:
        parts = urlsplit(dsn)
        key = _key(parts.username)
    except ValueError:  # such as half an IPv6 address
        return None
    project = parts.path.rstrip("/").rpartition("/")[2]
    if key is None or not (project.isascii() and project.isdigit() and len(project) <= 18):
        return None
    return Credentials(key, project_id=int(project))


def _client(text: str) -> str:
    """Printable and short, for the counters by SDK."""
    return "".join(c for c in text[:64] if c.isascii() and c.isprintable())
