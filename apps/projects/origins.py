"""Which pages may use a key: exact origins and wildcards over the hosts below a domain. Advice, not a wall.

Browsers say truthfully where a page comes from; anybody else may say anything, or nothing.
"""

import re
from collections.abc import Collection

from django.core.exceptions import ValidationError

# As browsers write an origin: scheme, host in ASCII (or an address in brackets), and a port that is not the usual one.
_LABEL = r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?"
_ORIGIN = re.compile(
    rf"(https?)://((?:\*\.)?{_LABEL}(?:\.{_LABEL}){{0,20}}|\[[0-9a-f:.]{{2,45}}\])(?::([0-9]{{1,5}}))?"
)
_USUAL_PORT = {"http": 80, "https": 443}
SAID = (
    "Write origins as browsers send them, such as https://app.example.org, http://localhost:3000 or "
    "https://*.example.org for all hosts below a domain; without path, and * only as the first part."
)


def normal_form(text: str) -> str | None:
    """As a browser would write it: lower case, no closing slash, no usual port; None for what is no origin."""
    match = _ORIGIN.fullmatch(text.strip().rstrip("/").lower())
    if match is None:
        return None
    scheme, host, port = match.groups()
    if host.startswith("*.") and "." not in host[2:]:
        return None  # a whole top-level domain
    number = int(port or _USUAL_PORT[scheme])
    if not 0 < number < 65_536:
        return None
    return f"{scheme}://{host}" if number == _USUAL_PORT[scheme] else f"{scheme}://{host}:{number}"


def validate_origin(text: str) -> None:
    """For models. Raises ValidationError."""
    if normal_form(text) is None:
        raise not_an_origin(text)


def not_an_origin(text: str) -> ValidationError:
    """The refusal, with what to write instead."""
    return ValidationError("“%(typed)s” is no origin. " + SAID, "invalid_origin", {"typed": text[:200]})


def allows(allowed: Collection[str], origin: str) -> bool:
    """Whether a page of `origin` may use a key with these origins in normal form; none named means any.

    `https://*.example.org` stands for hosts at any depth below example.org, not for example.org itself.
    """
    if not allowed:
        return True
    asked = normal_form(origin)
    if asked is None or "*" in asked:
        return False
    if asked in allowed:
        return True
    scheme, _, host = asked.partition("://")
    while "." in host:
        host = host.partition(".")[2]
        if f"{scheme}://*.{host}" in allowed:
            return True
    return False
