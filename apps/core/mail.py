"""Mail without a server: kept as files under var/mail, where the admin shows it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage as Parsed
from pathlib import Path
from uuid import uuid4

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend


class KeptMailBackend(BaseEmailBackend):
    """One .eml file a message, written under a temporary name and renamed: a reader never sees half of one."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Number of messages kept."""
        folder = Path(settings.EMAIL_FILE_PATH)
        folder.mkdir(parents=True, exist_ok=True)
        for message in email_messages:
            name = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{uuid4().hex[:8]}.eml"
            part = folder / f".{name}"
            part.write_bytes(message.message().as_bytes())
            part.rename(folder / name)
        return len(email_messages)


def kept(limit: int = 50) -> list[tuple[str, Parsed]]:
    """The newest kept messages as (file name, message)."""
    folder = Path(settings.EMAIL_FILE_PATH)
    files = sorted(folder.glob("*.eml"), reverse=True)[:limit] if folder.is_dir() else []
    return [(f.name, message_from_bytes(f.read_bytes(), policy=policy.default)) for f in files]
