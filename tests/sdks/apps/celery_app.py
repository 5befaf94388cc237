"""A Celery application with the SDK, its worker in this process: `python celery_app.py DSN`."""

import sys

import sentry_sdk
from celery import Celery
from celery.contrib.testing.worker import start_worker
from sentry_sdk.crons import monitor
from sentry_sdk.integrations.celery import CeleryIntegration

sentry_sdk.init(
    sys.argv[1],
    integrations=[CeleryIntegration()],
    release="jobs@3",
    environment="test",
    traces_sample_rate=1.0,
)
app = Celery("jobs", broker="memory://", backend="cache+memory://")
SCHEDULE = {
    "schedule": {"type": "crontab", "value": "0 3 * * *"},
    "timezone": "Europe/Vienna",
    "checkin_margin": 5,
    "max_runtime": 30,
}


@app.task(name="jobs.nightly")
def nightly():
    """A job that reports its runs."""
    with monitor(monitor_slug="nightly-report", monitor_config=SCHEDULE):
        return 1


@app.task(name="jobs.cleanup")
@monitor(monitor_slug="cleanup")
def cleanup():
    """A job that fails, and says so."""
    raise ValueError("nothing to clean")


if __name__ == "__main__":
    with start_worker(app, perform_ping_check=False, pool="solo", loglevel="ERROR"):
        nightly.delay().get(timeout=20)
        cleanup.delay().get(timeout=20, propagate=False)
    sentry_sdk.flush(10)
    sentry_sdk.get_client().close(10)
