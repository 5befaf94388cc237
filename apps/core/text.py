"""Text from outside, made fit to be kept."""

import re

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def storable(text: str) -> str:
    """NUL and lone surrogates as U+FFFD: PostgreSQL cannot hold the first, UTF-8 not the second."""
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)
