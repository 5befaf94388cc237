"""The process tree: first its supervisor with small programs, then the portal as a whole."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from threading import Timer

import pytest

from tests.core.processes import (
    LINUX,
    PATIENCE_S,
    PROJECT,
    environment,
    finish,
    free_port,
    make_data_dir,
    processes_of,
    start_holder,
    start_python,
    wait_until,
)

# --- The supervisor ---------------------------------------------------------------------------------------
# The tests themselves may run under nohup, which children inherit and the supervisor respects.
SUPERVISE = """
import signal, sys
from reliability_portal.supervisor import Program, Supervisor
signal.signal(signal.SIGHUP, signal.SIG_DFL)
supervisor = Supervisor()
supervisor.listen()
children = [supervisor.add(Program(name, [sys.executable, "-c", code])) for name, code in {programs!r}]
supervisor.pump(lambda: False)
supervisor.stop([([child], {patience_s}) for child in children])
print("failed", supervisor.failed and supervisor.failed.name, flush=True)
"""
WAITS = "import time; print('begun', flush=True); time.sleep(600)"
SAYS_GOODBYE = """
import signal, sys, time
def leave(*_):
    print("leaving", flush=True)
    time.sleep(0.3)
    print("gone", flush=True)
    sys.exit()
signal.signal(signal.SIGTERM, leave)
print("begun", flush=True)
while True:
    signal.pause()
"""
STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.fork()
os.write(1, b"begun %d\\n" % os.getpid())  # in one piece: two processes share the pipe
time.sleep(600)
"""


LEAVES = """
import os, time
helper = os.fork()
if helper:
    print("helper", helper, flush=True)
    os._exit(3)
time.sleep(600)
"""


@pytest.fixture
def data():
    """A data directory that does not exist yet."""
    with make_data_dir() as place:
        yield place


def supervise(data, *programs, patience_s=5.0):
    return start_python(SUPERVISE.format(programs=programs, patience_s=patience_s), data)


def read_until(process, *patterns):
    """Output lines until each pattern has been met by one of them."""
    lines, open_patterns = [], set(patterns)
    limit = Timer(PATIENCE_S, process.kill)
    limit.start()
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        open_patterns -= {p for p in open_patterns if re.search(p, line)}
        if not open_patterns:
            limit.cancel()
            return lines
    limit.cancel()
    raise AssertionError(f"never said {open_patterns}:\n" + "\n".join(lines))


def stop(process, sig=signal.SIGINT):
    process.send_signal(sig)
    return finish(process)


def runs(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return done.stdout.strip()[:1] not in ("", "Z")


def test_each_line_carries_the_name_of_who_said_it(data):
    process = supervise(data, ("one", "print('a\\nb')\n" + WAITS), ("other", WAITS))
    lines = read_until(process, r"^one +\| begun", r"^other +\| begun")
    assert {"one      | a", "one      | b", "other    | begun"} <= set(lines)
    stop(process)


def test_a_last_line_without_an_end_is_not_lost(data):
    process = supervise(
        data, ("one", "import sys; sys.stdout.write('the end'); sys.exit(3)"), ("other", WAITS)
    )
    assert "one      | the end" in read_until(process, "exit code 3")
    stop(process)


def test_a_killed_child_is_started_again_and_the_others_stay(data):
    announces = "import os; print('pid', os.getpid(), flush=True)\n" + WAITS
    process = supervise(data, ("one", announces), ("other", announces))
    lines = read_until(process, r"^one .*pid", r"^other .*pid")
    pids = dict(re.search(r"^(\w+) +\| pid (\d+)", line).groups() for line in lines if "pid" in line)
    os.kill(int(pids["one"]), signal.SIGKILL)
    again = read_until(process, r"^one .*pid")
    assert "portal   | one was ended by SIGKILL; starting it again in 0.2 s" in again
    assert runs(int(pids["other"]))
    stop(process)


def test_a_child_that_keeps_dying_ends_the_run_loudly(data):
    process = supervise(data, ("fine", WAITS), ("broken", "print('no luck'); raise SystemExit(4)"))
    lines = finish_lines(process)
    assert lines.count("broken   | no luck") == 5
    assert lines[-1] == "failed broken"


def finish_lines(process):
    return finish(process).splitlines()


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda sig: sig.name)
def test_children_stop_one_after_the_other(data, sig):
    process = supervise(data, ("first", SAYS_GOODBYE), ("second", SAYS_GOODBYE))
    read_until(process, "^first .*begun", "^second .*begun")
    lines = stop(process, sig).splitlines()
    assert [line for line in lines if "|" in line] == [
        "first    | leaving",
        "first    | gone",
        "second   | leaving",
        "second   | gone",
    ]
    assert (lines[-1], process.returncode) == ("failed None", 0)


