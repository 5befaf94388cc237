"""Time zones by their IANA names."""

from functools import cache
from zoneinfo import available_timezones


@cache
def zone_names() -> tuple[str, ...]:
    """Those of the tz database that people choose from: regions and UTC."""
    return (
        "UTC",
        *sorted(z for z in available_timezones() if "/" in z and not z.startswith(("Etc/", "SystemV/"))),
    )


def known_zone(name: str) -> bool:
    """Whether a zone of that name exists."""
    return name in zone_names()
