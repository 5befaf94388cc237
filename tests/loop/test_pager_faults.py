"""Killing the pager's workers and its broker while it pages and people acknowledge: no page is lost.

Counted by a receiver with a durable log and by a trigger in the database, not by the pager itself.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg
import pytest

from tests.core.processes import PROJECT
from tests.loop.portal import eventually, running_portal, send

FULL = os.environ.get("PORTAL_CI") == "1"
LASTS_S, RATE_PER_S, CREW = (60, 12, 4) if FULL else (5, 12, 3)
# Written by whoever claims, in the claim's own transaction: how the alert stood then, seen by a fresh snapshot.
WITNESS = """
CREATE TABLE claim_witness (page bigint, token int, alert_state text, same_epoch boolean);
GRANT INSERT ON claim_witness TO portal_app;
CREATE FUNCTION witness_claim() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO claim_witness SELECT NEW.id, NEW.token, a.state, a.epoch = NEW.epoch
    FROM alerts_alert a WHERE a.id = NEW.alert_id;
  RETURN NEW;
END $$;
CREATE TRIGGER witness AFTER UPDATE ON alerts_page FOR EACH ROW
  WHEN (NEW.state = 'claimed' AND NEW.token > OLD.token AND NEW.escalation_id IS NOT NULL)
  EXECUTE FUNCTION witness_claim();
"""
# All who held these claims are dead: what their leases still have to run is not waited for.
LEASES_RUN_OUT = """
UPDATE alerts_page SET lease_until = clock_timestamp(), next_try_at = clock_timestamp()
 WHERE state = 'claimed' AND lease_until < %s::timestamptz + interval '60 s'
"""
# A storm of alerts would be bundled under one, whose runs then wait: not what is proved here.
OPEN = {"OUTBOUND_ALLOW": "127.0.0.0/8", "STORM_ALERTS": "1000000"}


class Provider:
    """Answers 200 once the page is in its log on the disk; now and then slow, now and then 503 without a word."""

    def __init__(self, path):
        self.path, self.lock, self.dice = path, threading.Lock(), random.Random(3)
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                refused = provider.dice.random() < 0.03
                if not refused:
                    provider.write(self.headers["webhook-id"])
                    time.sleep(provider.dice.uniform(0, 0.03))
                self.send_response(503 if refused else 200)
                self.send_header("Content-Length", "0")
                with contextlib.suppress(OSError):  # whoever asked may be dead
                    self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def write(self, key):
        with self.lock, self.path.open("a") as log:
            log.write(f"{key}\n")
            log.flush()
            os.fsync(log.fileno())

    def arrivals(self):
        return Counter(self.path.read_text().split() if self.path.exists() else [])

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def start(portal, *arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.loop.pager_crew", *map(str, arguments)],
        cwd=PROJECT, env=portal.variables, **options,
    )  # fmt: skip


@contextlib.contextmanager
def crew(portal):
    """Workers that are begun again as soon as they are killed."""
    it = start(portal, "work", CREW)
    try:
        eventually(lambda: len(pagers(portal)) == CREW, "the crew", 60)
        yield
    finally:
        it.terminate()
        it.wait(20)


def pagers(portal):
    return [pid for place in range(CREW) for pid in portal.named(f"pager-{place}")]


def database(portal, role="portal_owner"):
    return psycopg.connect(f"host={portal.data / 'run'} dbname=portal user={role}", autocommit=True)


def kill_on(portal, dice):
    """Until the time is up: a worker every 50 to 500 ms, the broker and the portal's own worker at times."""
    ends, killed = time.monotonic() + LASTS_S, Counter()
    at_times = {"valkey": time.monotonic() + 2, "worker": time.monotonic() + 3}
    while time.monotonic() < ends:
        time.sleep(dice.uniform(0.05, 0.5))
        pids = pagers(portal)
        killed["pager"] += send(signal.SIGKILL, [dice.choice(pids)] if pids else [])
        for name, due in at_times.items():
            if time.monotonic() > due:
                victims = portal.pids("valkey-server") if name == "valkey" else portal.named("portal-worker")
                killed[name] += send(signal.SIGKILL, victims)
                at_times[name] = time.monotonic() + 17  # the portal gives up what dies five times a minute
    return killed


