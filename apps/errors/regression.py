"""When a resolved group counts as regressed. Pure."""

import re
from datetime import datetime
from typing import Protocol

_PARTS = re.compile(r"[0-9]+|[A-Za-z]+")
_COMMIT = re.compile(r"(?=[0-9]*[a-fA-F])[0-9a-fA-F]{7,64}|[0-9a-fA-F]{40}|[0-9a-fA-F]{64}")
_AFTER = frozenset(("post", "patch", "hotfix", "rev"))
# Ranks of what may stand at one place, lowest first: rc1 < the end < +build < post1 < .1
_WORD, _END, _WORD_AFTER, _NUMBER = range(4)
Order = tuple[tuple[int, int, str], ...]


class Seen(Protocol):
    """What is asked of an event."""

    occurred_at: datetime
    release: str


def release_order(release: str) -> Order | None:
    """A sortable form of a release name: 4.10 after 4.9, package names before the @ left out.

    A pre-release stands before its release (1.0rc1 < 1.0 < 1.0.1), a build and a post-release after it. None for
    what has no order: the id of a commit, or a name without any number.
    """
    version = release.rpartition("@")[2].strip()
    if _COMMIT.fullmatch(version) or not re.search("[0-9]", version):
        return None
    main, _, build = version.partition("+")
    return (*_parts(main), (_END, 0, ""), *_parts(build))


def _parts(version: str) -> Order:
    found = _PARTS.findall(version)[:12]
    if found and found[0].lower() in ("v", "version", "release", "r"):
        del found[0]
    return tuple(_part(text) for text in found)


def _part(text: str) -> tuple[int, int, str]:
    if text.isdigit():
        return (_NUMBER, int(text), "")
    return (_WORD_AFTER if text.lower() in _AFTER else _WORD, 0, text.lower())


def regressed(resolved_at: datetime, resolved_in_release: str, event: Seen) -> bool:
    """Whether this event reopens a group that was resolved then, last seen in that release.

    Events from before the resolution never do. With releases on both sides only a newer release does: machines that
    still run the old one say nothing about the fix. Where two releases have no order, another one counts as newer,
    since a page too many costs less than a failure that nobody sees. Without releases every later event does.
    """
    if event.occurred_at <= resolved_at:
        return False
    if not resolved_in_release or not event.release:
        return True
    seen, resolved = release_order(event.release), release_order(resolved_in_release)
    if seen is None or resolved is None:
        return event.release != resolved_in_release
    return seen > resolved
