"""Which alerts are meant: `{component="Payments", severity=~"critical|error"}`, over an alert's labels. Pure.

Operators are `=`, `!=`, `=~` and `!~`; all matchers of a set must hold. A missing label equals an empty one. A set
that would match an alert without any label is refused where it silences: it would silence everything.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from apps.alerts.suppression import patterns

MOST = 20
LONGEST_TEXT = 2000
LONGEST_VALUE = 500
OPERATORS = ("=~", "!~", "!=", "=")
_HEAD = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_.\-]{0,63})\s*(=~|!~|!=|=)\s*")
_QUOTED = re.compile(r'"((?:[^"\\\n]|\\.){0,2000})"')
_BARE = re.compile(r"[^\s,{}\"]{1,500}")
_ESCAPES = {"n": "\n", '"': '"', "\\": "\\"}


class MatcherRefused(ValueError):
    """Which matcher cannot be read, and why."""


@dataclass(frozen=True)
class Matcher:
    """One condition on one label. Negative operators hold where the positive one does not."""

    field: str
    op: str
    value: str

    def fits(self, labels: Mapping[str, str]) -> bool:
        """Whether the alert with these labels is meant."""
        found = labels.get(self.field, "")
        same = patterns.compiled(self.value).fits(found) if self.op.endswith("~") else found == self.value
        return same is not self.op.startswith("!")

    def __str__(self) -> str:
        value = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.field}{self.op}"{value}"'


Matchers = tuple[Matcher, ...]


def parse(text: str) -> Matchers:
    """Matchers in their order; braces around them may be left out. MatcherRefused names the piece."""
    if len(text) > LONGEST_TEXT:
        raise MatcherRefused(f"Longer than {LONGEST_TEXT} characters.")
    inner = text.strip()
    if inner.startswith("{") and inner.endswith("}"):
        inner = inner[1:-1]
    found, at = [], 0
    while inner[at:].strip():
        matcher, at = _read(inner, at)
        found.append(matcher)
        at = _past_comma(inner, at, matcher)
    if len(found) > MOST:
        raise MatcherRefused(f"At most {MOST} matchers.")
    return tuple(found)


def _read(text: str, at: int) -> tuple[Matcher, int]:
    head = _HEAD.match(text, at)
    if head is None:
        raise MatcherRefused(
            f'{_near(text, at)} is no matcher. Write component="Payments" or severity=~"critical|error".'
        )
    found = _QUOTED.match(text, head.end()) or _BARE.match(text, head.end())
    if found is None:
        raise MatcherRefused(
            f"{_near(text, at)}: the value after {head[1]}{head[2]} is missing or its quotes are not closed."
        )
    value = _unquoted(found[1]) if found.re is _QUOTED else found[0]
    return checked(Matcher(head[1], head[2], value)), found.end()


def _unquoted(text: str) -> str:
    """Only \\n, \\" and \\\\ are escapes; before anything else a backslash stays, as patterns need it."""
    return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[0]), text)


def _past_comma(text: str, at: int, matcher: Matcher) -> int:
    rest = text[at:].lstrip()
    if not rest:
        return len(text)
    if not rest.startswith(","):
        raise MatcherRefused(f"After {matcher} a comma is expected, not {_near(text, at)}.")
    return len(text) - len(rest) + 1


def _near(text: str, at: int) -> str:
    return repr(text[at:].strip()[:40])


def checked(matcher: Matcher) -> Matcher:
    """The same, if its operator is known and its value or pattern can be used; else MatcherRefused."""
    if matcher.op not in OPERATORS:
        raise MatcherRefused(
            f"{matcher.field}: the operator {matcher.op!r} is unknown. Known: {' '.join(OPERATORS)}."
        )
    if len(matcher.value) > LONGEST_VALUE:
        raise MatcherRefused(f"{matcher.field}: the value is longer than {LONGEST_VALUE} characters.")
    if matcher.op.endswith("~"):
        try:
            patterns.compiled(matcher.value)
        except patterns.PatternRefused as refusal:
            raise MatcherRefused(f"{matcher}: {refusal}") from refusal
    return matcher


def write(matchers: Iterable[Matcher]) -> str:
    """The text that `parse` reads back."""
    return "{" + ", ".join(map(str, matchers)) + "}"


def fits(matchers: Matchers, labels: Mapping[str, str]) -> bool:
    """Whether all hold; no matchers fit every alert."""
    return all(matcher.fits(labels) for matcher in matchers)


def means_everything(matchers: Matchers) -> bool:
    """Whether the set fits an alert without labels, and so is no restriction that names anything."""
    return fits(matchers, {})


def worded(value: Any) -> str:
    """A label's value as matchers see it: text as it is, true and false in lower case, numbers in short form."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)