def test_who_does_not_stop_is_killed_with_everything_it_started(data):
    process = supervise(data, ("stubborn", STUBBORN), patience_s=0.5)
    lines = []
    while len(lines) < 2:
        lines += [line for line in read_until(process, "begun") if "begun" in line]
    pids = [int(line.split()[-1]) for line in lines]
    assert "stubborn did not stop within 0.5 s: killed" in stop(process)
    wait_until(lambda: not any(runs(pid) for pid in pids), "parent and helper are gone")


def test_what_a_dead_child_left_behind_is_ended_before_it_is_started_again(data):
    process = supervise(data, ("leaver", LEAVES), ("other", WAITS))
    helper = int(read_until(process, "helper")[-1].split()[-1])
    read_until(process, "exit code 3")
    wait_until(lambda: not runs(helper), "the helper is gone")
    stop(process)


def test_a_long_flood_of_lines_arrives_whole_and_in_order(data):
    flood = "for n in range(20000): print('line', n)\nprint('done', flush=True)\n" + WAITS
    process = supervise(data, ("flood", flood))
    lines = read_until(process, "done")
    assert [line for line in lines if "line" in line] == [f"flood    | line {n}" for n in range(20000)]
    stop(process)


# --- The portal as a whole --------------------------------------------------------------------------------
class Portal:
    """A running `manage.py up` without the demo."""

    def __init__(self, data, port=None, **more):
        self.data, self.port = data, port or free_port()
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "up"],
            cwd=PROJECT,
            env=environment(data, PORT=str(self.port), INGEST_DRAIN_SLOTS="2", **more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait(self):
        self.lines = read_until(self.process, "The portal answers on")
        return self

    def status(self):
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/live", timeout=5).status
        except OSError:
            return None

    def children(self, of=None):
        """Process ids and command lines below a process; our own by default."""
        listing = subprocess.check_output(["ps", "-ww", "-o", "pid=,ppid=,args=", "-e"], text=True)
        rows = [line.split(None, 2) for line in listing.splitlines()]
        return {int(pid): args for pid, parent, args in rows if int(parent) == (of or self.process.pid)}

    def child(self, words):
        return next(iter(pid for pid, args in self.children().items() if words in args), None)

    def house(self):
        """Web, worker and drain by the names that `ps` shows for them; empty while there is no house."""
        house = self.child("reliability_portal.house")
        return {name_of(pid): pid for pid in self.children(of=house)} if house else {}


def name_of(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()


@pytest.fixture(scope="module")
def started():
    """At most one portal for all these tests, since a start takes seconds."""
    with make_data_dir() as place:
        portals = [Portal(place).wait()]
        yield portals
        stop_if_running(portals[-1])


@pytest.fixture
def portal(started):
    """A running portal that answers: the last test's, or a new one on the same data if that one has ended."""
    if started[-1].process.poll() is not None:
        started.append(Portal(started[-1].data).wait())
    return started[-1]


def stop_if_running(portal):
    if portal.process.poll() is None:
        stop(portal.process)


def test_control_c_stops_everything_within_ten_seconds_and_the_data_stay(portal, started):
    made = shell(portal.data, f"{USERS}; User.objects.create_user('alice')")
    assert (portal.status(), made.returncode) == (200, 0), made.stderr
    begun = time.monotonic()
    said = stop(portal.process)
    assert time.monotonic() - begun < 10  # the promise; usually two
    assert portal.process.returncode == 0
    assert said.splitlines()[-1] == "portal   | stopped"
    assert processes_of(portal.data) == []
    started.append(Portal(portal.data).wait())
    kept = shell(portal.data, f"{USERS}; print(User.objects.get().username)")
    assert kept.stdout.splitlines()[-1] == "alice"


USERS = "from django.contrib.auth.models import User"


def shell(data, code):
    """A second command beside the running portal: it must join its servers."""
    return subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", code],
        cwd=PROJECT,
        env=environment(data),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )


HOUSE = {"portal-web", "portal-worker", "portal-drain-0", "portal-drain-1"}


@pytest.mark.fault
@pytest.mark.skipif(not LINUX, reason="only Linux shows the names that processes give themselves")
def test_whatever_is_killed_comes_back(portal):
    parts = portal.house()
    assert parts.keys() == HOUSE
    for victim in (
        next(iter(portal.children(of=parts["portal-web"]))),
        *parts.values(),
        portal.child("reliability_portal.house"),
        portal.child("valkey-server"),
        portal.child("bin/postgres"),
    ):
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda victim=victim: not runs(victim), "the victim ends")
        wait_until(lambda: portal.status() == 200, "the portal answers again")
    wait_until(lambda: len(portal.children()) == 3, "the house, Valkey and PostgreSQL run")
    wait_until(lambda: portal.house().keys() == HOUSE, "web, worker and drain run")
    wait_until(lambda: shell(portal.data, READS).returncode == 0, "the database and the cache answer")
    assert portal.process.poll() is None


