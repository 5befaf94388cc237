"""Alerts over the API: what is active, figures, acknowledge, resolve."""

from typing import Any

import django_filters
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.utils import timezone
from drf_spectacular.utils import OpenApiTypes, extend_schema
from rest_framework import exceptions, generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.alerts import expiry, queries, services
from apps.alerts.models import Alert, AlertState, AlertSuppression
from apps.alerts.services import Act
from apps.core.severity import Severity, severity_of
from apps.incidents import api as incidents_api
from apps.incidents.api import StorySerializer
from apps.incidents.models import Incident
from apps.projects.authentication import scope


class Conflict(exceptions.ValidationError):
    """409: the alert itself was faster. It speaks of a field of the input, so the field is named."""

    status_code = 409
    default_code = "conflict"


class SuppressedBy(serializers.ModelSerializer):
    """A reason in force."""

    class Meta:
        model = AlertSuppression
        fields = ("kind", "reason", "by", "since", "until")


class AlertSerializer(serializers.ModelSerializer):
    """An alert as the API shows it."""

    component = serializers.CharField(source="component.name", default="", read_only=True)
    project = serializers.CharField(source="project.slug", read_only=True)
    rule = serializers.CharField(source="rule.name", default="", read_only=True)
    integration = serializers.CharField(source="integration.name", default="", read_only=True)
    incident = serializers.IntegerField(source="incident_id", read_only=True, allow_null=True)
    dedupKey = serializers.CharField(source="dedup_key", read_only=True)
    firstSeenAt = serializers.DateTimeField(source="first_seen_at", read_only=True)
    triggeredAt = serializers.DateTimeField(source="triggered_at", read_only=True)
    lastSeenAt = serializers.DateTimeField(source="last_seen_at", read_only=True)
    acknowledgedAt = serializers.DateTimeField(source="acked_at", read_only=True)
    acknowledgedBy = serializers.CharField(source="acked_by", read_only=True)
    resolvedAt = serializers.DateTimeField(source="resolved_at", read_only=True)
    resolvedBy = serializers.CharField(source="resolved_by", read_only=True)
    suppressedBy = SuppressedBy(source="reasons_now", many=True, read_only=True)

    class Meta:
        model = Alert
        fields = (
            "id", "title", "sentence", "severity", "state", "epoch", "count", "value", "component",
            "project", "rule", "integration", "incident", "labels", "dedupKey", "firstSeenAt", "triggeredAt",
            "lastSeenAt", "acknowledgedAt", "acknowledgedBy", "resolvedAt", "resolvedBy", "suppressed", "suppressedBy",
        )  # fmt: skip


def shown(alerts: QuerySet[Alert]) -> QuerySet[Alert]:
    """With all that the serializer reads."""
    return alerts.select_related("component", "project", "rule", "integration").prefetch_related(
        "suppressions"
    )


class AlertFilter(django_filters.FilterSet):
    """?severity=critical&component=Payments&project=shop&state=acknowledged; severities may be given by alias."""

    severity = django_filters.CharFilter(method="by_severity")
    component = django_filters.CharFilter(method="by_component")
    project = django_filters.CharFilter(field_name="project__slug")
    state = django_filters.ChoiceFilter(choices=AlertState.choices)
    suppressed = django_filters.BooleanFilter()

    class Meta:
        model = Alert
        fields = ("severity", "component", "project", "state", "suppressed")

    def by_severity(self, alerts: QuerySet[Alert], name: str, word: str) -> QuerySet[Alert]:
        """An unknown word names the known ones."""
        severity = severity_of(word)
        if severity is None:
            known = ", ".join(Severity.values)
            raise serializers.ValidationError(
                {"severity": f"Unknown severity {word[:40]!r}. Known: {known}."}
            )
        return alerts.filter(severity=severity)

    def by_component(self, alerts: QuerySet[Alert], name: str, word: str) -> QuerySet[Alert]:
        """By name or slug."""
        return alerts.filter(Q(component__name=word) | Q(component__slug=word))


class AlertList(generics.ListAPIView):
    """Active alerts, newest first; with ?state= those of one state, resolved ones included."""

    permission_classes = (scope("api:read", "alerts.view_alert"),)
    serializer_class = AlertSerializer
    filterset_class = AlertFilter

    def get_queryset(self) -> QuerySet[Alert]:
        """Open ones unless a state is asked for."""
        alerts = Alert.objects.real()
        return shown(alerts if self.request.query_params.get("state") else alerts.open())


