"""`drill`: page a policy or a person end to end, labelled as a drill, and say what arrived."""

import getpass
from time import monotonic, sleep
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.alerts import paging, sending
from apps.alerts.drills import services
from apps.alerts.models import Attempt, Drill, EscalationPolicy
from apps.core import ticks

_LOOK_EVERY_S = 0.5


class Command(BaseCommand):
    """Exit code 0 when somebody acknowledged (with --sent: when a page went out), else 1."""

    help = "Page a policy or a person as a drill; prints each receipt and waits for the acknowledgement."

    def add_arguments(self, parser: CommandParser) -> None:
        """Whom, and how long to wait."""
        whom = parser.add_mutually_exclusive_group(required=True)
        whom.add_argument("--policy", help="name of an escalation policy: its steps are run")
        whom.add_argument("--person", help="user name: paged by their own ways")
        parser.add_argument("--wait", type=int, default=services.LASTS_S, help="seconds (default: 900)")
        parser.add_argument("--sent", action="store_true", help="be content when a page went out")
        parser.add_argument(
            "--here", action="store_true", help="escalate and deliver here too: for a portal without workers"
        )

    def handle(self, *, policy: str, person: str, wait: int, sent: bool, here: bool, **_: Any) -> None:
        """Start it, tell what happens, say how it ended."""
        drill = self._start(policy, person)
        self.stdout.write(f"{drill} has begun; it lasts {services.LASTS_S // 60} minutes at most.")
        ends, told = monotonic() + min(max(wait, 1), services.LASTS_S), 0
        while monotonic() < ends:
            told = self._tell(drill, told, here)
            if drill.state != Drill.State.RUNNING or (sent and self._went_out(drill)):
                break
            sleep(_LOOK_EVERY_S)
        self._tell(drill, told, False)
        self._say_how_it_ended(drill, sent)

    def _start(self, policy: str, person: str) -> Drill:
        found = EscalationPolicy.objects.filter(name=policy).first() if policy else None
        user = get_user_model().objects.filter(username=person).first() if person else None
        if found is None and user is None:
            raise CommandError(f"No policy {policy!r}." if policy else f"No person {person!r}.")
        try:
            by = f"{getpass.getuser()} (command)"
            return services.start_drill(now=ticks.database_now(), by=by, policy=found, user=user)
        except ValidationError as refusal:
            raise CommandError(" ".join(refusal.messages)) from refusal

    def _tell(self, drill: Drill, told: int, here: bool) -> int:
        """Print receipts newer than `told`; the newest one's id."""
        if here:
            paging.escalate_due(now=ticks.database_now())
            sending.deliver_due(now=ticks.database_now())
        new = Attempt.objects.filter(page__alert=drill.alert_id, pk__gt=told)
        for receipt in new.select_related("page").order_by("pk"):
            page, told = receipt.page, receipt.pk
            took_ms = (receipt.ended_at - receipt.started_at).total_seconds() * 1000
            said = f": {receipt.error}" if receipt.error else ""
            self.stdout.write(
                f"  {page.target_label} by {page.kind}: {receipt.outcome} ({took_ms:.0f} ms){said}"
            )
        services.end_drill(drill=drill, now=ticks.database_now())
        drill.refresh_from_db()
        return told

    def _went_out(self, drill: Drill) -> bool:
        return Attempt.objects.filter(page__alert=drill.alert_id, outcome="sent").exists()

    def _say_how_it_ended(self, drill: Drill, content_with_sent: bool) -> None:
        if drill.state == Drill.State.ACKNOWLEDGED and drill.acked_at is not None:
            after_s = (drill.acked_at - drill.started_at).total_seconds()
            self.stdout.write(f"Acknowledged by {drill.acked_by} after {after_s:.0f} s.")
        elif self._went_out(drill) and content_with_sent:
            self.stdout.write("A page went out. The drill goes on until somebody acknowledges.")
        elif self._went_out(drill):
            raise CommandError("Pages went out, but nobody acknowledged.")
        else:
            raise CommandError("No page went out. Are the workers running? `manage.py watchdog` says more.")
