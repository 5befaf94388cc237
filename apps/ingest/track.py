"""`POST /api/analytics/track`: one named event, checked and scrubbed before the answer, durable when it is given."""

import msgspec
from django.http import HttpRequest, HttpResponse, JsonResponse

from apps.core import jsontext
from apps.errors.records import CLIENT
from apps.ingest import api, inbox
from apps.ingest.keys import KeyFacts
from apps.ingest.models import EntryKind
from apps.telemetry import tracked

MAX_BYTES = 64 * 1024


def _track(request: HttpRequest, facts: KeyFacts) -> HttpResponse:
    with api.opened_body(request, MAX_BYTES) as body:
        event = tracked.from_body(jsontext.decode(body), api.intake_of(request, facts.project_id, CLIENT))
    inbox.accept(inbox.Entry(facts.project_id, EntryKind.TRACKED, msgspec.msgpack.encode([event])))
    return JsonResponse({"ok": True})


track = api.json_door(_track, "tracked")
