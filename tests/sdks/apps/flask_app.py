"""A Flask application with the SDK: `python flask_app.py DSN`."""

import sys

import sentry_sdk
from flask import Flask
from sentry_sdk.integrations.flask import FlaskIntegration


def before_send(event, hint):
    """Drops what it is told to, so that the SDK has something to report about itself."""
    return None if "unwanted" in str(event.get("logentry", event.get("message"))) else event


sentry_sdk.init(
    sys.argv[1],
    integrations=[FlaskIntegration(transaction_style="url")],
    release="journal@2",
    environment="test",
    traces_sample_rate=1.0,
    before_send=before_send,
)
app = Flask(__name__)


@app.route("/journal/<int:number>")
def entry(number):
    """Fails."""
    raise KeyError("draft")


@app.route("/about")
def about():
    """Answers."""
    sentry_sdk.capture_message("unwanted chatter")
    return "ok"


client = app.test_client()
client.get("/journal/5")
client.get("/about")
sentry_sdk.flush(10)
sentry_sdk.get_client().close(10)
