"""Names of endpoints: few of them, whatever addresses people open."""

import re

from apps.core.scrub import scrub_text
from apps.telemetry.reported import MAX_ENDPOINT

OTHER = "(other)"
UNNAMED = "(unnamed)"
ID = "{id}"
_ORIGIN = re.compile(r"^((?:[A-Z]{3,8} )?)[a-z][a-z0-9+.-]{0,20}://[^/?#\s]{0,255}", re.IGNORECASE)
# Segments that name one thing among many: numbers, UUIDs, long hex, dates, and long words with a digit in them.
_ONE_OF_MANY = re.compile(
    r"[0-9]+(?:[-.][0-9]+)*"
    r"|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
    r"|(?=[a-fA-F]*[0-9])[0-9a-fA-F]{7,}"
    r"|(?=[^0-9]*[0-9])[A-Za-z0-9_=~.-]{20,}"
    r"|[^/]*@[^/]*"
)


def named(name: object, *, is_address: bool) -> str:
    """The endpoint's name; of an address (not a route) without origin and query, ids replaced by {id}."""
    if not isinstance(name, str) or not name.strip():
        return UNNAMED
    text = normalised(name[:2048]) if is_address else name
    return scrub_text(" ".join(text.split()), MAX_ENDPOINT) or UNNAMED


def normalised(address: str) -> str:
    """`GET https://a.example/users/17?x=1` as `GET /users/{id}`."""
    path = re.split("[?#]", _ORIGIN.sub(r"\1", address.strip(), count=1), maxsplit=1)[0] or "/"
    return "/".join(ID if _ONE_OF_MANY.fullmatch(part) else part for part in path.split("/"))
