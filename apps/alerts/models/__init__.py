"""Deciding and paging: rules, alerts, frozen escalations, and the outbox of pages with the receipts of each try.

One file for each part; imported from here.
"""

from apps.alerts.models.acks import AlertAck
from apps.alerts.models.alerts import Alert, AlertQuerySet, AlertState
from apps.alerts.models.delivery import Breaker
from apps.alerts.models.drills import Drill, DrillPlan
from apps.alerts.models.integrations import (
    AnswerLink,
    InboundAnswer,
    Integration,
    IntegrationKey,
    IntegrationKeyQuerySet,
    Occurrence,
    door_kinds,
)
from apps.alerts.models.oncall import CalendarLink, Layer, LayerMember, Override, PersonZone, Schedule
from apps.alerts.models.pages import Attempt, Escalation, EscalationQuerySet, EscalationState, Page, PageState
from apps.alerts.models.policies import EscalationPolicy, EscalationStep
from apps.alerts.models.rules import AlertRule, RuleState, measures
from apps.alerts.models.slack import SlackPerson
from apps.alerts.models.suppression import AlertCycle, AlertSuppression, Repeats, Suppression
from apps.alerts.models.targets import Channel, ContactMethod, channel_kinds
from apps.alerts.models.watchdog import Watchdog

__all__ = [
    "Alert",
    "AlertAck",
    "AlertCycle",
    "AlertQuerySet",
    "AlertRule",
    "AlertState",
    "AlertSuppression",
    "AnswerLink",
    "Attempt",
    "Breaker",
    "CalendarLink",
    "Channel",
    "ContactMethod",
    "Drill",
    "DrillPlan",
    "Escalation",
    "EscalationPolicy",
    "EscalationQuerySet",
    "EscalationState",
    "EscalationStep",
    "InboundAnswer",
    "Integration",
    "IntegrationKey",
    "IntegrationKeyQuerySet",
    "Layer",
    "LayerMember",
    "Occurrence",
    "Override",
    "Page",
    "PageState",
    "PersonZone",
    "Repeats",
    "RuleState",
    "Schedule",
    "SlackPerson",
    "Suppression",
    "Watchdog",
    "channel_kinds",
    "door_kinds",
    "measures",
]
