"""The world of the pager's model: the real engine on the real database, two workers, a provider, a clock.

Everything that the engine promises is checked here against what the world itself saw, never against what the
engine says of itself. `Broken.law` names the promise: P1 to P17 as docs/explanation/paging.md lists them.
"""

import copy
import itertools
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction

from apps.alerts import outbox, paging, services
from apps.alerts.channels import Receipt
from apps.alerts.models import (
    Alert,
    AlertState,
    Attempt,
    Escalation,
    EscalationState,
    EscalationStep,
    Page,
    PageState,
)
from apps.alerts.services import Act, Fired, StaleEpoch
from apps.audit.models import AuditEvent
from tests.alerts.beside import Beside
from tests.alerts.make import NOW, make_component, make_policy, make_user

LIVE = (PageState.PENDING, PageState.CLAIMED)
_worlds = itertools.count(1)
found: list[str] = []  # promises that were broken, in the order in which it was seen


class Broken(AssertionError):
    """A promise that was not kept."""

    def __init__(self, law, said):
        super().__init__(f"{law}: {said}")
        found.append(law)


def require(law, holds, said):
    if not holds:
        raise Broken(law, said)


@dataclass
class Claim:
    """A page in a worker's hands. `outcome` once the provider was called, `over` once the result was recorded."""

    page: Page
    outcome: str = ""
    over: bool = False


def places(plan):
    """Where a frozen plan goes, in order, as (round, step); the closing look is the step after the last."""
    last = (plan["repeat_count"], len(plan["steps"]))
    if not any(step["targets"] for step in plan["steps"]):
        return [(0, len(plan["steps"]))]
    rounds = range(plan["repeat_count"] + 1)
    return [(c, i) for c in rounds for i, step in enumerate(plan["steps"]) if step["targets"]] + [last]


