"""Deciding and paging: rules, alerts, frozen escalations, and the outbox of pages with the receipts of each try.

One file for each part; imported from here.
"""

from apps.alerts.models.alerts import Alert, AlertQuerySet, AlertState
from apps.alerts.models.oncall import CalendarLink, Layer, LayerMember, Override, PersonZone, Schedule
from apps.alerts.models.pages import Attempt, Escalation, EscalationQuerySet, EscalationState, Page, PageState
from apps.alerts.models.policies import EscalationPolicy, EscalationStep
from apps.alerts.models.rules import AlertRule, RuleState, measures
from apps.alerts.models.suppression import AlertCycle, AlertSuppression, Repeats, Suppression
from apps.alerts.models.targets import Channel, ContactMethod, channel_kinds

__all__ = [
    "Alert",
    "AlertCycle",
    "AlertQuerySet",
    "AlertRule",
    "AlertState",
    "AlertSuppression",
    "Attempt",
    "CalendarLink",
    "Channel",
    "ContactMethod",
    "Escalation",
    "EscalationPolicy",
    "EscalationQuerySet",
    "EscalationState",
    "EscalationStep",
    "Layer",
    "LayerMember",
    "Override",
    "Page",
    "PageState",
    "PersonZone",
    "Repeats",
    "RuleState",
    "Schedule",
    "Suppression",
    "channel_kinds",
    "measures",
]
