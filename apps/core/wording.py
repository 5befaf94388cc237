"""Times, durations and figures in the words that every page uses. No Django: zone and now are passed in."""

import math
from datetime import UTC, date, datetime, timedelta, tzinfo

NOTHING = "–"
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_FINE_BELOW = 10**9  # seconds; beyond it days alone are said


def number(value: object) -> float | None:
    """A finite number, or None for anything else (None, NaN, infinity, words)."""
    try:
        found = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def duration_words(seconds: object) -> str:
    """At most two units: "850 ms", "45 s", "6 min", "1 h 3 min", "2 d 4 h". Seconds may be a timedelta."""
    found = seconds.total_seconds() if isinstance(seconds, timedelta) else number(seconds)
    if found is None:
        return NOTHING
    sign, size = ("−" if found < 0 else ""), abs(found)
    if 0 < size < 1:
        return f"{sign}{math.ceil(size * 1000)} ms"
    return sign + _coarse(int(size))


def _coarse(whole: int) -> str:
    if whole >= _FINE_BELOW:
        return f"{whole // 86_400:,} d"
    for position, (size, unit) in enumerate(_UNITS):
        if whole >= size:
            return f"{whole // size} {unit}" + ("" if 600 <= whole < 3600 else _rest(whole % size, position))
    return "0 s"


def _rest(left: int, position: int) -> str:
    """The second unit, where there is one. Between ten minutes and an hour the caller drops the seconds."""
    if position + 1 >= len(_UNITS):
        return ""
    size, unit = _UNITS[position + 1]
    return f" {left // size} {unit}" if left >= size else ""


def ago_words(at: datetime, now: datetime) -> str:
    """ "12 min ago", "in 4 min", "just now". Both aware."""
    seconds = (now - at).total_seconds()
    if abs(seconds) < 1:
        return "just now"
    size = int(abs(seconds))
    words = duration_words(size if size < 60 else size - size % 60)  # minutes suffice for how long ago
    return f"{words} ago" if seconds > 0 else f"in {words}"


def aware(value: object) -> datetime | None:
    """An aware datetime; a naive one is UTC, as everything stored is. Anything else gives None."""
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def moment(value: object) -> datetime | None:
    """The time that a sender wrote as ISO 8601 or as seconds since 1970; None where it is neither."""
    try:
        if isinstance(value, str) and not value.replace(".", "", 1).isdigit():
            return aware(datetime.fromisoformat(value))
        seconds = number(value)
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def precise_words(at: datetime, zone: tzinfo) -> str:
    """ "13:12:05.250 CET", for what lies milliseconds apart."""
    there = at.astimezone(zone)
    return f"{there:%H:%M:%S}.{there.microsecond // 1000:03d} {zone_word(there)}"


def clock_words(at: datetime, now: datetime, zone: tzinfo) -> str:
    """ "13:12 CET"; with the day before it when that is not today, with the year when that is another one."""
    try:
        there, today = at.astimezone(zone), now.astimezone(zone).date()
    except (OverflowError, ValueError):
        return at.isoformat(" ", "minutes")
    words = f"{there:%H:%M} {zone_word(there)}"
    return words if there.date() == today else f"{day_words(there.date(), today)} {words}"


def day_words(day: date, today: date) -> str:
    """ "12 Nov", or "12 Nov 2024" in another year."""
    words = f"{day.day} {day:%b}"
    return words if day.year == today.year else f"{words} {day.year}"


def zone_word(at: datetime) -> str:
    """The zone's abbreviation; a bare offset such as +03 is written as UTC+03."""
    name = at.tzname() or "UTC"
    return f"UTC{name}" if name[:1] in "+-" else name


def utc_words(at: datetime) -> str:
    """ "2025-11-22 12:12:05 UTC"."""
    try:
        return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, ValueError):
        return at.isoformat(" ")


def figure_words(value: object) -> str:
    """Thousands apart: 1,284. Fractions with one decimal below a hundred. No number gives a dash."""
    found = number(value)
    if found is None:
        return NOTHING
    if found.is_integer() or abs(found) >= 100:
        return f"{round(found):,}" if abs(found) < 1e15 else f"{found:.3g}"
    return f"{found:.1f}" if abs(found) >= 0.1 else f"{found:.2g}"


def size_words(value: object) -> str:
    """Bytes in decimal units: "512 B", "9.5 kB", "1.2 GB". No number gives a dash."""
    found = number(value)
    if found is None:
        return NOTHING
    for unit in ("B", "kB", "MB", "GB"):
        if abs(found) < 999.5:
            return f"{found:.0f} {unit}" if unit == "B" or abs(found) >= 99.5 else f"{found:.1f} {unit}"
        found /= 1000
    return f"{found:,.1f} TB"


def share_words(value: object) -> str:
    """A part of 0 to 1 in percent: "12.3 %", "0.04 %", "< 0.01 %". No number gives a dash."""
    found = number(value)
    if found is None:
        return NOTHING
    percent = found * 100
    if 0 < percent < 0.01:
        return "< 0.01 %"
    digits = 0 if percent in (0, 100) else 2 if percent < 1 or 99 < percent < 100 else 1
    return f"{percent:.{digits}f} %"


def latency_words(milliseconds: object) -> str:
    """Three digits of it: "0.85 ms", "38 ms", "1.15 s"; from a minute on as every duration. No number gives a dash."""
    found = number(milliseconds)
    if found is None:
        return NOTHING
    if abs(found) >= 60_000:
        return duration_words(found / 1000)
    size, unit = (found / 1000, "s") if abs(found) >= 999.5 else (found, "ms")
    digits = (
        0
        if abs(size) >= 99.5 or size == 0 or (unit == "ms" and abs(size) >= 9.5)
        else 1
        if abs(size) >= 9.95
        else 2
    )
    return f"{size:.{digits}f} {unit}"
