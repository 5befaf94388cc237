"""Twilio's two doors: what became of a message, and what people reply."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from apps.alerts.twilio import replies, statuses
from apps.alerts.twilio.signature import is_signed
from apps.core import problems

MOST_BYTES = 64 * 1024


def _refused(request: HttpRequest) -> HttpResponse | None:
    """A forged request, or one too large. The address is the configured one: a proxy may have changed what we see."""
    if int(request.META.get("CONTENT_LENGTH") or 0) > MOST_BYTES:
        return problems.problem(problems.kind_of_status(413), "The body is too large.")
    url = f"{settings.SITE_URL}{request.get_full_path()}"
    given = request.headers.get("X-Twilio-Signature", "")
    pairs = [(name, value) for name, values in request.POST.lists() for value in values]
    if is_signed(given, settings.TWILIO_AUTH_TOKEN, url, pairs):
        return None
    return problems.problem(problems.kind_of_status(403), "The signature does not fit.")


@csrf_exempt
@require_POST
def status(request: HttpRequest) -> HttpResponse:
    """A status callback. Whatever it says, it is answered with 204 once it is known to be Twilio's."""
    refusal = _refused(request)
    if refusal is not None:
        return refusal
    statuses.take(
        key=request.GET.get("page", "")[:120], status=request.POST.get("MessageStatus", ""),
        error=request.POST.get("ErrorCode", "")[:10], now=timezone.now(),
    )  # fmt: skip
    return HttpResponse(status=204)


@csrf_exempt
@require_POST
def reply(request: HttpRequest) -> HttpResponse:
    """A message from somebody; the answer is TwiML."""
    refusal = _refused(request)
    if refusal is not None:
        return refusal
    number, text = request.POST.get("From", "")[:30], request.POST.get("Body", "")[:1600]
    said = replies.answer(number=number, text=text.replace("\0", ""), now=timezone.now())
    message = format_html("<Message>{}</Message>", said) if said else ""
    return HttpResponse(
        format_html('<?xml version="1.0" encoding="UTF-8"?><Response>{}</Response>', message),
        content_type="text/xml; charset=utf-8",
    )
