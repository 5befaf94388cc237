"""sentry-sdk for Python with its integrations and its own transport: what each item becomes."""

import os
import subprocess
import sys
from pathlib import Path

from tests.sdks.conftest import stored

APPS = Path(__file__).parent / "apps"


def run(app: str, dsn: str) -> None:
    own = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run(
        [sys.executable, APPS / app, dsn], capture_output=True, text=True, timeout=120, cwd=APPS, env=own
    )
    assert done.returncode == 0, done.stderr[-3000:]


def event(found: dict, message: str) -> dict:
    (one,) = [e for e in found["events"] if e["message"] == message]
    return one


def test_django(portal):
    run("django_app.py", portal.manage("dsn", "Django"))
    found = stored(portal, "Django", lambda f: len(f["events"]) == 3 and len(f["requests"]) == 2)
    assert found["aside"] == []
    failed = event(found, "payment gateway refused the connection")
    assert failed["title"].startswith("ConnectionRefusedError") and failed["device"] == "mobile"
    assert (failed["release"], failed["environment"]) == ("shop@1.4.2", "test")
    assert "hunter2" not in str(found) and "4111111111111111" not in str(found)
    low = [e for e in found["events"] if e["message"] == "stock is low"]
    assert {e["component"] for e in low} == {"Orders"} and low[0]["tags"]["tenant"] == "acme"
    assert low[0]["user"] and "alice" not in str(found)
    assert low[0]["payload"]["breadcrumbs"][-1]["message"] == "added a lamp"
    assert sorted(f[1] for f in found["files"]) == ["order.log", "order.log"]
    assert {f[0] for f in found["files"]} == {e["event_id"] for e in low}
    assert found["counts"]["attachment dropped_binary"] == 2
    assert found["counts"]["transaction stored"] == 3
    assert [r[1:] for r in found["requests"]] == [[2, 0], [1, 1]]
    assert sum(filter(None, found["sessions"].values())) == 3


def test_flask_and_what_the_sdk_dropped_itself(portal):
    run("flask_app.py", portal.manage("dsn", "Flask"))
    found = stored(portal, "Flask", lambda f: "event sdk:before_send" in f["counts"])
    assert [e["title"] for e in found["events"]] == ["KeyError: 'draft'"]
    assert found["events"][0]["endpoint"] == "/journal/<int:number>"
    assert found["counts"]["event sdk:before_send"] == 1 and found["aside"] == []


def test_celery_tasks_and_the_runs_that_they_report(portal):
    run("celery_app.py", portal.manage("dsn", "Celery"))
    found = stored(portal, "Celery", lambda f: len(f["runs"]) == 2 and f["events"])
    assert event(found, "nothing to clean")["endpoint"] == "jobs.cleanup"
    (cleanup, nightly) = found["runs"]
    assert cleanup[:4] == ["cleanup", "test", "error", True]
    assert nightly[:4] == ["nightly-report", "test", "ok", True]
    assert nightly[4]["schedule"] == {"type": "crontab", "value": "0 3 * * *"}
    assert nightly[4]["timezone"] == "Europe/Vienna" and nightly[4]["max_runtime"] == 30
    assert found["counts"]["check_in stored"] == 4 and found["aside"] == []
