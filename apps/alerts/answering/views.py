"""The page behind the link of a page. Opening it changes nothing, since mail scanners open links; acting is a POST.

No session and no sign-in: the token in the address is the right to act, so there is nothing that a foreign site could
ride on, and the check of Django's form token would refuse browsers that send no origin.
"""

from contextlib import suppress

from django.core.cache import cache
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe
from redis.exceptions import RedisError

from apps.alerts.answering import links, page, services
from apps.alerts.answering.services import LinkEnded, LinkUsed
from apps.alerts.models import AnswerLink
from apps.alerts.services import StaleEpoch
from apps.core import context, problems

LOOKS_PER_MINUTE = 60
MISSES_PER_MINUTE = 30


def _over(name: str, most: int, *, count: bool = True) -> bool:
    """Whether a name has been counted more than `most` times within this minute. While Valkey is away: no."""
    key = f"answer:{name}:{int(timezone.now().timestamp()) // 60}"
    with suppress(RedisError, OSError, ValueError):
        if not count:
            return int(cache.get(key, 0)) >= most
        cache.add(key, 0, 120)
        return int(cache.incr(key)) > most
    return False


def _too_many(request: HttpRequest) -> HttpResponse:
    answer = problems.problem(problems.THROTTLED)
    answer["Retry-After"] = "60"
    return answer


def _link(request: HttpRequest, token: str) -> AnswerLink | HttpResponse:
    """The link, or the answer where there is none or too many looks. An unknown token is a miss of its address."""
    address = context.client_address(request) or "unknown"
    if _over(f"miss:{address}", MISSES_PER_MINUTE, count=False):
        return _too_many(request)
    link = links.find(token)
    if link is None:
        _over(f"miss:{address}", MISSES_PER_MINUTE)
        raise Http404("There is no such link.")
    return _too_many(request) if _over(f"look:{link.pk}", LOOKS_PER_MINUTE) else link


def _shown(link: AnswerLink, token: str, status: int = 200, said: str = "") -> HttpResponse:
    now = timezone.now()
    with timezone.override(page.zone_of(link)):
        context = page.context_of(link, token, now=now, said=said, said_ok=not said)
        # Without the request: no session is touched, and no cookie is set.
        answer = HttpResponse(render_to_string("portal/acknowledge.html", context), status=status)
    answer["Cache-Control"] = "private, no-store"
    answer["Referrer-Policy"] = "no-referrer"
    answer["X-Robots-Tag"] = "noindex, nofollow"
    return answer


@require_safe
def show(request: HttpRequest, token: str) -> HttpResponse:
    """What is wrong, and what may be done. 410 for a link that has ended."""
    link = _link(request, token)
    if isinstance(link, HttpResponse):
        return link
    return _shown(link, token, 410 if timezone.now() >= link.expires_at else 200)


@csrf_exempt
@require_POST
def act(request: HttpRequest, token: str, verb: str) -> HttpResponse:
    """Do it once, then show what was done; a refusal is shown with its reason."""
    link = _link(request, token)
    if isinstance(link, HttpResponse):
        return link
    try:
        answered = services.answer(link=link, verb=verb, now=timezone.now())
    except LinkEnded as ended:
        return _shown(link, token, 410, " ".join(ended.messages))
    except LinkUsed:
        return redirect("alerts:answer", token)  # a doubled click meets what the first one did
    except StaleEpoch:
        link.alert.refresh_from_db()
        return _shown(
            link, token, 409, "Triggered again since: a newer page has its own link. Nothing was done."
        )
    except PermissionDenied as missing:
        return _shown(link, token, 403, str(missing))
    except ValidationError as refused:
        raise Http404(" ".join(refused.messages)) from refused
    if answered.changed:
        return redirect("alerts:answer", token)
    link.alert.refresh_from_db()
    return _shown(link, token, 200, answered.said)
