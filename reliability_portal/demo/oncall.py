"""Who is on call in the story: two people by the week, and a Saturday on which the other one stands in."""

from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from apps.alerts.models import ContactMethod
from apps.alerts.models.oncall import Layer, LayerMember, Override, PersonZone, Schedule
from apps.projects.models import Team
from reliability_portal.demo import cast

ZONE = ZoneInfo("Europe/Berlin")
HANDOVER = time(9)
_TURNS_BEFORE = 8  # even, so that Alice has the running week


def write(*, people: dict[str, Any], team: Team, at: datetime) -> Schedule:
    """The schedule with its people's zones; Alice has it at `at`. Bob never confirmed his address,
    which the portal then says."""
    schedule = Schedule.objects.create(
        name=cast.SCHEDULE, zone=ZONE.key, team=team, handover_mail=False, backfilled=True,
        description="Alice and Bob by the week, handed over on Monday morning.",
    )  # fmt: skip
    wall = at.astimezone(ZONE) - timedelta(hours=HANDOVER.hour)
    monday = wall.date() - timedelta(days=wall.weekday())
    layer = Layer.objects.create(
        schedule=schedule,
        name="Weeks",
        handover_at=HANDOVER,
        starts_on=monday - timedelta(weeks=_TURNS_BEFORE),
    )
    for order, name in enumerate(("alice", "bob"), 1):
        LayerMember.objects.create(layer=layer, user=people[name], order=order)
    _stand_in(schedule, people, wall)
    for name, zone in cast.ZONES.items():
        PersonZone.objects.create(user=people[name], zone=zone)
    proven = [people[name] for name in people if name != "bob"]
    ContactMethod.objects.filter(user__in=proven).update(verified_at=at)
    return schedule


def _stand_in(schedule: Schedule, people: dict[str, Any], wall: datetime) -> None:
    """The next Saturday at least two days away: whoever does not have that week anyway."""
    saturday = wall.date() + timedelta(days=(5 - wall.weekday() - 2) % 7 + 2)
    next_week = saturday - wall.date() > timedelta(days=6 - wall.weekday())
    whose = "alice" if next_week else "bob"
    starts = datetime.combine(saturday, time(0), tzinfo=ZONE)
    Override.objects.create(
        schedule=schedule, user=people[whose], starts_at=starts, ends_at=starts + timedelta(days=1),
        reason="Wedding", created_by=cast.ADMIN,
    )  # fmt: skip
