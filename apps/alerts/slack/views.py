"""Slack's door, and the page where somebody says which Slack account is theirs."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit

import orjson
from django.conf import settings
from django.contrib import admin, messages
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST
from redis.exceptions import RedisError

from apps.alerts.slack import pressing, services
from apps.alerts.slack.signature import is_signed
from apps.core import jsontext, outbound, problems
from apps.core.refusal import Refused

MOST_BYTES, REPLAY_S = 256 * 1024, 600
# Slack waits three seconds for our answer, and what is said to a person goes another way: not within it.
_saying = ThreadPoolExecutor(max_workers=2, thread_name_prefix="slack")


def _problem(status: int, message: str) -> HttpResponse:
    return problems.problem(problems.kind_of_status(status), message)


@csrf_exempt
@require_POST
def interactive(request: HttpRequest) -> HttpResponse:
    """A press of a button. 401 unless it is Slack's and of these minutes; a repetition changes nothing."""
    body = request.read(MOST_BYTES + 1)
    if len(body) > MOST_BYTES:
        return _problem(413, "The body is too large.")
    given = request.headers.get("X-Slack-Signature", "")
    sent_at = request.headers.get("X-Slack-Request-Timestamp", "")
    if not is_signed(given, sent_at, body, settings.SLACK_SIGNING_SECRET, timezone.now()):
        return _problem(401, "The signature does not fit, or is older than five minutes.")
    if not _is_first(given):
        return HttpResponse(status=200)
    try:
        one = pressing.read(_payload(body))
    except Refused as refused:
        return problems.problem(
            problems.kind_of_status(400), f"{refused.field}: {refused.message}",
            [problems.of_field(refused.field, refused.code, refused.message)],
        )  # fmt: skip
    if one is not None:
        said = pressing.press(one, now=timezone.now())
        if said and _is_slacks(one.response_url):
            _saying.submit(_say, one.response_url, said)
    return HttpResponse(status=200)


def _is_first(signature: str) -> bool:
    """Whether this very request was not here before. Without a cache it counts as new: acting twice is harmless."""
    try:
        return bool(cache.add(f"slack:{signature}", 1, REPLAY_S))
    except (RedisError, OSError):
        return True


def _payload(body: bytes) -> object:
    form = parse_qs(body.decode("utf-8", "replace"), max_num_fields=20)
    text = form.get("payload", [""])[0]
    if not text:
        raise Refused("required", "is missing", "payload")
    return jsontext.decode(text.encode())


def _is_slacks(url: str) -> bool:
    """A signed payload names the address; still we answer nowhere but at Slack."""
    host = urlsplit(url).hostname or ""
    return host.endswith(".slack.com") or host == urlsplit(settings.SLACK_API).hostname


def _say(url: str, text: str) -> None:
    body = orjson.dumps({"response_type": "ephemeral", "replace_original": False, "text": text})
    with suppress(outbound.OutboundRefused, outbound.Unreachable):  # a hint; the portal shows the same
        outbound.request("POST", url, body=body, headers={"Content-Type": "application/json"}, timeout_s=5)


@require_http_methods(["GET", "POST"])
def link(request: HttpRequest) -> HttpResponse:
    """Confirm by POST that a Slack account is one's own."""
    token = request.POST.get("token") or request.GET.get("token", "")
    try:
        team, person, name = pressing.account_of(token)
    except Refused as refused:
        messages.error(request, refused.message.capitalize() + ".")
        return redirect("admin:index")
    if request.method == "POST":
        services.link(team=team, person=person, name=name, user=request.user)
        messages.success(request, f"@{name} in Slack is you now. Press the button again.")
        return redirect("admin:index")
    context = {
        **admin.site.each_context(request),
        "title": "Link a Slack account",
        "name": name,
        "token": token,
    }
    return render(request, "alerts/slack_link.html", context)
