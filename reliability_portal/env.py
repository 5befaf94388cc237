"""The three ways in which the settings read the environment.

Each names the variable in its error, so that a wrong value is found by reading one line.
"""

import os
import re
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

_TRUE, _FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}


def env_bool(name: str, default: bool) -> bool:
    """Value of a switch; anything but the eight usual words is refused."""
    raw = os.environ.get(name, "").strip().lower()
    if not raw:
        return default
    if raw in _TRUE | _FALSE:
        return raw in _TRUE
    raise ImproperlyConfigured(f"{name}={raw!r}: use one of {', '.join(sorted(_TRUE | _FALSE))}.")


def env_int(name: str, default: int, *, low: int = 0, high: int = 2**31) -> int:
    """A whole number within [low, high]."""
    raw = os.environ.get(name, "").strip()
    if not raw:
        return default
    if not re.fullmatch(r"-?[0-9]{1,18}", raw) or not low <= int(raw) <= high:
        raise ImproperlyConfigured(f"{name}={raw[:40]!r}: use a whole number from {low} to {high}.")
    return int(raw)


def env_text(name: str, default: str = "", *, words: tuple[str, ...] = ()) -> str:
    """Text; with `words` one of them. NAME_FILE names a file to read it from, as container secrets do."""
    raw = os.environ.get(name, "").strip()
    path = os.environ.get(f"{name}_FILE", "").strip()
    if not raw and path:
        try:
            raw = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "not UTF-8"
            raise ImproperlyConfigured(f"{name}_FILE={path!r}: {why}.") from error
    raw = raw or default
    if words and raw not in words:
        raise ImproperlyConfigured(f"{name}={raw!r}: use one of {', '.join(words)}.")
    return raw