def claims_of_the_dead_run_out(portal):
    killed = send(signal.SIGKILL, portal.named("portal-worker"))
    with database(portal) as link:
        (moment,) = link.execute("SELECT clock_timestamp()").fetchone()
        link.execute(LEASES_RUN_OUT, [moment])
    return killed


def settled(portal):
    """No step and no page left; the closing look, minutes after the last step, is had at once."""
    with database(portal) as link:
        link.execute(
            "UPDATE alerts_escalation SET next_at = clock_timestamp() WHERE state = 'active' "
            "AND step >= jsonb_array_length(plan->'steps') AND next_at > clock_timestamp()"
        )
        (left,) = link.execute(
            "SELECT (SELECT count(*) FROM alerts_escalation WHERE state IN ('active', 'paused')) + "
            "(SELECT count(*) FROM alerts_page WHERE state IN ('pending', 'claimed') AND kind = 'webhook')"
        ).fetchone()
    return left == 0


@pytest.mark.fault
def test_no_page_is_lost_doubled_unseen_or_claimed_after_acknowledgement_whoever_is_killed(tmp_path):
    dice = random.Random()
    seed = dice.randrange(10**9)
    dice.seed(seed)
    with running_portal(**OPEN) as portal, Provider(tmp_path / "pages.log") as provider:
        with database(portal) as link:
            link.execute(WITNESS)
        with crew(portal):
            feeder = start(portal, "feed", LASTS_S, RATE_PER_S, provider.url, stdout=subprocess.PIPE)
            killed = kill_on(portal, dice)
            fed = json.loads(feeder.communicate(timeout=120)[0])
        killed["worker"] += claims_of_the_dead_run_out(portal)
        killed["pager"] += CREW
        with crew(portal):
            eventually(lambda: settled(portal), "every escalation to end", 120)
        judge(portal, provider.arrivals(), fed, killed, seed)


def judge(portal, arrivals, fed, killed, seed):
    """What the log and the witness say of what the database promised."""
    with database(portal) as link:
        firing = dict(
            link.execute(
                "SELECT a.id, count(p.id) FROM alerts_alert a LEFT JOIN alerts_page p ON p.alert_id = a.id "
                "AND p.kind = 'webhook' WHERE a.state = 'triggered' AND a.dedup_key LIKE 'load:%' GROUP BY a.id"
            ).fetchall()
        )
        pages = link.execute(
            "SELECT key, state, alert_id FROM alerts_page WHERE kind = 'webhook' AND escalation_id IS NOT NULL"
        ).fetchall()
        (claims, after) = link.execute(
            "SELECT count(*), count(*) FILTER (WHERE alert_state <> 'triggered' OR NOT same_epoch) FROM claim_witness"
        ).fetchone()
        (late,) = link.execute(
            "SELECT count(*) FROM alerts_attempt t JOIN alerts_page p ON p.id = t.page_id "
            "JOIN alerts_alert a ON a.id = p.alert_id WHERE t.outcome = 'sent' AND t.ended_at > a.acked_at"
        ).fetchone()
    lost = [key for key, _, alert in pages if alert in firing and key not in arrivals]
    unseen = [key for key, state, _ in pages if state == "sent" and key not in arrivals]
    short = {alert: made for alert, made in firing.items() if made != 4}
    duplicates = sum(arrivals.values()) - len(arrivals)
    print(
        f"dice {seed}: {fed['fired']} alerts, {fed['acknowledged']} acknowledged, {len(pages)} pages, {claims} claims, "
        f"killed {dict(killed)}; lost {len(lost) + len(unseen)}, steps missed {len(short)}, duplicates {duplicates}, "
        f"claimed after acknowledgement {after}, ended after acknowledgement {late}"
    )
    assert fed["acknowledged"] and firing and claims >= len(arrivals)
    assert lost == unseen == [] and short == {}
    assert after == 0
    assert duplicates <= killed.total()
    assert set(arrivals) <= {key for key, _, _ in pages}
