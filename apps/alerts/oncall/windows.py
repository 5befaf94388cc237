"""Weekly windows as people write them: `Mon-Fri 09:00-17:00; Fri 17:00 - Mon 09:00`. Pure.

Two forms, any number of them, separated by `;` or new lines:

* days and a time range: `Mon-Fri 09:00-17:00`, `Sat,Sun 00:00-24:00`. An end that is not after the begin lies on
  the next day (`Mon-Fri 22:00-06:00`).
* from one moment of the week to another: `Fri 17:00 - Mon 09:00`, over the week's end if need be.

A window of no length is refused: it would page nobody, while its author meant the whole day or week.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
DAY_MIN = 24 * 60
WEEK_MIN = 7 * DAY_MIN
MOST = 40
_NUMBER = {day.lower(): number for number, day in enumerate(DAYS)}
_DAY = r"(?:mon|tue|wed|thu|fri|sat|sun)"
_TIME = r"\d{1,2}:\d\d"
_DAILY = re.compile(rf"({_DAY}(?:\s*[-,]\s*{_DAY})*)\s+({_TIME})\s*-\s*({_TIME})", re.IGNORECASE)
_SPAN = re.compile(rf"({_DAY})\s+({_TIME})\s*-\s*({_DAY})\s+({_TIME})", re.IGNORECASE)


@dataclass(frozen=True, order=True)
class Window:
    """Minutes after Monday 00:00 on the wall, half-open; `end` may pass the week's end, up to a week after `start`."""

    start: int
    end: int


def parse(text: str) -> tuple[Window, ...]:
    """Windows in the order of the week, joined where they meet. No windows are no restriction: so are empty text
    and windows that fill the week.

    ValueError with a sentence that names the piece which cannot be read.
    """
    pieces = [piece.strip() for piece in re.split(r"[;\n]", text) if piece.strip()]
    if len(pieces) > MOST:
        raise ValueError(f"At most {MOST} windows.")
    found = _joined([window for piece in pieces for window in _read(piece)])
    return () if found == (Window(0, WEEK_MIN),) else found


def _read(piece: str) -> list[Window]:
    if found := _SPAN.fullmatch(piece):
        start = _NUMBER[found[1].lower()] * DAY_MIN + _minutes(found[2], piece)
        end = _NUMBER[found[3].lower()] * DAY_MIN + _minutes(found[4], piece)
        if start % WEEK_MIN == end % WEEK_MIN:
            raise ValueError(f"{piece[:60]!r} has no length. For the whole week leave the windows empty.")
        return [Window(start % WEEK_MIN, _after(start % WEEK_MIN, end))]
    if found := _DAILY.fullmatch(piece):
        begins, ends = _minutes(found[2], piece), _minutes(found[3], piece)
        if begins == ends:
            raise ValueError(f"{piece[:60]!r} has no length. For whole days write 00:00-24:00.")
        if begins == DAY_MIN:
            raise ValueError(f"{piece[:60]!r} cannot begin at 24:00.")
        length = (ends - begins) % DAY_MIN or DAY_MIN
        starts = [day * DAY_MIN + begins for day in _days(found[1])]
        return [Window(start, start + length) for start in starts]
    raise ValueError(f"{piece[:60]!r} is no window. Write Mon-Fri 09:00-17:00 or Fri 17:00 - Mon 09:00.")


def _after(start: int, end: int) -> int:
    """The first coming of a moment of the week after another, in minutes."""
    return start + ((end - start) % WEEK_MIN)


def _minutes(text: str, piece: str) -> int:
    hours, minutes = (int(part) for part in text.split(":"))
    if minutes > 59 or hours * 60 + minutes > DAY_MIN:
        raise ValueError(f"{text} in {piece[:60]!r} is no time of a day.")
    return hours * 60 + minutes


def _days(text: str) -> list[int]:
    """Numbers of days out of `Mon-Wed,Sat`; a range may pass Sunday (`Fri-Mon`)."""
    found: list[int] = []
    for part in text.lower().replace(" ", "").split(","):
        names = part.split("-")
        if len(names) > 2:
            raise ValueError(f"{part!r} is no range of days.")
        first, last = _NUMBER[names[0]], _NUMBER[names[-1]]
        found += [(first + n) % 7 for n in range((last - first) % 7 + 1)]
    return sorted(set(found))


def _joined(windows: list[Window]) -> tuple[Window, ...]:
    """Non-overlapping, in order. What passes the week's end is cut there and counted from Monday again."""
    cut = sorted(piece for window in windows for piece in _cut(window))
    found: list[Window] = []
    for window in cut:
        if found and window.start <= found[-1].end:
            found[-1] = Window(found[-1].start, max(found[-1].end, window.end))
        else:
            found.append(window)
    return tuple(found)


def _cut(window: Window) -> Iterator[Window]:
    yield Window(window.start, min(window.end, WEEK_MIN))
    if window.end > WEEK_MIN:
        yield Window(0, window.end - WEEK_MIN)


def write(windows: tuple[Window, ...]) -> str:
    """Windows in words again, as `parse` reads them."""
    return "; ".join(f"{_moment(w.start)} - {_moment(w.end)}" for w in windows)


def _moment(minute: int) -> str:
    day, rest = divmod(minute % WEEK_MIN, DAY_MIN)
    return f"{DAYS[day]} {rest // 60:02}:{rest % 60:02}"
