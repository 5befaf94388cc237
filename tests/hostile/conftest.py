"""One whole portal for the tests of this directory: real processes, real sockets, nothing between."""

import pytest

from tests.hostile.wire import KEY, OTHER_KEY
from tests.loop.portal import running_portal

DEADLINE_S = 5


@pytest.fixture(scope="session")
def portal():
    """Projects 1 and 2 with a key each; one web process, so that its threads are the only ones."""
    with running_portal(WEB_WORKERS="1", BODY_DEADLINE_S=str(DEADLINE_S)) as it:
        it.manage("dsn", "Shop", "--key", KEY)
        it.manage("dsn", "Other", "--key", OTHER_KEY)
        yield it
