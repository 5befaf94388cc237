"""When a page to somebody goes out alone, at once, and when it waits a little to go together with others. Pure.

The first page to a contact goes at once, together with whatever waits for the same contact and component. What comes
within the channel's `bundle_s` afterwards waits for the end of that time and goes as one message; likewise, whatever
the component, once a contact had MOST_MESSAGES in that time. So no page is dropped, and none waits longer than that.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

MOST_MESSAGES = 5
MOST_IN_ONE = 100
LINES = 20


@dataclass(frozen=True)
class Gone:
    """A message to this contact that went out, or is just going: when, and about which component."""

    at: datetime
    component: int | None


@dataclass(frozen=True)
class Course:
    """Either wait until a time, or go now: with what waits for the same component, or with all that waits."""

    wait_until: datetime | None = None
    every_component: bool = False


def course(component: int | None, gone: Iterable[Gone], bundle_s: int, now: datetime) -> Course:
    """What becomes of a page about `component`. `gone` are messages to its contact; those long ago do not count."""
    within = timedelta(seconds=bundle_s)
    recent = sorted((one for one in gone if one.at > now - within), key=lambda one: one.at)
    crowded = len(recent) >= MOST_MESSAGES
    if crowded:
        return Course(wait_until=recent[-MOST_MESSAGES].at + within, every_component=True)
    same = [one for one in recent if one.component == component]
    if same:
        return Course(wait_until=same[-1].at + within)
    was_crowded = len([one for one in gone if one.at > now - 2 * within]) >= MOST_MESSAGES
    return Course(every_component=was_crowded)


@dataclass(frozen=True)
class Line:
    """One of the pages that go together."""

    alert: int | None
    subject: str
    component: str
    url: str


def subject(lines: Sequence[Line], *, pages: bool) -> str:
    """Such as: 7 alerts on Payments."""
    count = len({one.alert for one in lines})
    places = list(dict.fromkeys(one.component or "no component" for one in lines))
    what = ("alert" if pages else "notice") + ("" if count == 1 else "s")
    where = places[0] if len(places) == 1 else f"{len(places)} components"
    return f"{count} {what} on {where}: {lines[0].subject}"[:250]


def body(lines: Sequence[Line]) -> str:
    """A line for each with its address; what does not fit is counted, and stands in the portal."""
    said = [f"{one.subject}\n  {one.url}" for one in lines[:LINES]]
    more = len(lines) - LINES
    return "\n\n".join([*said, *([f"… and {more} more in the portal."] if more > 0 else [])])
