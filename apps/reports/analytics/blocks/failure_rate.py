"""Failed requests by endpoint, with the requests they are a part of; errors beside them."""

from dataclasses import dataclass

from apps.core.wording import share_words
from apps.errors import analytics as errors
from apps.projects.models import Component
from apps.reports.analytics.block import Answer, Block, Column, Figure, Row, register
from apps.reports.analytics.scope import Scope
from apps.telemetry import analytics as telemetry
from apps.telemetry.analytics import Requests

SHOWN = 15
# A rate over fewer requests says little: it is shown, but not ranked above one over many.
FEW = 20
HOW = (
    "Requests that ended with a server error or without an answer ÷ requests with a known outcome, from transactions "
    "that SDKs report and from tracked response times. Where only a sample of transactions is sent, both are of the "
    "sample."
)


@dataclass(frozen=True)
class Line:
    """An endpoint; `requests` is None where none are reported, and then there is no rate."""

    project_id: int
    component_id: int
    endpoint: str
    requests: Requests | None
    errors: int

    @property
    def rate(self) -> float | None:
        """Failed ÷ requests; None without requests, which is neither 0 nor 1."""
        return self.requests.failed / self.requests.n if self.requests and self.requests.n else None

    @property
    def weight(self) -> tuple[int, float, int]:
        """Enough requests first, by rate; then few requests; then none, by errors."""
        if self.rate is None or self.requests is None:
            return 0, 0.0, self.errors
        return 2 if self.requests.n >= FEW else 1, self.rate, self.requests.failed


def ask(scope: Scope) -> Answer:
    """The worst endpoints first."""
    requests = telemetry.endpoint_requests(scope.start, scope.end, scope.now, scope.by_minute, scope.keys)
    counted = errors.endpoint_errors(scope.start, scope.end, scope.now, scope.by_minute, scope.keys)
    lines = sorted(_lines(requests, counted), key=lambda line: line.weight, reverse=True)
    shown = [line for line in lines if line.errors or line.rate][:SHOWN]
    names = dict(
        Component.objects.filter(pk__in={line.component_id for line in shown}).values_list("pk", "name")
    )
    rows = [_row(line, names) for line in shown]
    whole = Requests(sum(r.n for r in requests.values()), sum(r.failed for r in requests.values()))
    if not rows and not whole.n:
        return Answer([])
    return Answer(rows, _sentence(whole, rows), [_figure(whole)], more=len(lines) > len(rows))


def _lines(requests: dict[telemetry.Endpoint, Requests], counted: dict[errors.Endpoint, int]) -> list[Line]:
    keys = sorted({*requests, *counted})
    return [Line(*key, requests.get(key), counted.get(key, 0)) for key in keys]


def _row(line: Line, names: dict[int, str]) -> Row:
    known = line.requests
    return {
        "endpoint": line.endpoint,
        "component": names.get(line.component_id, ""),
        "failure_rate": line.rate,
        "failed": known.failed if known else None,
        "requests": known.n if known else None,
        "note": "few requests" if known and known.n < FEW else "" if known else "no request data",
        "errors": line.errors,
    }


def _figure(whole: Requests) -> Figure:
    rate = whole.failed / whole.n if whole.n else None
    note = f"{whole.failed:,} of {whole.n:,}" if whole.n else "no request data"
    return Figure("failure_rate", "Failed requests", rate, "share", HOW, note)


def _sentence(whole: Requests, rows: list[Row]) -> str:
    if not whole.n:
        return "Errors are known by endpoint, requests are not: there is no rate to tell."
    if not rows:
        return f"None of {whole.n:,} requests failed."
    return f"{whole.failed:,} of {whole.n:,} requests failed, {share_words(whole.failed / whole.n)}."


register(
    Block(
        name="failure-rate",
        title="Failure rate by endpoint",
        tab="errors",
        columns=(
            Column("endpoint", "Endpoint", "code"),
            Column("component", "Component"),
            Column("failure_rate", "Failure rate", "rate"),
            Column("failed", "Failed", "count"),
            Column("requests", "Requests", "count"),
            Column("note", "Note", shown=False),
            Column("errors", "Errors", "count"),
        ),
        ask=ask,
        how=f"{HOW} Endpoints with fewer than {FEW} requests stand below the others. Errors are events with that "
        "endpoint, caught ones included, so they need not be failed requests. Endpoints without either are left out.",
        empty=(
            "Neither errors nor requests by endpoint",
            "Switch on tracing in the SDK (traces_sample_rate above 0), or track api_response_time with its status: "
            "the rate needs requests to be a rate of.",
        ),
    )
)
