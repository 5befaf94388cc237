"""Analyses over the API: GET /api/analytics/<block>, as JSON or CSV."""

from typing import Any

from django.core.exceptions import ValidationError as Refused
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions, serializers
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.projects.authentication import scope as permission
from apps.reports.analytics import blocks, csv
from apps.reports.analytics.block import Shown, registry
from apps.reports.analytics.page import PERMISSIONS
from apps.reports.analytics.scope import DEFAULT, RANGES, read

READ = permission("api:read", *PERMISSIONS)
assert blocks.ORDER  # they are registered by being imported


class CsvRenderer(BaseRenderer):
    """`?format=csv`, or `Accept: text/csv`. What is refused is refused in JSON."""

    media_type = "text/csv"
    format = "csv"
    charset = "utf-8"

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None
    ) -> bytes:
        """`data` is a `Shown`; the file is named by its block and range."""
        response = renderer_context["response"]
        if not isinstance(data, Shown):
            response["Content-Type"] = "application/problem+json"
            return bytes(JSONRenderer().render(data, renderer_context=renderer_context))
        name = f"{data.block.name}-{data.scope.start:%Y%m%dT%H%MZ}.csv"
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        return csv.written(data.block, data.answer.rows).encode()


class AnalysisColumnSerializer(serializers.Serializer[Any]):
    """A column: its key in the rows, its heading, how its values are to be read."""

    name = serializers.CharField()
    heading = serializers.CharField()
    kind = serializers.CharField(
        help_text="text, code, count, share and rate (0 to 1), ms, time, badge, spark, group"
    )


class AnalysisSerializer(serializers.Serializer[Any]):
    """One analysis over [from, to)."""

    block = serializers.CharField()
    title = serializers.CharField()
    range = serializers.CharField(help_text="1h, 24h, 7d or 30d; empty for a from and to.")
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    of = serializers.CharField(help_text="project or project/component; empty: everything.")
    sentence = serializers.CharField()
    how = serializers.CharField(help_text="How the figures are made.")
    columns = AnalysisColumnSerializer(many=True)
    rows = serializers.ListField(child=serializers.DictField())
    more = serializers.BooleanField(help_text="Whether rows were left out.")


class AnalysisNameSerializer(serializers.Serializer[Any]):
    """An analysis that can be asked for."""

    name = serializers.CharField()
    title = serializers.CharField()
    range = serializers.CharField(help_text="What it covers where nothing else is asked for.")
    how = serializers.CharField()


class AnalysisList(APIView):
    """What can be asked for."""

    permission_classes = (READ,)

    @extend_schema(responses=AnalysisNameSerializer(many=True), operation_id="analytics_list")
    def get(self, request: Request) -> Response:
        """Names, titles and how each is made."""
        found = [
            {"name": b.name, "title": b.title, "range": b.range or DEFAULT, "how": b.how}
            for b in registry.values()
        ]
        return Response(found)


class Analysis(APIView):
    """One analysis: rows of plain values; null is "no data", which is neither 0 nor 100 %."""

    permission_classes = (READ,)
    renderer_classes = (JSONRenderer, CsvRenderer)

    @extend_schema(
        operation_id="analytics_get",
        responses={(200, "application/json"): AnalysisSerializer, (200, "text/csv"): str},
        parameters=[
            OpenApiParameter("block", str, OpenApiParameter.PATH, enum=list(registry)),
            OpenApiParameter("range", str, enum=list(RANGES), description="The last so much, ending now."),
            OpenApiParameter(
                "from", str, description="ISO 8601; instead of range. At most 92 days before to."
            ),
            OpenApiParameter("to", str, description="ISO 8601; now where it is missing."),
            OpenApiParameter("of", str, description="project or project/component, by slug."),
        ],
    )
    def get(self, request: Request, block: str) -> Response:
        """Over its own range unless another is asked for. 400 names the parameter, 404 the unknown block."""
        wanted = registry.get(block)
        if wanted is None:
            raise exceptions.NotFound(f"No such analysis. Known: {', '.join(registry)}.")
        try:
            scope = read(request.query_params.dict(), timezone.now(), wanted.range or DEFAULT)
        except Refused as refused:
            raise exceptions.ValidationError(refused.message_dict) from None
        shown = Shown(wanted, scope, wanted.ask(scope))
        is_csv = getattr(request.accepted_renderer, "format", "") == "csv"
        return Response(shown if is_csv else AnalysisSerializer(_plain(shown)).data)


def _plain(shown: Shown) -> dict[str, Any]:
    block, scope, answer = shown.block, shown.scope, shown.answer
    return {
        "block": block.name, "title": block.title, "range": scope.name, "start": scope.start, "end": scope.end,
        "of": scope.of, "sentence": answer.sentence, "how": block.how,
        "columns": [{"name": c.name, "heading": c.label, "kind": c.kind} for c in block.columns],
        "rows": answer.rows, "more": answer.more,
    }  # fmt: skip
