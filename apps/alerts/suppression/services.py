"""Writes of suppression: what people write, change and end. Each takes effect at once on every open alert."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from django.core.exceptions import ValidationError
from django.db import transaction

from apps.alerts.models import Alert, Repeats, Suppression
from apps.alerts.suppression import decide, matchers, muting, occurrences
from apps.audit import services as audit
from apps.audit.models import Category

Kind = Suppression.Kind


@transaction.atomic
def create(*, row: Suppression, now: datetime, actor: Any) -> Suppression:
    """Store what somebody wrote, and let it take effect. ValidationError by field."""
    row.created_by, row.created_by_name = actor, actor.get_username()[:150] if actor else ""
    check(row)
    row.save(force_insert=True)
    audit.record(
        "suppression.create", resource=row, category=Category.CONFIG, actor=actor, reason=row.reason,
        changes=audit.changed({}, audit.snapshot(row)),
    )  # fmt: skip
    muting.evaluate(now=now, actor=actor)
    return row


@transaction.atomic
def change(*, row: Suppression, now: datetime, actor: Any) -> Suppression:
    """Store an edit. What it no longer reaches pages again at once. ValidationError by field, or if it has ended."""
    stored = Suppression.objects.select_for_update().get(pk=row.pk)
    if stored.ended_at is not None:
        raise ValidationError("This one has ended; write a new one.")
    check(row)
    before = audit.snapshot(stored)
    row.save()
    audit.record(
        "suppression.update", resource=row, category=Category.CONFIG, actor=actor, reason=row.reason,
        changes=audit.changed(before, audit.snapshot(row)),
    )  # fmt: skip
    muting.evaluate(now=now, actor=actor)
    return row


@transaction.atomic
def end(*, row: Suppression, now: datetime, actor: Any) -> bool:
    """End it now; False if it had ended."""
    who = actor.get_username()[:150] if actor else "the portal"
    if not Suppression.objects.alive().filter(pk=row.pk).update(ended_at=now, ended_by=who):
        return False
    audit.record("suppression.end", resource=row, category=Category.CONFIG, actor=actor)
    muting.evaluate(now=now, actor=actor)
    return True


@transaction.atomic
def silence_alert(
    *, alert: Alert, reason: str, until: datetime | None, now: datetime, actor: Any
) -> Suppression:
    """Silence what looks like this alert: same project, component, rule and title; without `until` until it is
    resolved."""
    labels = muting.labels_of(alert)
    found = [matchers.Matcher(name, "=", labels[name]) for name in ("project", "component", "rule", "title")]
    row = Suppression(
        kind=Kind.SILENCE, matchers=matchers.write(found), reason=reason, starts_at=now, ends_at=until,
        until_resolved=until is None,
    )  # fmt: skip
    return create(row=row, now=now, actor=actor)


# --- What is refused ----------------------------------------------------------------------------------------
def check(row: Suppression) -> None:
    """ValidationError by field for all that is wrong with it; texts are brought into their one form."""
    row.reason = row.reason.strip()
    if not row.reason:
        raise ValidationError({"reason": "Say why: it is shown beside every alert that this mutes."})
    _check_matchers(row)
    _check_time(row)
    row.full_clean(exclude=("created_by",))


def _check_matchers(row: Suppression) -> None:
    row.matchers = _read(row.matchers, "matchers")
    if row.kind in decide.BY_ALERTS:
        row.source_matchers = _read(row.source_matchers, "source_matchers")
        names = [name.strip() for name in row.equal.split(",") if name.strip()]
        if any(not name.replace("_", "").replace(".", "").replace("-", "").isalnum() for name in names):
            raise ValidationError(
                {"equal": "Write names of labels, separated by commas: project, component."}
            )
        row.equal = ", ".join(names)
    elif row.source_matchers.strip() or row.equal.strip():
        name = "source_matchers" if row.source_matchers.strip() else "equal"
        raise ValidationError(
            {name: f"Only for rules between alerts; a {row.get_kind_display().lower()} has none."}
        )


def _read(text: str, field: str) -> str:
    try:
        found = matchers.parse(text)
    except matchers.MatcherRefused as refusal:
        raise ValidationError({field: str(refusal)}) from refusal
    if matchers.means_everything(found):
        raise ValidationError(
            {field: 'This fits every alert there is. Name what is meant, such as project="shop".'}
        )
    return matchers.write(found)


def _check_time(row: Suppression) -> None:
    if row.zone not in available_timezones():
        raise ValidationError({"zone": f"{row.zone[:64]!r} is no time zone. Write it as Europe/Berlin."})
    if row.until_resolved and (row.ends_at or row.kind != Kind.SILENCE):
        raise ValidationError(
            {"until_resolved": "Only for a silence without an end: it ends with its last alert."}
        )
    if row.kind == Kind.SILENCE and row.ends_at is None and not row.until_resolved:
        raise ValidationError(
            {"ends_at": "Give a silence an end, or let it last until its alerts are resolved."}
        )
    for name in ("starts_at", "ends_at"):
        at = getattr(row, name)
        if at is not None and not 2000 <= at.year <= 2200:
            raise ValidationError({name: "Outside the years 2000 to 2200."})
    if row.ends_at is not None and row.ends_at <= row.starts_at:
        raise ValidationError({"ends_at": "It ends before it begins, or has no length."})
    _check_windows(row)


def _check_windows(row: Suppression) -> None:
    if row.kind != Kind.MAINTENANCE and row.repeats != Repeats.ONCE:
        raise ValidationError({"repeats": "Only maintenance windows repeat."})
    if row.repeats == Repeats.ONCE:
        if row.windows.strip():
            raise ValidationError({"windows": "Only for windows that repeat; choose weekly or monthly."})
        if row.kind == Kind.MAINTENANCE and row.ends_at is None:
            raise ValidationError({"ends_at": "Give a maintenance window that does not repeat its end."})
        return
    try:
        window = muting.written_of(row).window
    except ValueError as refusal:
        raise ValidationError({"windows": str(refusal)}) from refusal
    if not occurrences.coming(window, row.starts_at, 1):
        raise ValidationError(
            {"windows": f"Not one occurrence between its begin and its end in {ZoneInfo(row.zone)}."}
        )
