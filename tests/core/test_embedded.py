"""The embedded servers, on real PostgreSQL and Valkey in directories of their own."""

import contextlib
import ctypes
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path
from threading import Timer

import dj_database_url
import psycopg
import pytest
import redis
from kombu import Connection

from apps.core import embedded
from apps.core.embedded import paths, reset, sharing
from apps.core.embedded.locks import holders
from apps.core.embedded.postgres import Postgres
from apps.core.embedded.process import closed_parent
from tests.core import processes
from tests.core.processes import HOLD, LINUX, PROJECT, cannot, finish, make_data_dir, start_holder, wait_until

NOBODY = "nobody"


@pytest.fixture
def fresh(monkeypatch):
    """A data directory that does not exist yet, named as this process's own."""
    with make_data_dir() as place:
        use(monkeypatch, place)
        yield place


@pytest.fixture(scope="module")
def once_used():
    """A data directory that has been started once: making a cluster is the slow part of a first start."""
    with make_data_dir() as place:
        finish(start_holder(place))
        yield place


@pytest.fixture
def data(fresh, once_used):
    """A data directory with an empty cluster, named as this process's own."""
    shutil.copytree(once_used, fresh)
    return fresh


def use(monkeypatch, place):
    monkeypatch.setenv("PORTAL_DATA_DIR", str(place))
    for name in ("DATABASE_URL", "DATABASE_URL_FILE", "REDIS_URL", "REDIS_URL_FILE"):
        monkeypatch.delenv(name, raising=False)


def connect(role="owner", **more):
    return psycopg.connect(embedded.postgres_url(role), autocommit=True, **more)


def connect_valkey():
    return redis.from_url(embedded.redis_urls("").cache)


def postmaster_of(data):
    return int((Postgres(data).home / "postmaster.pid").read_text().split()[0])


def alive_locks(data):
    return [data / "locks" / f"{name}.alive" for name in ("postgres", "valkey")]


def server_processes(data):
    return [pid for lock in alive_locks(data) for pid in holders(lock)]


