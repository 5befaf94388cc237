"""Real PostgreSQL and Valkey for every test, by the same code that `make run` uses; as the app role, like the web."""

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("PORTAL_TEST_DATA_DIR") or Path(__file__).parent.parent / "var" / "test")
os.environ["PORTAL_DATA_DIR"] = str(DATA)
os.environ.setdefault("PORTAL_ENV", "development")
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # the browser tests drive a loop beside the ORM


def pytest_load_initial_conftests(early_config, parser, args):
    """Servers before anything imports the settings."""


@pytest.fixture(scope="session")
def django_db_setup(
    request, django_test_environment, django_db_blocker, django_db_keepdb, django_db_createdb
):
    """One migrated test database per worker: made and dropped by the owner, used by the app role."""
    from django.test.utils import setup_databases, teardown_databases

    from apps.core.owner import as_owner

    with django_db_blocker.unblock(), as_owner():
        made = setup_databases(verbosity=0, interactive=False, keepdb=django_db_keepdb)
    yield
    with django_db_blocker.unblock():
        from django.db import connections

        connections.close_all()
        with as_owner():
            teardown_databases(made, verbosity=0)
