"""Incidents over the API: what is open, one with its story, opening, noting, moving, and how long things took.

A move that ends an incident stops its paging too, so its address belongs to the alerts room.
"""

from datetime import timedelta
from typing import Any

import django_filters
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, OpenApiTypes, extend_schema
from rest_framework import exceptions, generics, serializers, status
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.severity import Severity, severity_of
from apps.incidents import queries, services, states
from apps.incidents.models import Incident, IncidentState, TimelineEntry
from apps.projects.authentication import scope
from apps.projects.models import Component, Project

READ = scope("api:read", "incidents.view_incident")
TIMELINE_SHOWN = 500
STATS_WINDOW = timedelta(days=30)


class Conflict(exceptions.APIException):
    """409: somebody else was faster, or it is not in a state from which that is legal."""

    status_code = 409
    default_code = "conflict"
    default_detail = "Somebody else changed this first."


class SeverityField(serializers.CharField):
    """The scale's value of any alias; an unknown word names the known ones."""

    def to_internal_value(self, data: Any) -> str:
        """critical, error, warning or info."""
        word = super().to_internal_value(data)
        severity = severity_of(word)
        if severity is None:
            known = ", ".join(Severity.values)
            raise serializers.ValidationError(f"Unknown severity {word[:40]!r}. Known: {known}.")
        return severity


class IncidentSerializer(serializers.ModelSerializer):
    """An incident as the API shows it. A stamp that is not set is null."""

    project = serializers.CharField(source="project.slug", read_only=True)
    components = serializers.SerializerMethodField()
    commander = serializers.CharField(source="commander.username", default="", read_only=True)
    openedBy = serializers.CharField(source="opened_by", read_only=True)
    acknowledgedBy = serializers.CharField(source="acknowledged_by", read_only=True)
    openAlerts = serializers.IntegerField(source="open_alerts", read_only=True)
    mergedInto = serializers.IntegerField(source="merged_into_id", read_only=True, allow_null=True)
    beganAt = serializers.DateTimeField(source="began_at", read_only=True)
    detectedAt = serializers.DateTimeField(source="detected_at", read_only=True)
    acknowledgedAt = serializers.DateTimeField(source="acknowledged_at", read_only=True)
    mitigatedAt = serializers.DateTimeField(source="mitigated_at", read_only=True)
    resolvedAt = serializers.DateTimeField(source="resolved_at", read_only=True)
    closedAt = serializers.DateTimeField(source="closed_at", read_only=True)

    class Meta:
        model = Incident
        fields = (
            "id", "number", "title", "severity", "state", "summary", "project", "components", "commander", "openedBy",
            "acknowledgedBy", "openAlerts", "mergedInto", "beganAt", "detectedAt", "acknowledgedAt", "mitigatedAt",
            "resolvedAt", "closedAt", "version",
        )  # fmt: skip

    def get_components(self, incident: Incident) -> list[str]:
        """Names of the parts that are hit."""
        return [component.name for component in incident.components.all()]


class EntrySerializer(serializers.ModelSerializer):
    """One line of the timeline."""

    actor = serializers.CharField(source="actor_label", read_only=True)
    corrects = serializers.IntegerField(source="corrects_id", read_only=True, allow_null=True)

    class Meta:
        model = TimelineEntry
        fields = ("id", "at", "kind", "action", "text", "tone", "actor", "corrects")


class StorySerializer(IncidentSerializer):
    """An incident with its timeline, newest first, and the verbs that are legal from its state."""

    timeline = serializers.SerializerMethodField()
    verbs = serializers.SerializerMethodField()

    class Meta(IncidentSerializer.Meta):
        fields = (*IncidentSerializer.Meta.fields, "verbs", "timeline")  # type: ignore[assignment]

    @extend_schema(responses=EntrySerializer(many=True))
    def get_timeline(self, incident: Incident) -> list[dict[str, Any]]:
        """The newest 500 entries."""
        return list(EntrySerializer(incident.timeline.all()[:TIMELINE_SHOWN], many=True).data)

    def get_verbs(self, incident: Incident) -> list[str]:
        """Of the table of states; who may use them depends on the person."""
        return [step.verb for step in states.moves_from(states.INCIDENT_MOVES, incident.state)]


