"""Incidents, what happened in them, and what was learned."""

from functools import reduce
from operator import and_

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from apps.core.severity import Severity
from apps.incidents import states
from apps.incidents.durations import STAMPS, earlier_stamps
from apps.projects.models import Component, Project

User = settings.AUTH_USER_MODEL


class IncidentState(models.TextChoices):
    """Where the work stands. Legal moves: apps.incidents.states."""

    TRIAGE = "triage", "Triage"
    INVESTIGATING = "investigating", "Investigating"
    IDENTIFIED = "identified", "Identified"
    MONITORING = "monitoring", "Monitoring"
    RESOLVED = "resolved", "Resolved"
    CLOSED = "closed", "Closed"
    DECLINED = "declined", "Declined"
    MERGED = "merged", "Merged"
    CANCELLED = "cancelled", "Cancelled"


def _in_order() -> Q:
    """Each stamp not before those that come earlier; an unset one makes its comparison unknown, which passes."""
    pairs = [(later, first) for later in STAMPS for first in earlier_stamps(later)]
    return reduce(and_, (Q(**{f"{later}__gte": F(first)}) for later, first in pairs))


class IncidentQuerySet(models.QuerySet["Incident"]):
    """The words that pages use."""

    def open(self) -> "IncidentQuerySet":
        """Not yet resolved, and neither declined, merged nor cancelled."""
        return self.filter(state__in=states.INCIDENT_OPEN)


class Incident(models.Model):
    """Something that needs people, from its first sign to what was learned.

    The five stamps may be unset, which is not zero. `version` guards against two people acting on one stale page.
    """

    title = models.CharField(max_length=200)
    project = models.ForeignKey(Project, models.PROTECT, related_name="incidents")
    components = models.ManyToManyField(Component, related_name="incidents", blank=True)
    severity = models.CharField(max_length=8, choices=Severity.choices, default=Severity.ERROR)
    state = models.CharField(max_length=13, choices=IncidentState, default=IncidentState.TRIAGE)
    summary = models.TextField(
        blank=True, help_text="One or two sentences for somebody who has just been woken."
    )
    commander = models.ForeignKey(
        User, models.SET_NULL, null=True, blank=True, related_name="commanded_incidents"
    )
    opened_by = models.CharField(max_length=150, blank=True, editable=False)
    page_nobody = models.BooleanField(
        default=False, help_text="Opened by hand without an alert and without a page."
    )
    began_at = models.DateTimeField(help_text="When users were first hit.")
    detected_at = models.DateTimeField(null=True, blank=True)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    mitigated_at = models.DateTimeField(null=True, blank=True)
    resolved_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.CharField(max_length=150, blank=True, editable=False)
    open_alerts = models.PositiveIntegerField(default=0, editable=False, help_text="Kept by the alerts room.")
    merged_into = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="merged")
    version = models.PositiveIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(editable=False)
    backfilled = models.BooleanField(default=False, editable=False)

    objects = IncidentQuerySet.as_manager()

    class Meta:
        ordering = ("-began_at",)
        indexes = (
            # Triage: what is open, newest first. The partial index stays small however many are closed.
            models.Index(
                fields=("-began_at",), name="incidents_open",
                condition=Q(state__in=("triage", "investigating", "identified", "monitoring")),
            ),
            models.Index(fields=("state", "-began_at"), name="incidents_state"),
        )  # fmt: skip
        # Whoever writes, by hand, by service or by two of them at once: the stamps stay in their order.
        constraints = (models.CheckConstraint(condition=_in_order(), name="incidents_stamps_in_order"),)
        permissions = (
            ("work_incident", "Can acknowledge, note, mitigate and resolve incidents"),
            ("command_incident", "Can resolve the two highest severities, close, merge and cancel"),
        )

    def __str__(self) -> str:
        return f"INC-{self.pk} {self.title}"

    @property
    def number(self) -> str:
        """What people say aloud."""
        return f"INC-{self.pk}"

    @property
    def is_open(self) -> bool:
        """Whether somebody still has to do something about the failure itself."""
        return self.state in states.INCIDENT_OPEN

    @property
    def needs_postmortem(self) -> bool:
        """A critical failure requires one."""
        return self.severity == Severity.CRITICAL


class TimelineEntry(models.Model):
    """What happened, in order. Append-only by trigger and grant: a correction is a new entry that names the old one."""

    class Kind(models.TextChoices):
        """Machine facts and human notes are told apart."""

        HUMAN = "human", "Person"
        MACHINE = "machine", "Machine"

    incident = models.ForeignKey(Incident, models.CASCADE, related_name="timeline", db_index=False)
    at = models.DateTimeField()
    kind = models.CharField(max_length=7, choices=Kind)
    action = models.CharField(max_length=48, help_text="noun.verb, such as page.sent or incident.note.")
    text = models.TextField()
    tone = models.CharField(max_length=8, default="neutral", help_text="neutral, bad, good")
    actor = models.ForeignKey(User, models.DO_NOTHING, null=True, related_name="+", db_constraint=False)
    actor_label = models.CharField(max_length=150, blank=True)
    data = models.JSONField(default=dict)
    corrects = models.ForeignKey("self", models.DO_NOTHING, null=True, related_name="+", db_constraint=False)

    class Meta:
        ordering = ("-at", "-id")
        default_permissions = ("add", "view")
        # The timeline of one incident, newest first.
        indexes = (models.Index(fields=("incident", "-at", "-id"), name="incidents_timeline"),)

    def __str__(self) -> str:
        return self.text[:80]


