"""The owner role: makes tables and partitions. Everything else runs as the app role, which may not."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dj_database_url
from django.conf import settings
from django.db import connections


@contextmanager
def as_owner(alias: str = "default") -> Iterator[None]:
    """Connect one alias as the owner for a while; without an owner of its own the one role stays."""
    wrapper = connections[alias]
    if not settings.DATABASE_OWNER_URL:
        yield
        return
    owner = dj_database_url.parse(settings.DATABASE_OWNER_URL)
    wanted = {k: owner.get(k) for k in ("USER", "PASSWORD", "HOST", "PORT")}
    kept = {k: wrapper.settings_dict.get(k) for k in wanted}
    _reconnect_with(wrapper, wanted)
    try:
        yield
    finally:
        _reconnect_with(wrapper, kept)


def _reconnect_with(wrapper: Any, credentials: dict[str, object]) -> None:
    wrapper.close()
    wrapper.close_pool()
    wrapper.settings_dict.update(credentials)
