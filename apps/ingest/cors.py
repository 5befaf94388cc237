"""What browsers are told about who may send: any page, unless the key names its own. Never with credentials."""

from typing import Any

from apps.core.refusal import Refused
from apps.ingest import auth, keys
from apps.projects.origins import allows

_ANY = ("Access-Control-Allow-Origin", "*")
_EXPOSED = (
    "Access-Control-Expose-Headers",
    "X-Sentry-Error, X-Sentry-Rate-Limits, Retry-After, X-Request-ID",
)
_ASKED_BEFORE = [
    ("Access-Control-Allow-Methods", "POST, OPTIONS"),
    ("Access-Control-Allow-Headers", "Content-Type, Content-Encoding, X-Sentry-Auth, Authorization, sentry-trace, "
                                     "baggage, X-Requested-With"),
    ("Access-Control-Max-Age", "3600"),
]  # fmt: skip
_VARY = ("Vary", "Origin")
CORS = [_ANY, _EXPOSED]


class OriginRefused(Refused):
    """403: the key is right, but not for pages of this origin."""

    status = 403

    def __init__(self) -> None:
        super().__init__("origin_not_allowed", "this key may not be used from that origin", "Origin")


def check(facts: keys.KeyFacts, environ: dict[str, Any]) -> None:
    """Browsers say where a page comes from; servers say nothing and are not asked. Raises OriginRefused."""
    origin = environ.get("HTTP_ORIGIN", "")
    if origin and facts.allowed_origins and not allows(facts.allowed_origins, origin):
        raise OriginRefused


def headers(facts: keys.KeyFacts | None, environ: dict[str, Any]) -> list[tuple[str, str]]:
    """Of an answer, after `check`: a key that names its pages is answered with the one that asked."""
    origin = environ.get("HTTP_ORIGIN", "")
    if facts is None or not facts.allowed_origins:
        return CORS
    return [("Access-Control-Allow-Origin", origin), _EXPOSED, _VARY] if origin else [_EXPOSED, _VARY]


def preflight(environ: dict[str, Any]) -> list[tuple[str, str]]:
    """Of the question that browsers ask first. It carries the key in the query or not at all. Raises OriginRefused."""
    facts = _named(environ.get("QUERY_STRING", ""))
    if facts is not None:
        check(facts, environ)
    return [*headers(facts, environ), *_ASKED_BEFORE]


def _named(query: str) -> keys.KeyFacts | None:
    """The facts of the query's key; where they cannot be had, the request itself will be judged."""
    try:
        return keys.find(auth.credentials(query=query).key)
    except (auth.AuthRefused, keys.KeysUnavailable):
        return None