class World:
    """One history. Verbs change it and check at once what must hold at once; `settle` checks what must hold at last."""

    def __init__(self):
        self.now, self.number = NOW, next(_worlds)
        self.component = make_component(f"World {self.number}")
        alice, bob, idle = make_user(), make_user("bob"), make_user("mallory", is_active=False)
        self.policies = [
            make_policy((0, alice), (60, bob), repeat_count=1, repeat_wait_s=60),
            make_policy((5, alice), (0, idle), (300, bob)),
            make_policy((0, idle), fallback=bob),
        ]
        self.alerts, self.open, self.frozen = {}, {}, {}
        self.hands, self.slow = [None, None], []
        self.claims, self.delivered, self.events = {}, [], {}

    # --- Alerts ---------------------------------------------------------------------------------------------
    def trigger(self, key, severity, policy):
        fired = Fired(
            key=f"{self.number}:{key}", title=f"Failure {key}", severity=severity, policy=policy,
            project=self.component.project, component=self.component,
        )  # fmt: skip
        alert = services.trigger(fired=fired, now=self.now)
        held = self.open.get(key)
        require("P1", held is None or alert.pk == held, f"a second open alert for {key}")
        if held is None:
            self.open[key], self.alerts[alert.pk] = alert.pk, ["triggered", 1, severity]
            self._happened("alert.trigger", alert.pk)
        elif severity == "critical" and self.alerts[held][2] != "critical":
            self.alerts[held] = ["triggered", self.alerts[held][1] + 1, severity]
            self._happened("alert.rise", alert.pk)
        for run in Escalation.objects.filter(alert=alert).exclude(pk__in=self.frozen):
            self.frozen[run.pk] = copy.deepcopy(run.plan)
            self._happened("escalation.start", run.pk)
        self.check()

    def act(self, verb, pk, epoch):
        """Acknowledge or resolve, as somebody who saw this episode."""
        state, current, severity = self.alerts[pk]
        try:
            changed = getattr(services, verb)(
                alert=Alert.objects.get(pk=pk), act=Act("Alice", self.now), epoch=epoch
            )
        except StaleEpoch:
            require("P10", epoch != current, "the present episode was refused")
            return
        require("P10", epoch == current, f"{verb} of episode {epoch} in episode {current}")
        due = state == "triggered" if verb == "acknowledge" else state != "resolved"
        require("P9", changed == due, f"{verb} of {state} said {changed}")
        if changed:
            self._ended(pk, "acknowledged" if verb == "acknowledge" else "resolved", current, severity)
            self._happened(f"alert.{verb}", pk)
        self.check()

    def _ended(self, pk, state, epoch, severity):
        self.alerts[pk] = [state, epoch, severity]
        if state == "resolved":
            self.open = {key: held for key, held in self.open.items() if held != pk}

    def _happened(self, action, pk):
        self.events[action, pk] = self.events.get((action, pk), 0) + 1

    # --- Workers --------------------------------------------------------------------------------------------
    def escalate(self, twice=False):
        """The tick of one worker, or of two at the same time."""
        before = {run.pk: run for run in self._runs().filter(state=EscalationState.ACTIVE)}
        other = Beside(lambda: paging.escalate_due(now=self.now)) if twice else None
        paging.escalate_due(now=self.now)
        if other:
            other.done()
        for run in self._runs().filter(pk__in=before):
            self._walked(before[run.pk], run)
        self.check()

    def _walked(self, before, after):
        if after.version == before.version:
            return
        plan = self.frozen[after.pk]
        way = places(plan)
        at = way.index((before.cycle, before.step))
        require("P5", before.next_at <= self.now, "a step before its time")
        require("P6", after.version == before.version + 1, "more than one step in one tick")
        expected = way[min(at + 1, len(way) - 1)]
        require("P5", (after.cycle, after.step) == expected, f"{(after.cycle, after.step)} after {way[at]}")
        if after.state == EscalationState.ACTIVE:
            wait = plan["steps"][after.step]["wait_s"] if after.step < len(plan["steps"]) else 0
            require("P5", after.next_at >= self.now + timedelta(seconds=wait), "the wait was cut short")
        if before.step < len(plan["steps"]):
            targets = {(t["kind"], t["address"]) for t in plan["steps"][before.step]["targets"]}
            made = Page.objects.filter(escalation=after, cycle=before.cycle, step=before.step)
            require("P12", targets == set(made.values_list("kind", "address")), "not whom the plan names")

    def claim(self, worker):
        taken = self._claim_one()
        if taken:
            self._took(worker, taken)

    def claim_both(self):
        """Both workers reach for the same pages at the same time."""
        other = Beside(self._claim_one)
        taken = [page for page in (self._claim_one(), other.done()) if page]
        for worker, page in enumerate(sorted(taken, key=lambda one: one.pk)):
            self._took(worker, page)

    def claim_while(self, verb, pk):
        """A worker reaches for pages while somebody acknowledges or resolves; the act commits first."""
        with transaction.atomic():
            self.act(verb, pk, self.alerts[pk][1])
            other = Beside(self._claim_one)
            other.waits()
        page = other.done()
        if page:
            self._took(0, page)

    def _claim_one(self):
        for pk in outbox.due_ids(now=self.now, limit=20):
            page = outbox.claim(pk, now=self.now)
            if page:
                return page
        return None

    def _took(self, worker, page):
        if page.escalation_id:
            held = self.alerts[page.alert_id][:2]
            require("P3", held == ["triggered", page.epoch], f"claimed of an alert that is {held}")
        before = self.claims.setdefault(page.pk, [])
        for claim in before:
            free = claim.over or claim.page.lease_until < self.now
            require("P4", free, "claimed while another worker held it")
            require("P4", claim.page.key == page.key, "a second try under another key")
            require("P4", claim.page.token < page.token, "a second try under the same token")
        before.append(Claim(page))
        self.hands[worker] = before[-1]

    def tell(self, claim, outcome, arrives):
        """The provider is called; an ambiguous call may have arrived."""
        claim.outcome = outcome
        if outcome == "sent" or (outcome == "ambiguous" and arrives):
            self.delivered.append((claim.page.pk, claim.page.key))

    def record(self, claim):
        """What the provider said is written down, by whoever asked it and however late."""
        receipt = Receipt(claim.outcome, "" if claim.outcome == "sent" else "the provider said no")
        page = Page.objects.get(pk=claim.page.pk)
        lost = (page.token, page.state) != (claim.page.token, PageState.CLAIMED)
        state = outbox.record_result(claim.page, receipt, started_at=self.now, now=self.now)
        require("P14", (state == "late") == lost, f"a result of claim {claim.page.token} was {state}")
        if lost:
            after = Page.objects.get(pk=page.pk)
            require(
                "P14", (after.state, after.token) == (page.state, page.token), "a late result changed a page"
            )
        elif state in (PageState.SENT, PageState.FAILED):
            self._happened(f"page.{state}", page.pk)
        kept = Attempt.objects.filter(page=page, token=claim.page.token).count()
        require("P14", kept == 1, f"{kept} receipts of one try")
        claim.over = True
        self.check()

    # --- Policies -------------------------------------------------------------------------------------------
    def edit_policy(self, policy, how):
        steps = EscalationStep.objects.filter(policy=policy)
        if how == "hurry":
            steps.update(wait_before_s=0)
        elif how == "empty":
            steps.delete()
        elif how == "more":
            EscalationStep.objects.create(policy=policy, order=9).users.add(make_user("carol"))
        else:
            policy.delete()
            self.policies.remove(policy)
        self.check()

    # --- What holds always ----------------------------------------------------------------------------------
    def _runs(self):
        return Escalation.objects.filter(pk__in=self.frozen)

    def check(self):
        """After every verb."""
        for alert in Alert.objects.filter(pk__in=self.alerts):
            require(
                "P9", [alert.state, alert.epoch] == self.alerts[alert.pk][:2], "a state that nobody asked for"
            )
        over = {pk for pk, (state, _, _) in self.alerts.items() if state != AlertState.TRIGGERED}
        for run in self._runs():
            require("P12", run.plan == self.frozen[run.pk], "a running plan was changed")
            state, epoch, _ = self.alerts[run.alert_id]
            ended = run.alert_id in over or run.epoch != epoch
            going = run.state in (EscalationState.ACTIVE, EscalationState.PAUSED)
            require("P3", not (ended and going), f"an escalation goes on for an alert that is {state}")
            require("P8", ended or run.state != EscalationState.STOPPED, "stopped though nobody acknowledged")
        waiting = Page.objects.filter(alert__in=over, escalation__isnull=False, state=PageState.PENDING)
        retried = {c.page.pk for claims in self.claims.values() for c in claims if c.over}
        require("P3", not waiting.exclude(pk__in=retried).exists(), "a page waits for an alert that is over")

    # --- What holds at last ---------------------------------------------------------------------------------
    def settle(self):
        """All workers die, healthy ones come: everything ends, and nothing was lost."""
        self.hands, self.slow = [None, None], []
        for _ in range(400):
            self.escalate()
            while page := self._claim_one():
                self._took(0, page)
                self.tell(self.hands[0], "sent", True)
                self.record(self.hands[0])
            due = [*self._going().values_list("next_at", flat=True)]
            due += self._waiting().values_list("next_try_at", flat=True)
            if not due:
                break
            self.now = max(self.now, min(due)) + timedelta(seconds=1)
        require("P7", not self._going().exists(), "an escalation without end")
        require("P7", not self._waiting().exists(), "a page without end")
        self._check_pages()
        self._check_events()

    def _going(self):
        return self._runs().filter(state=EscalationState.ACTIVE)

    def _waiting(self):
        return Page.objects.filter(alert__in=self.alerts, state__in=LIVE)

    def _check_pages(self):
        arrived = {pk for pk, _ in self.delivered}
        for page in Page.objects.filter(alert__in=self.alerts).prefetch_related("receipts"):
            state, epoch, _ = self.alerts[page.alert_id]
            if page.state in (PageState.SENT, PageState.DELIVERED):
                require("P8", page.pk in arrived, "marked as sent, and never arrived")
            elif page.state == PageState.FAILED:
                tried = any(receipt.outcome != "sent" for receipt in page.receipts.all())
                require("P8", tried and page.failure, "failed without a try or a reason")
            elif not page.escalation_id or (state == "triggered" and page.epoch == epoch):
                raise Broken("P8", f"a page that counts is {page.state}")
        tokens = {pk: len(claims) for pk, claims in self.claims.items()}
        for pk, tries in tokens.items():
            arrivals = sum(one == pk for one, _ in self.delivered)
            require("P4", arrivals <= tries, f"{arrivals} deliveries of {tries} claims")
        for run in self._runs():
            self._check_run(run)

    def _check_run(self, run):
        if self.alerts[run.alert_id][:2] != ["triggered", run.epoch]:
            return
        made = set(Page.objects.filter(escalation=run).values_list("cycle", "step"))
        promised = {place for place in places(self.frozen[run.pk]) if place[1] < len(run.plan["steps"])}
        require("P8", promised <= made, "a step was passed over")
        reached = Page.objects.filter(escalation=run, state=PageState.SENT).exists()
        require("P8", reached, "nobody was reached, not even the fallback, though the provider was well")

    def _check_events(self):
        """Each change of state has one event, by somebody."""
        for (action, pk), times in self.events.items():
            told = AuditEvent.objects.filter(action=action, resource_id=str(pk))
            require("P17", told.count() == times, f"{told.count()} events {action} for {times} changes")
            require("P17", not told.filter(actor_label="").exists(), f"{action} by nobody")

    def put_away(self):
        """The next history has the tables to itself."""
        Escalation.objects.filter(state=EscalationState.ACTIVE).update(state=EscalationState.STOPPED)
        Page.objects.filter(state__in=LIVE).update(state=PageState.CANCELLED)
