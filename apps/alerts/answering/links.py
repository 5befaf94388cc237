"""The link in a page: made when the page is claimed, kept as a digest, bound to one person, alert and episode.

The token is computed from the page's own key, so that every try of one page carries the same link and nothing that
opens it is stored. It is put into the message of the claim and never into the outbox.
"""

import base64
import hashlib
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils.crypto import salted_hmac

from apps.alerts import messages
from apps.alerts.models import AnswerLink, Page

LIFE = timedelta(hours=24)
KEPT = timedelta(days=30)
# Machines read these; they act by the API.
WITHOUT_LINK = frozenset({"webhook", "pagerduty"})
_BYTES = 18  # 144 bits in 24 characters: short enough for a text message


def token_of(page: Page) -> str:
    """The secret of a page's link."""
    digest = salted_hmac("alerts.answering", f"{page.pk}:{page.key}", algorithm="sha256").digest()
    return base64.urlsafe_b64encode(digest[:_BYTES]).decode()


def digest_of(token: str) -> bytes:
    """What is stored of it."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def url_of(token: str) -> str:
    """Where it leads. Written out: a page must not fail for a route's name."""
    return f"{settings.SITE_URL}/answer/{token}"


def attach(page: Page, *, now: datetime) -> Page:
    """Put the link into a claimed page of an escalation, in memory alone; a further try finds the link it made."""
    if page.escalation_id is None or page.alert_id is None or page.kind in WITHOUT_LINK:
        return page
    token = token_of(page)
    link = AnswerLink(
        digest=digest_of(token), page=page, alert_id=page.alert_id, epoch=page.epoch, user_id=page.user_id,
        channel_id=page.channel_id, created_at=now, expires_at=now + LIFE,
    )  # fmt: skip
    AnswerLink.objects.bulk_create([link], ignore_conflicts=True)
    page.__dict__["as_stored"] = (page.body, page.data)
    page.body = messages.with_link(page.body, url_of(token))
    page.data = {**page.data, "answer_url": url_of(token)}
    return page


def detach(page: Page) -> None:
    """The page as the outbox has it: before its result is recorded, which copies its words to further pages."""
    if stored := page.__dict__.pop("as_stored", None):
        page.body, page.data = stored


def find(token: str) -> AnswerLink | None:
    """The link behind a token, with what its page shows."""
    rows = AnswerLink.objects.filter(digest=digest_of(token))
    return rows.select_related(
        "user", "channel", "alert__project", "alert__component", "alert__incident", "page"
    ).first()


def forget(*, now: datetime) -> int:
    """Rows of links that ended long ago; how many."""
    gone, _ = AnswerLink.objects.filter(expires_at__lt=now - KEPT).delete()
    return gone


def holder(link: AnswerLink) -> str:
    """Who it speaks for, in words."""
    user: Any = link.user
    if user is not None:
        return str(user.get_username())
    return f"somebody in {link.channel.name}" if link.channel else "somebody with the link"
