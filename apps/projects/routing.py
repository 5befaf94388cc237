"""Whose part of a project a route is: routing rules, and the component that takes the rest."""

import re
from collections.abc import Sequence
from functools import lru_cache

from apps.projects.intake import Intake

DEFAULT_COMPONENT = "API Services"
CLIENT_COMPONENT = "Frontend UI"
MAX_COMPONENT = 80


def placed(named: object, route: str, intake: Intake, default: str) -> tuple[str, bool]:
    """The sender's component, else the route's, else the project's, else `default`; and whether the sender named it."""
    if isinstance(named, str) and named.strip():
        return named.strip()[:MAX_COMPONENT], True
    routed = component_of(route, intake.rules) if route else None
    return routed or intake.default_component or default, False


def component_of(route: str, rules: Sequence[tuple[str, str]]) -> str | None:
    """The component of the first rule that fits the route; None if none does.

    A pattern that begins with "/" is a prefix by whole segments of the path. Any other is a word of the route: a
    segment, or a part of one between punctuation, so `auth` fits /api/auth/login and shop.auth.views, not /authors.
    "*" stands for anything within. Case does not count.
    """
    shortened = route[:300].lower()
    return next((name for pattern, name in rules if _regex_of(pattern).search(shortened)), None)


@lru_cache(maxsize=2048)
def _regex_of(pattern: str) -> re.Pattern[str]:
    plain = pattern.strip().lower()
    if not plain:
        return re.compile(r"(?!)")
    if plain.startswith("/"):
        start, end = r"^(?:[a-z]{1,8} )?(?:https?://[^/]{1,255})?", "(?![^/?#])"
        plain = plain.rstrip("/")
    else:
        start, end = "(?<![a-z0-9])", "(?![a-z0-9])"
    first, *others = (re.escape(part) for part in re.split(r"\*+", plain))
    if not others:
        return re.compile(start + first + end)
    # Atomic groups take the first place that fits and never try another, so no pattern is slow on a stranger's route.
    middle = "".join(f"(?>[^?#]*?{part})" for part in others[:-1])
    return re.compile(f"{start}{first}{middle}(?>[^?#]*?{others[-1]}{end})")
