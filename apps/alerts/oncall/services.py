"""Writes of on-call: who stands in, calendars that are read in, and the secret links of calendars that go out."""

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q

from apps.alerts.models.oncall import YEARS, CalendarLink, Override, Schedule
from apps.alerts.oncall import calendar as oncall_calendar
from apps.alerts.oncall import rotations
from apps.alerts.oncall.calendar import CalendarRefused, Read, StandIn
from apps.audit import services as audit
from apps.audit.models import Category
from apps.core.text import storable
from apps.projects.models import Team

LINK_PREFIX = "cal_"
USE_NOTED_EVERY = timedelta(minutes=10)


# --- Standing in --------------------------------------------------------------------------------------------
@transaction.atomic
def add_override(*, schedule: Schedule, user: Any, starts_at: datetime, ends_at: datetime, reason: str = "",
                 actor: Any = None) -> Override:  # fmt: skip
    """Somebody stands in from the moment it says, not from the next handover.

    ValidationError by field: no length, more than a year, somebody who is no longer active.
    """
    override = Override(
        schedule=schedule,
        user=user,
        starts_at=starts_at,
        ends_at=ends_at,
        reason=reason,
        created_by=_name(actor),
    )
    check_override(override)
    override.full_clean()
    override.save(force_insert=True)
    audit.record("override.create", resource=override, category=Category.CONFIG, actor=actor,
                 changes=audit.changed({}, audit.snapshot(override)))  # fmt: skip
    return override


def check_override(override: Override) -> None:
    """ValidationError by field for what no constraint of the table says."""
    for name in ("starts_at", "ends_at"):
        if getattr(override, name).year not in YEARS:
            raise ValidationError({name: f"Outside the years {YEARS[0]} to {YEARS[-1]}."})
    if override.ends_at <= override.starts_at:
        raise ValidationError({"ends_at": "It ends before it begins, or has no length."})
    if override.ends_at - override.starts_at > rotations.LONGEST:
        raise ValidationError({"ends_at": "Longer than a year: change the rotation instead."})
    if not override.user.is_active:
        raise ValidationError({"user": f"{override.user.get_username()} is no longer active."})


@transaction.atomic
def remove_override(*, override: Override, actor: Any = None) -> None:
    """The layers count again, at once."""
    audit.record("override.delete", resource=override, category=Category.CONFIG, actor=actor,
                 changes={name: [value, None] for name, value in audit.snapshot(override).items()})  # fmt: skip
    override.delete()


def _name(actor: Any) -> str:
    return actor.get_username()[:150] if actor is not None else ""


# --- Reading a calendar in ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Imported:
    """Numbers of overrides: made, as they were, taken out since the file no longer has them, and over already."""

    made: int
    kept: int
    removed: int
    past: int


@transaction.atomic
def import_overrides(*, schedule: Schedule, data: bytes, now: datetime, actor: Any = None) -> Imported:
    """Overrides out of an iCalendar file; all or, with a ValidationError on `calendar`, nothing.

    What an earlier import made from an event of this file follows the file: moved, cancelled, left out. Events that
    the file does not know stay.
    """
    try:
        found = oncall_calendar.read(data, zone=ZoneInfo(schedule.zone))
        people = _people(found.stand_ins)
    except CalendarRefused as refusal:
        raise ValidationError({"calendar": storable(str(refusal))}) from refusal
    Schedule.objects.select_for_update(no_key=True).get(pk=schedule.pk)  # two imports of one file take turns
    said = _write(schedule, found, people, now, actor)
    audit.record(
        "schedule.import", resource=schedule, category=Category.CONFIG, actor=actor, details=vars(said)
    )
    return said


def _people(found: Iterable[StandIn]) -> dict[tuple[str, ...], Any]:
    """The user behind the words of each event, by those words. CalendarRefused when it is nobody, or two."""
    wanted = {one.who: one for one in found}
    return {who: _person(who) for who in wanted}