class PostMortemState(models.TextChoices):
    """Where the document stands. Legal moves: apps.incidents.states."""

    DRAFT = "draft", "Draft"
    IN_REVIEW = "in_review", "In review"
    CHANGES_REQUESTED = "changes_requested", "Changes requested"
    APPROVED = "approved", "Approved"
    PUBLISHED = "published", "Published"


class PostMortem(models.Model):
    """What happened, why, and what will be done. Approval by somebody else pins the text's hash in the audit log."""

    SECTIONS = ("summary", "root_cause", "impact", "mitigation", "timeline", "tests_added", "lessons")
    REQUIRED = ("summary", "root_cause", "impact", "mitigation", "timeline", "tests_added")

    incident = models.OneToOneField(Incident, models.PROTECT, related_name="postmortem")
    state = models.CharField(max_length=17, choices=PostMortemState, default=PostMortemState.DRAFT)
    author = models.ForeignKey(User, models.PROTECT, related_name="postmortems")
    summary = models.TextField(blank=True, help_text="Three sentences for somebody who was not there.")
    root_cause = models.TextField(blank=True, help_text="What made it possible, not who was near.")
    impact = models.TextField(blank=True, help_text="Who was hit, how long, how badly: with figures.")
    mitigation = models.TextField(blank=True, help_text="What ended it.")
    timeline = models.TextField(blank=True, help_text="Drawn from the incident; shorten it to what matters.")
    tests_added = models.TextField(
        blank=True, help_text="Which tests now fail if it comes back, or why none can."
    )
    lessons = models.TextField(blank=True, help_text="What went well, what did not, where we were lucky.")
    due_on = models.DateField()
    submitted_at = models.DateTimeField(null=True, editable=False)
    submitted_by = models.ForeignKey(User, models.PROTECT, null=True, editable=False, related_name="+")
    approved_at = models.DateTimeField(null=True, editable=False)
    approved_by = models.ForeignKey(User, models.PROTECT, null=True, editable=False, related_name="+")
    published_at = models.DateTimeField(null=True, editable=False)
    review_note = models.TextField(blank=True, editable=False)
    content_hash = models.CharField(max_length=64, blank=True, editable=False)
    version = models.PositiveIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(editable=False)
    backfilled = models.BooleanField(default=False, editable=False)

    class Meta:
        ordering = ("-created_at",)
        verbose_name = "post-mortem"
        permissions = (("approve_postmortem", "Can review and approve post-mortems that others wrote"),)
        # The reviewer's home: what waits for whom.
        indexes = (models.Index(fields=("state", "due_on"), name="incidents_postmortem_state"),)

    def __str__(self) -> str:
        return f"Post-mortem of {self.incident.number}" if self.incident_id else "Post-mortem"


class ActionItem(models.Model):
    """Something somebody promised to do by a date, so that it does not happen again or hurts less."""

    class Kind(models.TextChoices):
        """What it would have changed."""

        PREVENT = "prevent", "Prevent"
        DETECT = "detect", "Detect"
        MITIGATE = "mitigate", "Mitigate"
        PROCESS = "process", "Process"

    class State(models.TextChoices):
        """Open until done, or until somebody says why not."""

        OPEN = "open", "Open"
        IN_PROGRESS = "in_progress", "In progress"
        DONE = "done", "Done"
        WONT_DO = "wont_do", "Won't do"

    postmortem = models.ForeignKey(PostMortem, models.CASCADE, related_name="action_items")
    title = models.CharField(max_length=200)
    kind = models.CharField(max_length=8, choices=Kind, default=Kind.PREVENT)
    state = models.CharField(max_length=11, choices=State, default=State.OPEN)
    owner = models.ForeignKey(User, models.PROTECT, related_name="action_items")
    due_on = models.DateField()
    tracker_url = models.URLField(blank=True)
    closed_at = models.DateTimeField(null=True, editable=False)
    closing_note = models.TextField(blank=True, help_text="Required for Won't do.")
    created_at = models.DateTimeField(editable=False)
    backfilled = models.BooleanField(default=False, editable=False)

    class Meta:
        ordering = ("due_on", "id")
        # What is due: of everybody, and of one owner.
        indexes = (models.Index(fields=("state", "due_on"), name="incidents_actionitem_due"),)

    def __str__(self) -> str:
        return self.title