class AlertStats(APIView):
    """Figures of what is open and of the last seven days."""

    permission_classes = (scope("api:read", "alerts.view_alert"),)

    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:
        """Counts; a figure without data is null, not 0."""
        return Response(queries.stats(now=timezone.now()))


class AlertDetail(generics.RetrieveAPIView):
    """One alert, in whatever state."""

    permission_classes = (scope("api:read", "alerts.view_alert"),)
    serializer_class = AlertSerializer
    queryset = shown(Alert.objects.all())


class ActSerializer(serializers.Serializer):
    """The body of acknowledge and resolve: the episode that the caller saw, if it wants to be sure."""

    epoch = serializers.IntegerField(required=False, min_value=1)


class SnoozeSerializer(ActSerializer):
    """The body of snooze: when the alert fires again, unless it is resolved by then."""

    until = serializers.DateTimeField(help_text="Within the next seven days, with its offset.")


class AlertAct(generics.GenericAPIView):
    """POST by somebody; doing it twice is a success without change, a stale epoch is 409."""

    permission_classes = (scope("alerts:write", "alerts.acknowledge_alert"),)
    serializer_class = ActSerializer
    queryset = shown(Alert.objects.all())
    service: Any = None

    @extend_schema(request=ActSerializer, responses=AlertSerializer)
    def post(self, request: Request, pk: int) -> Response:
        """Run the service and show the alert as it is now."""
        given = self.get_serializer(data=request.data)
        given.is_valid(raise_exception=True)
        alert, user = self.get_object(), request.user
        act = Act(by=user.get_username(), at=timezone.now(), via="api", actor=user)
        try:
            type(self).service(alert=alert, act=act, **given.validated_data)
        except ValidationError as refusal:
            said = refusal.message_dict
            late = said.keys() & {"epoch", "state"}  # the alert was faster than the caller
            raise (Conflict if late else serializers.ValidationError)(said) from refusal
        alert.refresh_from_db()
        return Response(AlertSerializer(alert).data)


class AlertAcknowledge(AlertAct):
    """Stop the paging of an alert."""

    service = staticmethod(services.acknowledge)


class AlertResolve(AlertAct):
    """End an alert; its incident stays for people."""

    service = staticmethod(services.resolve)


class AlertSnooze(AlertAct):
    """Acknowledge until a time; then the alert fires again."""

    serializer_class = SnoozeSerializer
    service = staticmethod(expiry.snooze)

    @extend_schema(request=SnoozeSerializer, responses=AlertSerializer)
    def post(self, request: Request, pk: int) -> Response:
        """As the other acts, with `until`."""
        return super().post(request, pk)


# --- Incidents: what stops paging ----------------------------------------------------------------------------
class NothingSerializer(serializers.Serializer):
    """A body without fields."""


class IncidentAct(generics.GenericAPIView):
    """POST on a whole incident, effective at once; doing it twice is a success without change."""

    permission_classes = (scope("incidents:write", "alerts.acknowledge_alert", "incidents.work_incident"),)
    serializer_class = NothingSerializer
    queryset = Incident.objects.all()
    service: Any = None

    @extend_schema(request=NothingSerializer, responses=StorySerializer)
    def post(self, request: Request, pk: int) -> Response:
        """Run the service and show the incident as it is now."""
        incident, user = self.get_object(), request.user
        act = Act(by=user.get_username(), at=timezone.now(), via="api", actor=user)
        type(self).service(incident=incident, act=act)
        incident.refresh_from_db()
        return Response(StorySerializer(incident).data)


class IncidentAcknowledge(IncidentAct):
    """Take an incident: all its alerts are acknowledged, and nobody else is paged."""

    service = staticmethod(services.acknowledge_incident)


class IncidentResolve(IncidentAct):
    """The failure is over: the incident and all its alerts. 403 where the severity asks for another role."""

    service = staticmethod(services.resolve_incident)


class IncidentMove(incidents_api.IncidentMove):
    """A transition. One that ends the incident ends its alerts and their paging in the same transaction.

    409 tells who was faster, or what is legal from the state that it has by now.
    """

    service = staticmethod(services.move_incident)
