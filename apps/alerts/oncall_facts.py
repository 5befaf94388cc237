"""Schedules out of the database, as the pure arithmetic wants them, in a fixed number of queries."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Prefetch, prefetch_related_objects

from apps.alerts import oncall_models as tables
from apps.alerts import rotations, windows

OVERRIDES_KEPT_IN_SIGHT = timedelta(days=120)


def facts_of(schedules: Iterable[tables.Schedule], now: datetime) -> dict[int, rotations.Schedule]:
    """By id. Overrides that ended more than 120 days before `now` are left out. People who are no longer active
    keep their turn but are not in it: a weaker layer takes over, or a gap is seen."""
    listed = list(schedules)
    members = tables.LayerMember.objects.select_related("user").order_by("order", "id")
    layers = tables.Layer.objects.order_by("order", "id").prefetch_related(Prefetch("members", members))
    recent = tables.Override.objects.filter(ends_at__gt=now - OVERRIDES_KEPT_IN_SIGHT, user__is_active=True)
    prefetch_related_objects(
        listed,
        Prefetch("layers", layers, to_attr="listed_layers"),
        Prefetch("overrides", recent.select_related("user").order_by("id"), to_attr="listed_overrides"),
    )
    return {schedule.pk: _schedule(schedule) for schedule in listed}


def _schedule(schedule: Any) -> rotations.Schedule:
    layers = tuple(_layer(layer, schedule.zone) for layer in schedule.listed_layers)
    overrides = tuple(
        rotations.Override(o.pk, o.user_id, o.starts_at, o.ends_at) for o in schedule.listed_overrides
    )
    return rotations.Schedule(schedule.pk, layers, overrides)


def _layer(layer: tables.Layer, zone: str) -> rotations.Layer:
    """A layer without anybody active in any turn has no turns."""
    turns: dict[int, list[int]] = defaultdict(list)
    for member in layer.members.all():
        turns[member.order] += [member.user_id] if member.user.is_active else []
    wall = datetime.combine(layer.starts_on, layer.handover_at)
    ends = datetime.combine(layer.ends_on, layer.handover_at) if layer.ends_on else None
    return rotations.Layer(
        layer.pk, layer.name, ZoneInfo(layer.zone or zone),
        tuple(tuple(turns[order]) for order in sorted(turns)) if any(turns.values()) else (),
        wall, layer.every * rotations.UNITS[layer.unit], windows.parse(layer.windows), ends,
    )  # fmt: skip


def facts_of_all(now: datetime) -> list[tuple[tables.Schedule, rotations.Schedule]]:
    """Every schedule with its facts, by name."""
    schedules = list(tables.Schedule.objects.select_related("team"))
    facts = facts_of(schedules, now)
    return [(schedule, facts[schedule.pk]) for schedule in schedules]
