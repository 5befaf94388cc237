"""Real PostgreSQL and Valkey for every test, by the same code that `make run` uses; as the app role, like the web."""

import contextlib
import os
from pathlib import Path

import hypothesis
import pytest
from django.conf import settings

from apps.core import embedded
from tests import scheduling
from tests.environment import DATA

CI = os.environ.get("PORTAL_CI") == "1"


def pytest_configure(config):
    """Servers start with the first process of a run and end with it; workers of a parallel run join."""
    # A slow moment of the machine is no failure, and hashing a password slowly on purpose proves nothing here.
    # In CI the same inputs each time: a change is judged by what it changed, not by the dice. Locally they roll.
    hypothesis.settings.register_profile("house", deadline=None, derandomize=CI)
    hypothesis.settings.load_profile("house")
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    # Workers of a parallel run have databases of their own, and of the one Valkey a corner of their own.
    settings.CACHES["default"]["KEY_PREFIX"] = os.environ.get("PYTEST_XDIST_WORKER", "alone")
    Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)  # a missing one is a warning in each test
    servers = contextlib.ExitStack()
    servers.enter_context(embedded.running(DATA, title="tests"))
    config.add_cleanup(servers.close)


def pytest_xdist_make_scheduler(config, log):
    """Asked once by a parallel run."""
    return scheduling.ByGroup(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable():
    """What a test logged of broken text travels from a worker of a parallel run too: as UTF-8."""
    return encodable((yield))


def encodable(value):
    """The same report with its lone surrogates replaced."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {encodable(k): encodable(v) for k, v in value.items()}
    return type(value)(map(encodable, value)) if isinstance(value, list | tuple) else value


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment, django_db_blocker, django_db_keepdb, django_db_modify_db_settings
):
    """One migrated test database per worker: made and dropped by the owner, used by the app role."""
    from django.db import connections
    from django.test.utils import setup_databases, teardown_databases

    from apps.core.owner import as_owner

    with django_db_blocker.unblock(), as_owner():
        made = setup_databases(verbosity=0, interactive=False, keepdb=django_db_keepdb)
    yield
    with django_db_blocker.unblock():
        connections.close_all()
        with as_owner():
            teardown_databases(made, verbosity=0)


def need(program: str | None, reason: str) -> str:
    """A program that a fresh machine may lack: skips with the reason, and fails where CI should have installed it."""
    if program:
        return program
    if CI:
        pytest.fail(reason)
    pytest.skip(reason)