def kill(pids):
    """SIGKILL to each that has not gone with one before it, as children do."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_a_fresh_directory_gets_two_roles_a_database_and_its_extensions(fresh):
    with embedded.running() as owned, connect() as owner, connect("app") as app:
        roles = owner.execute(
            "SELECT rolname, rolsuper, rolcreatedb, rolcreaterole FROM pg_roles"
            " WHERE rolname LIKE 'portal%' ORDER BY 1"
        ).fetchall()
        extensions = {name for (name,) in app.execute("SELECT extname FROM pg_extension")}
        encoding = app.execute("SHOW server_encoding").fetchone()
        upper = app.execute("SELECT upper('straße é')").fetchone()
        owner_name = app.execute(
            "SELECT datdba::regrole::text FROM pg_database WHERE datname = 'portal'"
        ).fetchone()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute("CREATE TABLE mine (id int)")
    assert [server.name for server in owned] == ["postgres", "valkey"]
    assert roles == [("portal_app", False, False, False), ("portal_owner", False, True, False)]
    assert {"pg_stat_statements", "pg_trgm"} <= extensions
    assert (encoding, owner_name) == (("UTF8",), ("portal_owner",))
    assert upper[0].endswith("É")


def test_durability_is_not_traded_away_and_nothing_listens_on_the_network(data):
    with embedded.running(), connect() as db:
        wanted = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "listen_addresses": ""}
        assert {name: db.execute(f"SHOW {name}").fetchone()[0] for name in wanted} == wanted
        assert connect_valkey().config_get("port") == {"port": "0"}
    assert stat.S_IMODE(paths.socket_dir(data).stat().st_mode) == 0o700


def test_a_database_made_for_tests_has_the_extensions_too(data):
    with embedded.running(), connect() as db:
        db.execute("CREATE DATABASE test_portal")
        with connect(dbname="test_portal") as test:
            extensions = {name for (name,) in test.execute("SELECT extname FROM pg_extension")}
    assert {"pg_stat_statements", "pg_trgm"} <= extensions


def test_a_second_start_keeps_the_data(data):
    with embedded.running():
        connect().execute("CREATE TABLE kept AS SELECT 7 AS n")
        connect_valkey().set("kept", "7")
    assert server_processes(data) == []
    with embedded.running():
        assert connect().execute("SELECT n FROM kept").fetchone() == (7,)
        assert connect_valkey().get("kept") == b"7"


@pytest.mark.fault
def test_killing_everything_at_once_loses_nothing_committed(data):
    holder = start_holder(data)
    with connect() as db:
        db.execute("CREATE TABLE counted (n int)")
        for n in range(200):
            db.execute("INSERT INTO counted VALUES (%s)", [n])
    kill([*server_processes(data), holder.pid])
    with embedded.running() as owned, connect() as db:
        assert db.execute("SELECT count(*), max(n) FROM counted").fetchone() == (200, 199)
        assert len(owned) == 2
    assert "automatic recovery" in (data / "log" / "postgres.log").read_text()


@pytest.mark.fault
@pytest.mark.skipif(not LINUX, reason="elsewhere the next start ends what was left behind")
def test_servers_end_in_order_when_their_owner_is_killed(data):
    holder = start_holder(data)
    kill([holder.pid])
    wait_until(lambda: not server_processes(data), "the servers end with their owner")
    assert "database system is shut down" in (data / "log" / "postgres.log").read_text()


@pytest.mark.fault
def test_a_start_right_after_the_owner_was_killed_waits_for_the_old_server(data):
    holder = start_holder(data)
    old = postmaster_of(data)
    os.kill(old, signal.SIGSTOP)  # it does not hear yet that its owner is gone
    kill([holder.pid])
    Timer(0.5, os.kill, [old, signal.SIGCONT]).start()
    with embedded.running() as owned:
        assert len(owned) == 2
        assert postmaster_of(data) != old
        assert old not in server_processes(data)


@pytest.mark.fault
def test_a_killed_postmaster_is_followed_by_a_new_one_once_its_remnants_are_gone(data):
    with embedded.running() as owned, connect() as db:
        db.execute("CREATE TABLE kept AS SELECT 7 AS n")
        server = owned[0]
        server.process.kill()
        server.process.wait()
        wait_until(server.launch, "the remnants go")
        wait_until(server.answers, "the new server answers")
        with connect() as again:
            assert again.execute("SELECT n FROM kept").fetchone() == (7,)


def test_a_second_command_joins_and_the_owner_waits_for_it(data):
    holder = start_holder(data)
    with embedded.running() as owned:
        assert owned == []
        holder.stdin.close()
        with connect() as db:
            with pytest.raises(subprocess.TimeoutExpired):
                holder.wait(1.5)
            assert db.execute("SELECT 1").fetchone() == (1,)
    assert holder.wait(processes.PATIENCE_S) == 0
    assert "Waiting for another command" in holder.stdout.read()
    assert server_processes(data) == []


def test_many_first_starts_at_once_make_one_server(fresh):
    code = HOLD.format(title="racer", own=False)
    racers = [processes.start_python(code, fresh) for _ in range(4)]
    lines = [racer.stdout.readline().split() for racer in racers]
    owners = {racer.pid for racer in racers}
    postmasters = [pid for pid in holders(alive_locks(fresh)[0]) if parent_of(pid) in owners]
    for racer in racers:
        racer.stdin.close()
    assert [racer.wait(processes.PATIENCE_S) for racer in racers] == [0] * 4
    assert sorted(word for line in lines for word in line) == ["postgres", *["ready"] * 4, "valkey"]
    assert len(postmasters) == 1


def parent_of(pid):
    return int(subprocess.check_output(["ps", "-o", "ppid=", "-p", str(pid)], text=True))


def test_a_second_portal_on_one_directory_is_refused_with_a_sentence(data):
    holder = start_holder(data, title="up", own=True)
    refused = pytest.raises(embedded.ServerError, match=f"already runs on .* \\(process {holder.pid}\\)")
    with refused, embedded.running(title="up", own=True):
        pass
    assert postmaster_of(data) in server_processes(data)
    finish(holder)


def test_the_portal_waits_for_a_shorter_command_that_came_first(data):
    holder = start_holder(data, title="manage.py tick")
    portal = processes.start_python(HOLD.format(title="up", own=True), data)
    assert "manage.py tick" in portal.stdout.readline()
    finish(holder)
    assert portal.stdout.readline().split() == ["ready", "postgres", "valkey"]
    finish(portal)


def test_two_portals_in_two_directories_do_not_meet(monkeypatch):
    with make_data_dir() as one, make_data_dir() as other:
        use(monkeypatch, one)
        with embedded.running(one), connect() as mine:
            mine.execute("CREATE TABLE only_here (n int)")
            holder = start_holder(other)
            monkeypatch.setenv("PORTAL_DATA_DIR", str(other))
            with connect() as theirs:
                assert theirs.execute("SELECT to_regclass('only_here')").fetchone() == (None,)
            assert set(server_processes(one)).isdisjoint(server_processes(other))
            finish(holder)


def test_a_path_too_long_for_a_socket_gets_a_short_private_directory(monkeypatch):
    with make_data_dir("long-" * 30) as place:
        use(monkeypatch, place)
        early = embedded.postgres_url("app")
        with embedded.running(), connect("app") as db:
            sockets = paths.socket_dir(place)
            assert (early, db.info.host) == (embedded.postgres_url("app"), str(sockets))
            assert len(str(sockets)) < 60
            assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
            assert (place / "run.path").read_text().strip() == str(sockets)
        assert reset.main(["--force"]) == 0
        assert not sockets.exists()


def test_a_short_directory_that_somebody_else_put_there_is_refused(monkeypatch):
    with make_data_dir("long-" * 30) as place:
        use(monkeypatch, place)
        trap = paths.socket_dir(place)
        target = place.parent / "elsewhere"
        target.mkdir(mode=0o755)
        trap.symlink_to(target)
        try:
            with pytest.raises(embedded.ServerError, match="belongs to somebody else"), embedded.running():
                pass
        finally:
            trap.unlink()
        assert stat.S_IMODE(target.stat().st_mode) == 0o755


def test_spaces_and_percent_signs_in_the_path_reach_every_client(monkeypatch):
    with make_data_dir('a b%20"c') as place:
        use(monkeypatch, place)
        with embedded.running():
            settings = dj_database_url.parse(embedded.postgres_url("app"))
            psycopg.connect(host=settings["HOST"], user=settings["USER"], dbname=settings["NAME"]).close()
            urls = embedded.redis_urls("")
            assert redis.from_url(urls.cache).ping()
            with Connection(urls.broker) as broker:
                broker.ensure_connection(max_retries=1)


def test_a_stale_process_id_that_means_another_process_does_not_stop_the_start(data):
    with embedded.running():
        pass
    (Postgres(data).home / "postmaster.pid").write_text(f"{os.getpid()}\n{Postgres(data).home}\n")
    with embedded.running(), connect() as db:
        assert db.execute("SELECT 1").fetchone() == (1,)


def test_a_server_started_by_hand_is_named(data):
    with embedded.running():
        pass
    server = Postgres(data)
    sockets = paths.socket_dir(data)
    script = f"exec {server.program} -D {server.home} -k {sockets} -c listen_addresses="
    by_hand = processes.start_python(
        f"from apps.core.embedded.process import *\n{BY_HAND}",
        data,
        env={**processes.environment(data), "SERVER": script},
    )
    try:
        wait_until((server.home / "postmaster.pid").exists, "the server started by hand writes its pid file")
        with pytest.raises(embedded.ServerError, match="started by hand"), embedded.running():
            pass
    finally:
        finish(by_hand)


BY_HAND = """
import os, sys
from pathlib import Path
account = choose_account(next(Path(os.environ["PORTAL_DATA_DIR"]).glob("postgres-*")))
child = spawn(["sh", "-c", os.environ["SERVER"]], account=account, death_signal=signal.SIGINT)
sys.stdin.read()
child.send_signal(signal.SIGINT)
child.wait()
"""


def test_data_of_another_major_version_give_a_sentence_and_no_traceback(data):
    with embedded.running():
        pass
    version = Postgres(data).home / "PG_VERSION"
    version.write_text("12\n")
    done = run_command(data, "showmigrations")
    assert done.returncode == 1
    assert "holds the data of PostgreSQL 12" in done.stderr
    assert "PORTAL_DATA_DIR" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_empty_cluster_is_begun_beside_an_older_one(fresh):
    (fresh / "postgres-12").mkdir(parents=True)
    with (
        pytest.raises(embedded.ServerError, match=r"holds postgres-12, .* is version \d+"),
        embedded.running(),
    ):
        pass
    assert [path.name for path in fresh.glob("postgres-*")] == ["postgres-12"]


def run_command(data, *arguments, **more):
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=PROJECT,
        env=processes.environment(data, **more),
        capture_output=True,
        text=True,
        timeout=processes.PATIENCE_S,
    )


def test_without_any_binaries_the_message_gives_three_ways_out(fresh):
    code = (
        "import sys; from apps.core.embedded import postgres, sharing\n"
        "postgres._SYSTEM_FOLDERS = ()\n"
        "with sharing.servers_for(['migrate']): print('started')"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=PROJECT,
        env={"PORTAL_DATA_DIR": str(fresh), "PATH": "/nonexistent"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (1, "")
    for way in ("requirements.lock", "install PostgreSQL", "DATABASE_URL"):
        assert way in done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_or_closed_place_gives_a_sentence(fresh):
    fresh.write_text("a file where the directory should be")
    done = run_command(fresh, "showmigrations")
    assert done.returncode == 1
    assert "could not be started" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "value", "left"),
    [("DATABASE_URL", "postgresql://db/portal", ["valkey"]), ("REDIS_URL", "redis://q", ["postgres"])],
)
def test_a_set_address_always_wins(fresh, monkeypatch, name, value, left):
    monkeypatch.setenv(name, value)
    assert [server.name for server in embedded.wanted()] == left


def test_an_address_in_a_file_wins_too(fresh, monkeypatch):
    monkeypatch.setenv("DATABASE_URL_FILE", "/run/secrets/database_url")
    assert [server.name for server in embedded.wanted()] == ["valkey"]


@pytest.mark.parametrize(
    ("argv", "needed"),
    [
        ([], False),
        (["help"], False),
        (["migrate", "--help"], False),
        (["--version"], False),
        (["check"], False),
        (["check", "--database", "default"], True),
        (["collectstatic", "--no-input"], False),
        (["up"], False),
        (["migrate"], True),
        (["tick", "alerts.watch"], True),
    ],
)
def test_only_commands_that_open_the_database_start_it(argv, needed):
    assert sharing.needs_servers(argv) is needed


@pytest.mark.parametrize(
    ("url", "cache", "broker"),
    [
        ("redis://q:6379", "redis://q:6379/0", "redis://q:6379/1"),
        ("redis://q:6379/", "redis://q:6379/0", "redis://q:6379/1"),
        ("redis://:pw@q/3", "redis://:pw@q/3", "redis://:pw@q/3"),
        (
            "valkeys://q?ssl_cert_reqs=none",
            "rediss://q/0?ssl_cert_reqs=none",
            "rediss://q/1?ssl_cert_reqs=none",
        ),
        ("unix:///run/v.sock", "unix:///run/v.sock?db=0", "redis+socket:///run/v.sock?virtual_host=1"),
        ("unix:///run/v.sock?db=5", "unix:///run/v.sock?db=5", "redis+socket:///run/v.sock?virtual_host=5"),
    ],
)
def test_cache_and_broker_share_a_server_in_numbers_of_their_own(url, cache, broker):
    assert embedded.redis_urls(url) == (cache, broker)


def test_reset_refuses_while_a_server_runs_and_deletes_afterwards(data, capsys):
    holder = start_holder(data, title="manage.py demo")
    assert reset.main(["--force"]) == 1
    assert "manage.py demo" in capsys.readouterr().err
    finish(holder)
    assert reset.main(["--force"]) == 0
    assert not data.exists()


def test_reset_leaves_a_directory_alone_that_is_not_the_portals(fresh, capsys):
    fresh.mkdir()
    (fresh / "thesis.txt").write_text("unrelated")
    assert reset.main(["--force"]) == 1
    assert "not the portal's to delete" in capsys.readouterr().err
    assert (fresh / "thesis.txt").exists()


DIES = """
import os, signal, sys, time
from apps.core.embedded import process
if {watch}:
    process._libc = None