class OpenSerializer(serializers.Serializer):
    """The body that opens an incident. Components are named by slug or name."""

    title = serializers.CharField(max_length=200)
    project = serializers.SlugRelatedField(slug_field="slug", queryset=Project.objects.all())
    severity = SeverityField(max_length=20)
    components = serializers.ListField(
        child=serializers.CharField(max_length=80), default=list, max_length=50
    )
    summary = serializers.CharField(max_length=10_000, allow_blank=True, default="")
    beganAt = serializers.DateTimeField(source="began_at", required=False)
    pageNobody = serializers.BooleanField(source="page_nobody", default=False)

    def validate_beganAt(self, began_at: Any) -> Any:
        """Not ahead of now."""
        if began_at > timezone.now():
            raise serializers.ValidationError("It cannot begin in the future.")
        return began_at

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Find the components within the project."""
        words = set(attrs["components"])
        found = Component.objects.filter(Q(slug__in=words) | Q(name__in=words), project=attrs["project"])
        missing = sorted(words - {word for c in found for word in (c.slug, c.name)})
        if missing:
            raise serializers.ValidationError(
                {"components": f"Not part of {attrs['project']}: {', '.join(missing)}."}
            )
        return attrs | {"components": list(found)}


class NoteSerializer(serializers.Serializer):
    """A note, at most 10,000 characters; with `corrects` the id of the note that it corrects."""

    text = serializers.CharField(max_length=services.MAX_NOTE)
    corrects = serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1)


class MoveSerializer(serializers.Serializer):
    """A move: its verb, why, the version that the caller saw, and for merging the id of the one that takes over."""

    verb = serializers.ChoiceField(states.verbs(states.INCIDENT_MOVES))
    reason = serializers.CharField(max_length=services.MAX_REASON, allow_blank=True, default="")
    version = serializers.IntegerField(required=False, min_value=0, max_value=2**31 - 1)
    into = serializers.PrimaryKeyRelatedField(queryset=Incident.objects.all(), required=False)


class IncidentFilter(django_filters.FilterSet):
    """?severity=SEV1&component=Payments&project=shop&state=resolved; severities may be given by alias."""

    severity = django_filters.CharFilter(method="by_severity")
    component = django_filters.CharFilter(method="by_component")
    project = django_filters.CharFilter(field_name="project__slug")
    state = django_filters.ChoiceFilter(choices=IncidentState.choices)

    class Meta:
        model = Incident
        fields = ("severity", "component", "project", "state")

    def by_severity(self, incidents: QuerySet[Incident], name: str, word: str) -> QuerySet[Incident]:
        """An unknown word names the known ones."""
        try:
            return incidents.filter(severity=SeverityField().to_internal_value(word))
        except serializers.ValidationError as unknown:
            raise serializers.ValidationError({"severity": unknown.detail}) from unknown

    def by_component(self, incidents: QuerySet[Incident], name: str, word: str) -> QuerySet[Incident]:
        """By name or slug; each incident once."""
        hit = Component.objects.filter(Q(name=word) | Q(slug=word))
        return incidents.filter(
            pk__in=Incident.components.through.objects.filter(component__in=hit).values("incident")
        )


def _rows() -> QuerySet[Incident]:
    return Incident.objects.select_related("project", "commander").prefetch_related("components")


class IncidentList(generics.ListAPIView):
    """GET: open incidents, newest first; with ?state= those of one state. POST: open one by hand."""

    serializer_class = IncidentSerializer
    filterset_class = IncidentFilter

    def get_permissions(self) -> list[BasePermission]:
        """Reading and opening ask for different rights."""
        opening = scope("incidents:write", "incidents.add_incident")
        return [opening() if self.request.method == "POST" else READ()]

    def get_queryset(self) -> QuerySet[Incident]:
        """Open ones unless a state is asked for."""
        rows = _rows()
        return rows if self.request.query_params.get("state") else rows.filter(state__in=states.INCIDENT_OPEN)

    @extend_schema(request=OpenSerializer, responses={201: StorySerializer})
    def post(self, request: Request) -> Response:
        """Open an incident; it gets an alert, and so a page, on the next watch tick unless pageNobody."""
        given = OpenSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        now = timezone.now()
        facts = {"began_at": now, **given.validated_data}
        incident = services.open_incident(**facts, actor=request.user, now=now)
        return Response(StorySerializer(incident).data, status.HTTP_201_CREATED)


class IncidentDetail(generics.RetrieveAPIView):
    """One incident with its timeline."""

    permission_classes = (READ,)
    serializer_class = StorySerializer

    def get_queryset(self) -> QuerySet[Incident]:
        """Any state."""
        return _rows()


class IncidentNote(generics.GenericAPIView):
    """A note into the timeline."""

    permission_classes = (scope("incidents:write", "incidents.add_timelineentry"),)
    serializer_class = NoteSerializer
    queryset = Incident.objects.all()

    @extend_schema(request=NoteSerializer, responses={201: EntrySerializer})
    def post(self, request: Request, pk: int) -> Response:
        """Add it; it is never changed again."""
        incident = self.get_object()
        given = self.get_serializer(data=request.data)
        given.is_valid(raise_exception=True)
        named = given.validated_data.get("corrects")
        corrects = incident.timeline.filter(pk=named).first() if named else None
        if named and corrects is None:
            raise serializers.ValidationError({"corrects": "No entry of this incident has that id."})
        text = given.validated_data["text"]
        entry = services.add_note(
            incident=incident, text=text, actor=request.user, now=timezone.now(), corrects=corrects
        )
        return Response(EntrySerializer(entry).data, status.HTTP_201_CREATED)


class IncidentMove(generics.GenericAPIView):
    """A transition, by the service that a room above names: ending an incident stops paging.

    409 tells who was faster, or what is legal from the state that it has by now."""

    permission_classes = (scope("incidents:write", "incidents.work_incident"),)
    serializer_class = MoveSerializer
    queryset = Incident.objects.all()
    service: Any = staticmethod(services.move)

    @extend_schema(request=MoveSerializer, responses=StorySerializer)
    def post(self, request: Request, pk: int) -> Response:
        """Move it and show it as it is now."""
        incident = self.get_object()
        given = self.get_serializer(data=request.data)
        given.is_valid(raise_exception=True)
        try:
            moved = type(self).service(
                incident=incident, actor=request.user, now=timezone.now(), **given.validated_data
            )
        except ValidationError as refusal:
            if getattr(refusal, "code", None) in (services.STALE, services.ILLEGAL):
                raise Conflict(" ".join(refusal.messages)) from refusal
            raise
        return Response(StorySerializer(moved).data)


class RangeSerializer(serializers.Serializer):
    """The half-open range [since, until) in which incidents began; the last 30 days unless given."""

    since = serializers.DateTimeField(required=False)
    until = serializers.DateTimeField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Fill in what is not given."""
        until = attrs.get("until") or timezone.now()
        since = attrs.get("since") or until - STATS_WINDOW
        if since >= until:
            raise serializers.ValidationError({"since": "Must lie before until."})
        return {"since": since, "until": until}


class IncidentStats(generics.GenericAPIView):
    """Mean times of incidents that began in a range: to detect, acknowledge, mitigate, restore."""

    permission_classes = (READ,)
    serializer_class = RangeSerializer
    filterset_class = IncidentFilter
    queryset = Incident.objects.all()

    @extend_schema(
        parameters=[OpenApiParameter("since", OpenApiTypes.DATETIME), OpenApiParameter("until", OpenApiTypes.DATETIME)],
        responses=OpenApiTypes.OBJECT,
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """Median and 90th percentile in seconds with the number behind them; a figure without data is null, not 0."""
        given = self.get_serializer(data=request.query_params)
        given.is_valid(raise_exception=True)
        since, until = given.validated_data["since"], given.validated_data["until"]
        began = self.filter_queryset(self.get_queryset()).filter(began_at__gte=since, began_at__lt=until)
        figures = {
            name: {"medianSeconds": found.median_s, "p90Seconds": found.p90_s, "n": found.n}
            for name, found in queries.stats(began).items()
        }
        return Response({"since": since, "until": until, **figures})
