"""Schedules out of the database, as the pure arithmetic wants them, in a fixed number of queries."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.db.models import Prefetch, QuerySet

from apps.alerts.models import oncall as tables
from apps.alerts.oncall import rotations, windows

OVERRIDES_KEPT_IN_SIGHT = timedelta(days=120)


def facts_of(schedules: Iterable[tables.Schedule], now: datetime) -> dict[int, rotations.Schedule]:
    """By id, read anew each time. Overrides that ended more than 120 days before `now` are left out. People who are
    no longer active keep their turn but are not in it: a weaker layer takes over, or a gap is seen."""
    listed = {schedule.pk: schedule for schedule in schedules}
    layers: dict[int, list[rotations.Layer]] = defaultdict(list)
    for layer in layers_of(listed):
        layers[layer.schedule_id].append(_layer(layer, listed[layer.schedule_id].zone))
    recent = tables.Override.objects.filter(ends_at__gt=now - OVERRIDES_KEPT_IN_SIGHT, user__is_active=True)
    overrides: dict[int, list[rotations.Override]] = defaultdict(list)
    for o in recent.filter(schedule__in=listed).order_by("id"):
        overrides[o.schedule_id].append(rotations.Override(o.pk, o.user_id, o.starts_at, o.ends_at))
    return {pk: rotations.Schedule(pk, tuple(layers[pk]), tuple(overrides[pk])) for pk in listed}


def layers_of(schedule_ids: Iterable[int]) -> QuerySet[tables.Layer]:
    """Layers with their members, the strongest first."""
    members = tables.LayerMember.objects.select_related("user").order_by("order", "id")
    layers = tables.Layer.objects.filter(schedule__in=list(schedule_ids)).order_by("order", "id")
    return layers.prefetch_related(Prefetch("members", members))


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