parent = os.getpid()
if os.fork() == 0:
    process.die_with_parent(parent)
    print(os.getpid(), flush=True)
    time.sleep(600)
time.sleep(600)
"""


@pytest.mark.parametrize("watch", [False, True], ids=["by the kernel", "by a thread"])
def test_a_child_ends_when_its_parent_is_killed(fresh, watch):
    parent = processes.start_python(DIES.format(watch=watch), fresh)
    child = int(parent.stdout.readline())
    kill([parent.pid])
    parent.wait()
    wait_until(lambda: not runs(child), "the child ends")


def runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


# --- As root, and as somebody who is not ------------------------------------------------------------------
def needs_root():
    if os.geteuid() != 0:
        cannot("only root can become another user")


def python_for(user):
    """A Python 3.11 or newer that this user may run; ours may lie below a closed home."""
    check = "import sys; sys.exit(sys.version_info < (3, 11))"
    for program in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        try:
            if subprocess.run([program, "-c", check], user=user, cwd="/").returncode == 0:
                return program
        except OSError:
            continue
    return cannot(f"no Python 3.11 that {user!r} may run")


def stranger_can_read(*places):
    uid = pwd.getpwnam(NOBODY).pw_uid
    for place in places:
        if closed_parent(Path(place), uid):
            cannot(f"{place} lies below a directory that other users may not enter")


def test_an_ordinary_user_runs_the_servers_and_owns_their_files(fresh):
    if os.geteuid() == 0:
        stranger_can_read(fresh, PROJECT / "manage.py", Postgres(fresh).program)
        uid = pwd.getpwnam(NOBODY).pw_uid
        os.chown(fresh.parent, uid, -1)
        holder = start_holder(
            fresh, program=python_for(NOBODY), user=uid, env={**processes.environment(fresh), **IMPORTS}
        )
    else:
        uid, holder = os.geteuid(), start_holder(fresh)
    assert holder.first_line == "ready postgres valkey"
    assert (Postgres(fresh).home / "PG_VERSION").stat().st_uid == uid
    finish(holder)
    if os.geteuid() == 0:  # root then acts as the owner and leaves nothing of its own among the files
        with embedded.running(), connect() as db:
            db.execute("CREATE TABLE made_by_root (n int)")
        strangers = [p for p in Postgres(fresh).home.rglob("*") if p.stat().st_uid != uid]
        assert strangers == []


# The wheels with the binaries, for a Python that does not live in our environment.
IMPORTS = {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p.endswith("site-packages")), "HOME": "/"}


def test_root_needs_no_account_and_keeps_the_files(data):
    needs_root()
    with embedded.running() as owned:
        if not owned[0].account.namespace:
            cannot("this system refuses user namespaces")
        assert (owned[0].home / "PG_VERSION").stat().st_uid == 0


def test_somebody_elses_data_are_refused_with_a_sentence(data):
    needs_root()
    stranger_can_read(data, PROJECT / "manage.py", Postgres(data).program)
    with embedded.running():
        pass
    os.chown(data, pwd.getpwnam(NOBODY).pw_uid, -1)
    os.chown(data / "locks", pwd.getpwnam(NOBODY).pw_uid, -1)
    for lock in (data / "locks").iterdir():
        os.chown(lock, pwd.getpwnam(NOBODY).pw_uid, -1)
    visitor = processes.start_python(
        HOLD.format(title="visitor", own=False),
        data,
        program=python_for(NOBODY),
        user=NOBODY,
        env={**processes.environment(data), **IMPORTS},
    )
    assert "belongs to the user 'root'" in finish(visitor)


def in_world_without_namespaces(ready, go):
    """In a forked child: all users as outside, but no further user namespace may be made."""
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.unshare(0x10000000) == 0
    os.write(ready, b"x")
    os.read(go, 1)
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    Path("/proc/sys/user/max_user_namespaces").write_text("0")


def start_without_namespaces(code, data):
    """A process for which root exists but user namespaces are refused, as in many containers."""
    needs_root()
    ready_read, ready_write = os.pipe()
    go_read, go_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            in_world_without_namespaces(ready_write, go_read)
            os.chdir(PROJECT)
            out = os.open(data.parent / "out.txt", os.O_CREAT | os.O_WRONLY, 0o644)
            os.dup2(out, 1)
            os.dup2(out, 2)
            os.execve(sys.executable, [sys.executable, "-c", code], processes.environment(data))
        finally:
            os._exit(97)
    os.close(ready_write)
    if os.read(ready_read, 1) != b"x":
        cannot("this system refuses user namespaces, so the refusal cannot be staged")
    for name in ("uid_map", "gid_map"):
        Path(f"/proc/{pid}/{name}").write_text("0 0 65536")
    os.write(go_write, b"x")
    os.waitpid(pid, 0)
    return (data.parent / "out.txt").read_text()


ONCE = """
import os
from apps.core import embedded
try:
    with embedded.running() as owned:
        print("namespace", owned[0].account.namespace, "uid", (owned[0].home / "PG_VERSION").stat().st_uid)