def _person(who: tuple[str, ...]) -> Any:
    """By address or user name, without regard to case; the first word that names somebody counts."""
    for word in map(storable, who):
        named = list(
            get_user_model().objects.filter(Q(username__iexact=word) | Q(email__iexact=word), is_active=True)[
                :2
            ]
        )
        if len(named) == 2:
            raise CalendarRefused(f"{word[:60]!r} names more than one person.")
        if named:
            return named[0]
    raise CalendarRefused(f"{who[-1][:60]!r} is no user name and no e-mail address of an active person.")


def _write(schedule: Schedule, found: Read, people: dict[tuple[str, ...], Any], now: datetime,
           actor: Any) -> Imported:  # fmt: skip
    coming = [one for one in found.stand_ins if one.ends > now]
    wanted = {(storable(one.uid), one.starts): one for one in coming}
    uids = {storable(uid) for uid in found.uids}
    held = Override.objects.filter(schedule=schedule, source_uid__in=uids, ends_at__gt=now).select_related(
        "user"
    )
    kept = set()
    for override in held:
        key = (override.source_uid, override.starts_at)
        one = wanted.get(key)
        if one and (override.ends_at, override.user_id) == (one.ends, people[one.who].pk):
            kept.add(key)
        else:
            remove_override(override=override, actor=actor)
    for key in sorted(wanted.keys() - kept, key=lambda key: (key[1], key[0])):
        _make(schedule, wanted[key], people[wanted[key].who], actor)
    removed = len(held) - len(kept)
    return Imported(len(wanted) - len(kept), len(kept), removed, len(found.stand_ins) - len(coming))


def _make(schedule: Schedule, one: StandIn, person: Any, actor: Any) -> None:
    override = add_override(
        schedule=schedule, user=person, starts_at=one.starts, ends_at=one.ends,
        reason=storable(one.reason)[:200], actor=actor,
    )  # fmt: skip
    Override.objects.filter(pk=override.pk).update(source_uid=storable(one.uid))


# --- Secret links -------------------------------------------------------------------------------------------
@transaction.atomic
def create_link(*, subject: Any, now: datetime, actor: Any = None) -> tuple[CalendarLink, str]:
    """A link to the calendar of a person, schedule or team, and its secret, which is not stored and cannot be
    shown again. 256 random bits: guessing is hopeless at any rate of tries."""
    secret = LINK_PREFIX + secrets.token_urlsafe(32)
    field = {Schedule: "schedule", Team: "team"}.get(type(subject), "user")
    link = CalendarLink.objects.create(
        **{field: subject},
        digest=digest_of(secret),
        prefix=secret[:9],
        created_at=now,
        created_by=_name(actor),
    )
    audit.record("calendar_link.create", resource=link, category=Category.SECURITY, actor=actor,
                 details={"of": str(subject), "prefix": link.prefix})  # fmt: skip
    return link, secret


@transaction.atomic
def revoke_link(*, link: CalendarLink, now: datetime, actor: Any = None) -> bool:
    """End a link at once; True if it was alive."""
    ended = CalendarLink.objects.filter(pk=link.pk, revoked_at=None).update(revoked_at=now)
    if ended:
        audit.record("calendar_link.revoke", resource=link, category=Category.SECURITY, actor=actor)
    return bool(ended)


def digest_of(secret: str) -> bytes:
    """How links are stored and found: by an index on the digest, so that no comparison leaks how much was right."""
    return hashlib.sha256(secret.encode()).digest()


def find_link(secret: str, *, now: datetime) -> CalendarLink | None:
    """The living link of a secret. A person's link ends with the person's account."""
    links = CalendarLink.objects.live().select_related("user", "schedule", "team")
    link = links.filter(digest=digest_of(secret)).first()
    if link is None or (link.user is not None and not link.user.is_active):
        return None
    stale = Q(last_used_at=None) | Q(last_used_at__lt=now - USE_NOTED_EVERY)
    CalendarLink.objects.filter(stale, pk=link.pk).update(last_used_at=now)
    return link
