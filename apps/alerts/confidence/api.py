"""Whether everybody on call can be reached, over the API: without addresses."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.alerts.confidence import reachability
from apps.alerts.confidence.reachability import Gap, Reached
from apps.projects.authentication import scope


class WaySerializer(serializers.Serializer):
    """One way to reach a person: of which kind, and what is known of it."""

    kind = serializers.CharField()
    state = serializers.CharField()
    verifiedAt = serializers.DateTimeField(allow_null=True)
    testedAt = serializers.DateTimeField(allow_null=True)


class BecauseSerializer(serializers.Serializer):
    """Why somebody may be paged."""

    policy = serializers.CharField()
    reason = serializers.CharField()


class ReachedSerializer(serializers.Serializer):
    """A person whom the days may page; `state` of their best way: ok, stale, unverified, failing, none or gone."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    state = serializers.CharField()
    reachable = serializers.BooleanField()
    firstDuty = serializers.DateTimeField(allow_null=True, help_text="null: may be paged at any time")
    ways = WaySerializer(many=True)
    because = BecauseSerializer(many=True)


class GapSerializer(serializers.Serializer):
    """Nobody is on call. `covered`: another step of the policy reaches somebody meanwhile."""

    schedule = serializers.CharField()
    policy = serializers.CharField()
    covered = serializers.BooleanField()
    since = serializers.DateTimeField()
    until = serializers.DateTimeField()


class AuditSerializer(serializers.Serializer):
    """The whole."""

    ok = serializers.BooleanField()
    sentence = serializers.CharField()
    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    people = ReachedSerializer(many=True)
    gaps = GapSerializer(many=True)


class Reachability(APIView):
    """GET /api/reliability/on-call/reachability: whom the next seven days may page, whether each can be reached, and
    when nobody is there."""

    permission_classes = (scope("api:read", "alerts.view_escalationpolicy"),)

    @extend_schema(responses=AuditSerializer)
    def get(self, request: Request) -> Response:
        """Who cannot be reached comes first."""
        made = reachability.audit(now=timezone.now())
        row = {
            "ok": made.ok, "sentence": made.sentence, "since": made.start, "until": made.end,
            "people": [_person(one) for one in made.people], "gaps": [_gap(gap) for gap in made.gaps],
        }  # fmt: skip
        return Response(AuditSerializer(row).data)


def _person(one: Reached) -> dict[str, Any]:
    return {
        "id": one.person.id, "name": one.person.name, "state": one.state, "reachable": not one.bad,
        "firstDuty": one.first,
        "ways": [
            {"kind": way.kind, "state": state, "verifiedAt": way.verified_at, "testedAt": way.tested_at}
            for way, state in one.ways
        ],
        "because": [{"policy": why.policy, "reason": why.as_what} for why in one.because],
    }  # fmt: skip


def _gap(gap: Gap) -> dict[str, Any]:
    return {
        "schedule": gap.schedule, "policy": gap.policy, "covered": not gap.nobody,
        "since": gap.starts, "until": gap.ends,
    }  # fmt: skip
