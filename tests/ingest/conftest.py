"""The door keeps keys and connections of its own beside Django's: each test begins without them."""

import pytest

from apps.ingest import inbox, keys, limits


@pytest.fixture(autouse=True)
def _door_without_memory():
    yield
    keys.forget()
    limits.forget()
    inbox.close()
