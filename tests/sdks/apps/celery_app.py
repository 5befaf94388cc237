"""A Celery application with the SDK, its worker in this process: `python celery_app.py DSN`."""

import sys

import sentry_sdk
from celery import Celery
from celery.worker import state
from sentry_sdk.crons import monitor
from sentry_sdk.integrations.celery import CeleryIntegration

sentry_sdk.init(
    sys.argv[1],
    integrations=[CeleryIntegration()],
    release="jobs@3",
    environment="test",
    traces_sample_rate=1.0,
)
app = Celery("jobs", broker="memory://")
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


@app.task
def stop():
    """Ends the worker when the others are done."""
    state.should_stop = 0


if __name__ == "__main__":
    for task in (nightly, cleanup, stop):
        task.delay()
    app.worker_main(["worker", "--pool=solo", "--loglevel=ERROR", "--without-gossip", "--without-mingle"])