except embedded.ServerError as error:
    print("refused:", error)
"""


@pytest.mark.skipif(not LINUX, reason="user namespaces are a matter of Linux")
def test_where_namespaces_are_refused_root_drops_to_an_unprivileged_user(fresh):
    stranger_can_read(fresh, Postgres(fresh).program)
    uid = pwd.getpwnam(NOBODY).pw_uid
    assert start_without_namespaces(ONCE, fresh) == f"namespace False uid {uid}\n"
    with embedded.running(), connect() as db:  # where they are allowed, the files keep that owner
        assert db.execute("SELECT 1").fetchone() == (1,)
    assert (Postgres(fresh).home / "PG_VERSION").stat().st_uid == uid


@pytest.mark.skipif(not LINUX, reason="user namespaces are a matter of Linux")
def test_files_of_root_are_handed_over_once_namespaces_are_refused(data):
    stranger_can_read(data, Postgres(data).program)
    with embedded.running():
        connect().execute("CREATE TABLE kept AS SELECT 7 AS n")
    uid = pwd.getpwnam(NOBODY).pw_uid
    assert start_without_namespaces(ONCE, data) == f"namespace False uid {uid}\n"
    with embedded.running(), connect() as db:
        assert db.execute("SELECT n FROM kept").fetchone() == (7,)


@pytest.mark.skipif(not LINUX, reason="user namespaces are a matter of Linux")
def test_a_closed_parent_is_named_and_never_opened(fresh):
    fresh.parent.chmod(0o700)
    said = start_without_namespaces(ONCE, fresh)
    assert said.startswith("refused: ")
    assert f"may not enter {fresh.parent}" in said
    assert stat.S_IMODE(fresh.parent.stat().st_mode) == 0o700
