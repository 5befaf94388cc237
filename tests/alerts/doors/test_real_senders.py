"""Prometheus and Alertmanager as Debian ships them: a firing rule becomes a page, and its end resolves it."""

import contextlib
import shutil
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from apps.alerts import paging
from apps.alerts.models import Alert, Integration
from apps.alerts.sending import deliver_due
from apps.core.ticks import database_now
from tests.alerts.doors.make import make_integration
from tests.alerts.make import make_channel, make_component, make_policy
from tests.alerts.receivers import Receiver, free_port
from tests.conftest import need

PATIENCE_S = 90
RULES = """
groups:
  - name: shop
    interval: 1s
    rules:
      - alert: CheckoutFails
        expr: checkout_failing > 0
        labels: {severity: page, service: payments}
        annotations: {summary: Checkout fails, description: "{{ $value }} of 10 checkouts fail"}
"""


class Shop:
    """An application that Prometheus scrapes; `failing` is its gauge."""

    def __init__(self):
        shop, self.failing = self, 4

        class Metrics(BaseHTTPRequestHandler):
            def do_GET(self):
                text = f"checkout_failing {shop.failing}\n".encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Metrics)
        self.port = self.server.server_port

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


@contextlib.contextmanager
def running(log, *command):
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(20)


@contextlib.contextmanager
def alertmanager(folder, url):
    port = free_port()
    (folder / "am.yml").write_text(
        "route: {receiver: portal, group_wait: 0s, group_interval: 1s, repeat_interval: 1h}\n"
        f"receivers: [{{name: portal, webhook_configs: [{{url: '{url}', send_resolved: true}}]}}]\n"
    )
    with running(
        folder / "am.log", "prometheus-alertmanager", f"--config.file={folder}/am.yml", f"--storage.path={folder}/am",
        f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=",
    ):  # fmt: skip
        yield port


@contextlib.contextmanager
def prometheus(folder, target, to):
    (folder / "rules.yml").write_text(RULES)
    (folder / "prom.yml").write_text(
        "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
        f"rule_files: ['{folder}/rules.yml']\n"
        f"scrape_configs: [{{job_name: shop, static_configs: [{{targets: ['127.0.0.1:{target}']}}]}}]\n"
        f"alerting: {{alertmanagers: [{{static_configs: [{{targets: ['127.0.0.1:{to}']}}]}}]}}\n"
    )
    with running(
        folder / "prom.log", "prometheus", f"--config.file={folder}/prom.yml", f"--storage.tsdb.path={folder}/prom",
        f"--web.listen-address=127.0.0.1:{free_port()}",
    ):  # fmt: skip
        yield


def wait_for(what, folder):
    """Until it is there; with what the programs said where it does not come."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        if found := what():
            return found
        time.sleep(0.2)
    said = "\n".join(log.read_text()[-1500:] for log in folder.glob("*.log"))
    pytest.fail(f"it did not come within {PATIENCE_S} s:\n{said}")


def tick():
    paging.escalate_due(now=database_now())
    deliver_due(now=database_now())


@pytest.mark.django_db(transaction=True)
def test_a_firing_rule_of_prometheus_becomes_a_page_and_its_end_resolves_it(live_server, tmp_path, settings):
    need(shutil.which("prometheus"), "Install Debian's prometheus.")
    need(shutil.which("prometheus-alertmanager"), "Install Debian's prometheus-alertmanager.")
    settings.OUTBOUND_ALLOW = ["127.0.0.1"]
    with Receiver() as pager, Shop() as shop:
        policy = make_policy((0, make_channel("webhook", pager.url)))
        payments = make_component("Payments")
        _, key = make_integration(policy=policy, severity_map={"page": "critical"}, now=database_now())
        url = f"{live_server.url}/api/integrations/alertmanager/{key}/"
        with alertmanager(tmp_path, url) as port, prometheus(tmp_path, shop.port, port):
            alert = wait_for(Alert.objects.first, tmp_path)
            tick()
            assert [b"Checkout fails" in body for _, _, body in pager.requests] == [True]
            shop.failing = 0
            wait_for(lambda: Alert.objects.filter(state="resolved").exists(), tmp_path)
            tick()
    assert (alert.title, alert.sentence) == ("Checkout fails", "4 of 10 checkouts fail")
    assert (alert.severity, alert.component) == ("critical", payments)
    assert alert.labels["alertname"] == "CheckoutFails" and alert.labels["job"] == "shop"
    assert Alert.objects.get().resolved_via == "alertmanager"
    assert b"alert.notice" in pager.requests[1][2] and b"RESOLVED" in pager.requests[1][2]
    assert Integration.objects.get().rejected == 0
