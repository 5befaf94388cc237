"""The door keeps keys and connections of its own beside Django's, and a spool: each test begins without them."""

import pytest

from apps.ingest import inbox, keys, limits, routes


@pytest.fixture(autouse=True)
def _door_without_memory(settings, tmp_path):
    settings.DATA_DIR = tmp_path
    yield
    keys.forget()
    routes.forget()
    limits.forget()
    inbox.close()
