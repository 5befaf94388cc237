"""Plain makers for the tests of on-call."""

from datetime import date, datetime, time

from apps.alerts.models.oncall import Layer, LayerMember, Override, Schedule
from tests.alerts.make import NOW, at, make_user


def make_schedule(*layers, name="Payments", zone="Europe/Berlin", **facts):
    """A schedule with layers given as dicts for `make_layer`."""
    schedule = Schedule.objects.get_or_create(name=name, defaults={"zone": zone, **facts})[0]
    for order, layer in enumerate(layers, 1):
        make_layer(schedule, **{"order": order, **layer})
    return schedule


def make_layer(schedule, turns=("alice", "bob"), **facts):
    """Turns as user names; a turn may be a tuple of names who are on call together."""
    defaults = {
        "name": f"Layer {facts.get('order', 1)}", "starts_on": date(2026, 11, 2), "handover_at": time(9), "every": 1,
        "unit": "weeks",
    }  # fmt: skip
    layer = Layer.objects.create(schedule=schedule, **{**defaults, **facts})
    for order, turn in enumerate(turns, 1):
        for name in (turn,) if isinstance(turn, str) else turn:
            LayerMember.objects.create(layer=layer, user=make_user(name), order=order)
    return layer


def make_override(schedule, name="carol", starts_at=None, ends_at=None, **facts):
    """From now on for an hour, unless said otherwise."""
    return Override.objects.create(
        schedule=schedule,
        user=make_user(name),
        starts_at=starts_at or NOW,
        ends_at=ends_at or at(3600),
        **facts,
    )


def ical(*events, head="VERSION:2.0\r\nPRODID:-//Test//EN\r\n"):
    """A calendar file of events given as lines without BEGIN and END."""
    body = "".join(f"BEGIN:VEVENT\r\n{event.strip()}\r\nEND:VEVENT\r\n" for event in map(_lines, events))
    return f"BEGIN:VCALENDAR\r\n{head}{body}END:VCALENDAR\r\n".encode()


def _lines(event):
    return "\r\n".join(line.strip() for line in event.strip().splitlines())


def stamp(when):
    return when.strftime("%Y%m%dT%H%M%SZ")


def event(uid="1", who="Bob", starts=datetime(2026, 12, 1, 9), ends=datetime(2026, 12, 2, 9), more=""):
    return f"UID:{uid}\nSUMMARY:{who}\nDTSTART:{stamp(starts)}\nDTEND:{stamp(ends)}\n{more}"
