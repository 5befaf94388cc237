"""The page of analyses: /admin/analytics/, and the part of it that is asked for again and again."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from apps.core.problems import VALIDATION, of_field, problem
from apps.projects.models import Component, Project
from apps.reports.analytics import blocks  # noqa: F401 - registers the analyses
from apps.reports.analytics.block import Figure, Shown, answered, registry
from apps.reports.analytics.blocks import feed
from apps.reports.analytics.cells import Cell, head, lines, words_of
from apps.reports.analytics.scope import RANGES, WORDS, Scope, read
from apps.reports.pages import page

PERMISSIONS = ("errors.view_errorgroup", "telemetry.view_trackedevent")
TABS = {"errors": "Errors", "analyses": "Analyses", "daily": "Daily review", "weekly": "Weekly review"}
FEED_S = 5
WIDE_FROM = 5  # columns


@dataclass(frozen=True)
class Card:
    """A block as the template draws it."""

    shown: Shown
    head: list[Any]
    lines: list[list[Cell]]
    csv: str

    @property
    def wide(self) -> bool:
        """Whether its table needs the whole width."""
        return len(self.head) > WIDE_FROM

    @property
    def name(self) -> str:
        """Of the block."""
        return self.shown.block.name


@require_safe
def show(request: HttpRequest) -> HttpResponse:
    """One tab with its blocks, all of one range and filter. 400 with the reason where those cannot be used."""
    if not request.user.has_perms(PERMISSIONS):
        raise PermissionDenied
    now = timezone.now()
    tab = request.GET.get("tab") or "errors"
    try:
        if tab not in TABS:
            raise ValidationError({"tab": f"Use one of {', '.join(TABS)}."})
        scope = read(request.GET.dict(), now)
    except ValidationError as refused:
        return _refused(request, refused, now)
    shown = [answered(block, scope) for block in registry.values() if block.tab == tab]
    return page(
        request, "admin/analytics.html", title="Analytics", scope=scope, tab=tab, errors={},
        cards={card.name.replace("-", "_"): card for card in map(_card, shown)}, figures=_figures(shown),
        lede=_lede(shown),
        **_switches(scope, tab), **_parts(scope), feed_s=FEED_S, now=now,
    )  # fmt: skip


def _refused(request: HttpRequest, refused: ValidationError, now: datetime) -> HttpResponse:
    """The switches, with what is wrong; what the person typed stays."""
    scope = read({}, now)
    said = {field: " ".join(messages) for field, messages in refused.message_dict.items()}
    answer = page(
        request, "admin/analytics.html", title="Analytics", scope=scope, tab="errors", errors=said, cards={},
        figures=[], **_switches(scope, "errors"), **_parts(scope), feed_s=FEED_S, now=now,
    )  # fmt: skip
    answer.status_code = 400
    return answer


@require_safe
def feed_part(request: HttpRequest) -> HttpResponse:
    """The rows of the live feed, or 204 while nothing came after `after`."""
    if not request.user.has_perms(PERMISSIONS):
        raise PermissionDenied
    try:
        scope = read(request.GET.dict(), timezone.now())
        after = _id(request.GET.get("after", ""))
    except ValidationError as refused:
        details = [of_field(f, "invalid", " ".join(said)) for f, said in refused.message_dict.items()]
        return problem(VALIDATION, details=details)
    if after is not None and not feed.ask(scope, after).rows:
        return HttpResponse(status=204)
    return TemplateResponse(request, "portal/feed.html", {"rows": feed.ask(scope).rows})


def _id(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        raise ValidationError({"after": "Give the id of an event of the feed."}) from None


def _card(shown: Shown) -> Card:
    query = urlencode({**shown.scope.query(), "format": "csv"})
    rows = shown.answer.rows
    return Card(
        shown,
        head(shown.block),
        lines(shown.block, rows),
        f"{reverse('reports:api_analysis', args=[shown.block.name])}?{query}",
    )


def _figures(shown: list[Shown]) -> list[tuple[Figure, str]]:
    """The figures of all blocks, with their words."""
    return [(figure, words_of(figure.kind, figure.value)) for one in shown for figure in one.answer.figures]


def _lede(shown: list[Shown]) -> str:
    """The verdict: whom errors hit, and what part of the requests failed."""
    said = {one.block.name: one.answer.sentence for one in shown}
    told = [said.get(name, "") for name in ("user-impact", "failure-rate")]
    return " ".join(filter(None, told)) or "No errors."


def _switches(scope: Scope, tab: str) -> dict[str, Any]:
    """Plain links that can be kept: each with everything else as it is."""
    part = {"of": scope.of} if scope.of else {}
    keep = {} if tab == "errors" else {"tab": tab}
    ranges = [
        (WORDS[name], "?" + urlencode({"range": name, **part, **keep}), name == scope.name) for name in RANGES
    ]
    tabs = [
        (label, "?" + urlencode({**scope.query(), **({} if key == "errors" else {"tab": key})}), key == tab)
        for key, label in TABS.items()
    ]
    return {"ranges": ranges, "tabs": tabs, "query": urlencode(scope.query())}


def _parts(scope: Scope) -> dict[str, Any]:
    """What the filter offers: projects with their components. Two queries."""
    own: dict[int, list[Component]] = {}
    for component in Component.objects.order_by("name"):
        own.setdefault(component.project_id, []).append(component)
    offered = []
    for project in Project.objects.order_by("name"):
        offered.append((project.slug, project.name, scope.of == project.slug))
        for component in own.get(project.pk, []):
            value = f"{project.slug}/{component.slug}"
            offered.append((value, f"{project.name}: {component.name}", scope.of == value))
    return {"parts": offered}
