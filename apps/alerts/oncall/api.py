"""Who is on call, over the API."""

from datetime import datetime
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.alerts.models.oncall import YEARS
from apps.alerts.oncall import queries as oncall_queries
from apps.alerts.oncall.queries import Duty
from apps.projects.authentication import scope


class AskedSerializer(serializers.Serializer):
    """`at`: the moment asked about, now without it; `schedule`: its name; `team`: the team's slug."""

    at = serializers.DateTimeField(required=False)
    schedule = serializers.CharField(required=False, max_length=80)
    team = serializers.CharField(required=False, max_length=60)


class PersonSerializer(serializers.Serializer):
    """A person, without addresses."""

    id = serializers.IntegerField()
    name = serializers.CharField()


class DutySerializer(serializers.Serializer):
    """A schedule at one moment. `gap` says that nobody has it."""

    id = serializers.IntegerField()
    schedule = serializers.CharField()
    team = serializers.CharField(allow_blank=True)
    zone = serializers.CharField()
    gap = serializers.BooleanField()
    onCall = PersonSerializer(many=True)
    since = serializers.DateTimeField(allow_null=True, help_text="null: longer than two weeks ago")
    until = serializers.DateTimeField(allow_null=True, help_text="null: longer than two weeks from then")
    next = serializers.ListField(child=serializers.CharField())


class OnCallNow(APIView):
    """GET /api/on-call/: every schedule with who has it now (or at `?at=`), since and until when, and who follows."""

    permission_classes = (scope("api:read", "alerts.view_schedule"),)

    @extend_schema(parameters=[AskedSerializer], responses=DutySerializer(many=True))
    def get(self, request: Request) -> Response:
        """By name; `?schedule=` and `?team=` narrow it."""
        asked = AskedSerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        given = asked.validated_data
        duties = oncall_queries.on_call_now(_at(given.get("at")))
        return Response([_row(duty) for duty in duties if _wanted(duty, given)])


def _at(given: datetime | None) -> datetime:
    if given is None:
        return timezone.now()
    if given.year not in YEARS:
        raise serializers.ValidationError({"at": f"Outside the years {YEARS[0]} to {YEARS[-1]}."})
    return given


def _wanted(duty: Duty, given: dict[str, Any]) -> bool:
    team = duty.schedule.team.slug if duty.schedule.team else ""
    return given.get("schedule", duty.schedule.name) == duty.schedule.name and given.get("team", team) == team


def _row(duty: Duty) -> dict[str, Any]:
    people = zip(duty.user_ids, duty.people, strict=True)
    row = {
        "id": duty.schedule.pk, "schedule": duty.schedule.name, "zone": duty.schedule.zone, "gap": duty.is_gap,
        "team": duty.schedule.team.slug if duty.schedule.team else "",
        "onCall": [{"id": pk, "name": name} for pk, name in people],
        "since": duty.shift.starts if duty.since_known else None,
        "until": duty.shift.ends if duty.until_known else None,
        "next": duty.then,
    }  # fmt: skip
    return dict(DutySerializer(row).data)
