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


@pytest.mark.parametrize("way", ["direct", "tunnel"])
def test_a_node_server(portal, node, way):
    name = f"Node {way}"
    dsn = portal.manage("dsn", name)
    run(node, dsn, *([f"{portal.site}/api/tunnel/"] if way == "tunnel" else []))
    found = stored(portal, name, lambda f: len(f["events"]) == 3 and len(f["runs"]) == 2 and f["said"])
    assert found == 0
