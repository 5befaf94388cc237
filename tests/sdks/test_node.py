"""@sentry/node with its own transport: chunked, packed, and through a tunnel."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import need
from tests.sdks.conftest import stored

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def node():
    """Node.js, with the packages of package-lock.json beside this file."""
    found = need(shutil.which("node"), "Node.js is not installed")
    need(
        str((HERE / "node_modules/@sentry/node").is_dir() or ""),
        "run `npm ci --ignore-scripts` in tests/sdks",
    )
    return found


def run(node: str, *arguments: str) -> None:
    done = subprocess.run(
        [node, "apps/node_app.cjs", *arguments], capture_output=True, text=True, timeout=120, cwd=HERE
    )
    assert done.returncode == 0, done.stderr[-3000:]


def event(found: dict, message: str) -> dict:
    (one,) = [e for e in found["events"] if e["message"] == message]
    return one


@pytest.mark.parametrize("way", ["direct", "tunnel"])
def test_a_node_server(portal, node, way):
    name = f"Node {way}"
    dsn = portal.manage("dsn", name)
    run(node, dsn, *([f"{portal.site}/api/tunnel/"] if way == "tunnel" else []))
    found = stored(portal, name, lambda f: len(f["events"]) == 3 and "event sdk:before_send" in f["counts"])
    counts = found["counts"]
    assert found["aside"] == [] and "hunter2" not in str(found) and "4111111111111111" not in str(found)
    (failed,) = [e for e in found["events"] if e["title"].startswith("SyntaxError")]
    assert (failed["release"], failed["environment"]) == ("mailer@7", "test")
    assert failed["endpoint"] == "GET /orders"
    assert "parse" in str(failed["payload"]["exceptions"][-1]["stacktrace"]["frames"][-2])
    long = event(found, "the queue is long")
    assert (long["component"], long["severity"]) == ("Mailer", "Minor") and long["user"]
    assert long["payload"]["breadcrumbs"][-1]["message"] == "took a letter" and "alice" not in str(found)
    assert found["files"] == [[long["event_id"], "letter.txt", "Dear Bob\npassword=[removed]"]]
    assert counts["attachment dropped_large"] == 1 and counts["event sdk:before_send"] == 1
    ((said, group, person, _),) = found["said"]
    assert said == "My letter never came." and group is None and person
    (empty, sent) = found["runs"]
    assert empty[:4] == ["empty-bin", "test", "error", True] and sent[:4] == [
        "send-letters",
        "test",
        "ok",
        True,
    ]
    assert sent[4]["schedule"] == {"type": "interval", "value": 10, "unit": "minute"}
    assert sent[4]["max_runtime"] == 5
    # Since version 11 it streams spans instead of transactions.
    assert ["GET /about", 1, 0] in found["requests"] and ["GET /orders", 1, 1] in found["requests"]
    assert counts["span counted"] >= 5 and counts["log counted"] == 1
    assert found["sessions"] == {"healthy": 2, "errored": 1, "crashed": 0}
