"""Is the portal itself well? Read from the ledger of ticks, the channels and the inbox; nothing is measured here."""

import shutil
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from apps.alerts.models import Channel, Page, PageState
from apps.core import pulse
from apps.core.models import TickRun

DISK_FULL_SOON = 0.9


@dataclass(frozen=True)
class Part:
    """One entry of the strip: what, how it is in a word or two, its state (ok, warning, critical, nodata), details."""

    label: str
    value: str
    state: str
    note: str = ""
    url: str = ""


def parts(now: datetime) -> list[Part]:
    """Web, worker, beat, ticks, inbox, channels and disk, in the order in which a failure travels."""
    runs = list(TickRun.objects.all())
    return [
        Part("web", "ok", "ok"),
        _process("worker", now),
        _process("beat", now),
        _ticks(runs, now),
        _inbox(runs, now),
        *_channels(now),
        _disk(),
    ]


def is_well(strip: list[Part]) -> bool:
    """Whether nothing in the strip needs anybody."""
    return all(part.state in ("ok", "nodata") for part in strip)


def _process(kind: str, now: datetime) -> Part:
    age_s = pulse.age_s(kind, now)
    if age_s is None:
        return Part(kind, "not seen", "critical", f"No {kind} has reported. Is it running?")
    if age_s > pulse.SILENT_AFTER_S:
        return Part(kind, f"silent {int(age_s)} s", "critical")
    return Part(kind, "ok", "ok")


def _ticks(runs: list[TickRun], now: datetime) -> Part:
    late = [run for run in runs if run.late_s(now)]
    if not runs:
        return Part("ticks", "none yet", "warning")
    on_time = f"{len(runs) - len(late)} of {len(runs)}"
    names = ", ".join(f"{run} {run.late_s(now)} s late" for run in late)
    return Part("ticks", on_time, "critical" if late else "ok", names)


def _inbox(runs: list[TickRun], now: datetime) -> Part:
    drain = [run for run in runs if run.name == "ingest.drain"]
    waiting = max((run.backlog for run in drain), default=0)
    oldest = min((run.oldest_at for run in drain if run.oldest_at), default=None)
    waited_s = int((now - oldest).total_seconds()) if oldest else 0
    state = "critical" if waited_s > 300 else "warning" if waited_s > 30 else "ok"
    return Part(
        "inbox", f"{waiting:,}" if waiting else "empty", state, f"oldest waits {waited_s} s" if oldest else ""
    )


def _channels(now: datetime) -> list[Part]:
    """Channels that were refused for good, and pages that failed in the last day."""
    broken = list(Channel.objects.filter(enabled=True, broken_since__isnull=False))
    parts_ = [Part(c.name, "broken", "critical", c.last_failure) for c in broken]
    retrying = Page.objects.filter(state=PageState.PENDING, attempts__gt=0).count()
    if retrying:
        parts_.append(Part("pages", f"{retrying} retried", "warning"))
    return parts_


def _disk() -> Part:
    usage = shutil.disk_usage(settings.DATA_DIR if settings.DATA_DIR.exists() else "/")
    share = usage.used / usage.total
    return Part("disk", f"{share:.0%}".replace("%", " %"), "warning" if share > DISK_FULL_SOON else "ok")