READS = """
from django.contrib.auth.models import User
from django.core.cache import cache
User.objects.count()
cache.set("asked", 1)
"""


@pytest.mark.fault
@pytest.mark.skipif(not LINUX, reason="only Linux tells children of their parent's death")
def test_killing_the_supervisor_leaves_no_process(portal):
    os.kill(portal.process.pid, signal.SIGKILL)
    portal.process.wait()
    wait_until(lambda: processes_of(portal.data) == [], "everything ends with it")


def test_a_taken_port_is_said_in_one_line_before_anything_starts(data):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        refused = Portal(data, port)
        said = finish(refused.process)
    assert refused.process.returncode == 1
    assert said == f"Port {port} is taken. Choose another one: PORT={port + 1} make run\n"
    assert list(data.glob("postgres-*")) == []


def test_a_second_portal_on_the_same_data_is_refused_in_one_line(portal):
    second = Portal(portal.data)
    said = finish(second.process)
    assert second.process.returncode == 1
    assert said.count("\n") == 1
    assert f"already runs on {portal.data} (process {portal.process.pid})" in said
    assert portal.status() == 200


def test_two_portals_in_two_directories_run_side_by_side(portal, data):
    other = Portal(data).wait()
    assert (portal.status(), other.status()) == (200, 200)
    assert shell(other.data, f"{USERS}; User.objects.create_user('bob')").returncode == 0
    missed = shell(portal.data, f"{USERS}; User.objects.get(username='bob')")
    assert "DoesNotExist" in missed.stderr
    stop(other.process, signal.SIGTERM)
    assert portal.status() == 200


def test_a_broken_setting_stops_the_start_with_its_name(data):
    refused = Portal(data, WEB_WORKERS="many")
    said = finish(refused.process)
    assert refused.process.returncode == 1
    assert "WEB_WORKERS='many'" in said


def test_the_portal_waits_for_a_command_that_came_first_and_shows_what_the_demo_wrote(portal, started):
    stop(portal.process)
    holder = start_holder(portal.data, title="manage.py demo")
    (portal.data / "welcome.txt").write_text("alice signs in with a password of her own\n")
    started.append(Portal(portal.data))
    read_until(started[-1].process, "Waiting for .*manage.py demo")
    finish(holder)
    started[-1].wait()
    assert read_until(started[-1].process, "alice signs in")
    assert started[-1].status() == 200
