"""Ids that senders give their events. They tell retries apart and name nothing else: no file, no key by themselves."""

import re

from apps.core.refusal import Refused

# 32 hex digits as SDKs write them, or the same with the hyphens of a UUID.
_FORM = re.compile(r"[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_NIL = "0" * 32


def parse_event_id(value: object, field: str = "event_id") -> str | None:
    """32 lower-case hex digits; None where the sender gave none (or the nil id, which would join strangers).

    Raises Refused (400) for what is not the text of a UUID.
    """
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not _FORM.fullmatch(value):
        raise Refused("invalid_event_id", "not a UUID", field)
    plain = value.replace("-", "").lower()
    return None if plain == _NIL else plain
