"""What deploy/ promises: pinned images, no root, health checks, and variables that the settings really read."""

import os
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from reliability_portal.celery import OWN, TICKS

PROJECT = Path(__file__).resolve().parent.parent
DEPLOY = PROJECT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
PORTAL = {name: s for name, s in SERVICES.items() if s["image"].startswith("reliability-portal")}
READ = re.compile(r'env_(text|int|bool)\(\s*"([A-Z_]+)"')


def variables_read():
    """Name → reader of every variable of the settings."""
    return {
        name: kind
        for kind, name in READ.findall((PROJECT / "reliability_portal" / "settings.py").read_text())
    }


def defaults(value):
    """A value of compose.yaml with ${NAME:-default} and ${NAME:?message} as if only SITE_URL were set."""
    value = re.sub(r"\$\{SITE_URL:\?[^}]*\}", "https://portal.example.org", str(value))
    return re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", value)


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_pinned_without_root_and_without_a_writable_system(name):
    service = SERVICES[name]
    tag = service["image"].rpartition(":")[2]
    assert re.match(r"\d+\.\d+", tag), service["image"]
    assert service["user"] and str(service["user"]).split(":")[0] not in ("0", "root")
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"] and "no-new-privileges:true" in service["security_opt"]


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_that_stays_has_a_health_check(name):
    service = SERVICES[name]
    if name == "migrate":
        assert service["healthcheck"] == {"disable": True} and service["restart"].startswith("on-failure")
    else:
        assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
        assert service["restart"] == "unless-stopped"


def test_only_the_web_can_be_reached_and_only_migrate_knows_the_owner():
    assert [name for name, s in SERVICES.items() if "ports" in s] == ["web"]
    assert SERVICES["web"]["ports"] == ["${LISTEN:-127.0.0.1:8000}:8000"]
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    assert SERVICES["postgres"]["networks"] == SERVICES["valkey"]["networks"] == ["inside"]
    owners = {name for name, s in SERVICES.items() if "database_owner_url" in s.get("secrets", ())}
    assert owners == {"migrate", "postgres"}  # postgres makes the role


@pytest.mark.parametrize("name", PORTAL)
def test_every_variable_is_one_that_the_settings_read(name):
    known = variables_read()
    for variable in PORTAL[name]["environment"]:
        plain = variable.removesuffix("_FILE")
        assert plain in known, variable
        assert variable == plain or known[plain] == "text", f"{plain} cannot be read from a file"


def test_secrets_are_files_that_the_script_makes_and_never_values(tmp_path):
    shutil.copy(DEPLOY / "make-secrets.sh", tmp_path)
    subprocess.run([tmp_path / "make-secrets.sh"], check=True, capture_output=True)
    made = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    assert made.keys() == COMPOSE["secrets"].keys()
    assert {s["file"] for s in COMPOSE["secrets"].values()} == {f"./secrets/{name}" for name in made}
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert len(set(made.values())) == len(made)
    for service in SERVICES.values():
        for variable, value in service.get("environment", {}).items():
            if re.search("PASS|SECRET|KEYS|DATABASE", variable):
                assert variable.endswith("_FILE") and Path(value).name in service["secrets"], variable


def test_what_was_drawn_stays_when_the_script_runs_again(tmp_path):
    shutil.copy(DEPLOY / "make-secrets.sh", tmp_path)
    contents = []
    for _ in range(2):
        subprocess.run([tmp_path / "make-secrets.sh"], check=True, capture_output=True)
        contents.append({path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()})
    assert contents[0] == contents[1]


@pytest.mark.parametrize("name", ["migrate", "web"])
def test_the_settings_accept_what_compose_gives_them(name, tmp_path):
    shutil.copy(DEPLOY / "make-secrets.sh", tmp_path)
    subprocess.run([tmp_path / "make-secrets.sh"], check=True, capture_output=True)
    given = {k: defaults(v) for k, v in PORTAL[name]["environment"].items()}
    given = {k: v.replace("/run/secrets", str(tmp_path / "secrets")) for k, v in given.items()}
    environment = {
        "PATH": os.environ["PATH"],
        "PORTAL_ENV": "production",
        "PORTAL_DATA_DIR": str(tmp_path / "data"),
    }
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--fail-level", "ERROR"],
        cwd=PROJECT, env={**environment, **given}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "data").exists()  # nothing is made on the way in: the file system is read-only


@pytest.mark.parametrize("queue", ["fast", "slow"])
def test_a_worker_has_a_thread_for_each_slot_of_each_tick_of_its_queue(queue):
    command = SERVICES[f"worker-{queue}"]["command"]
    assert command[command.index("-Q") + 1] == queue
    assert int(command[command.index("--concurrency") + 1]) > sum(t.slots for t in TICKS if t.queue == queue)


def test_every_queue_has_a_worker():
    taken = {s["command"][s["command"].index("-Q") + 1] for s in PORTAL.values() if "-Q" in s["command"]}
    assert taken == {tick.queue for tick in TICKS} - {OWN}


def test_every_tick_with_a_process_of_its_own_has_a_service_for_its_first_slot():
    attended = {s["command"][3] for s in PORTAL.values() if "attend" in s["command"]}
    assert attended == {tick.name for tick in TICKS if tick.queue == OWN}


def test_the_image_is_pinned_without_root_and_copies_what_is_there():
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    assert "ARG PYTHON=python:3.13-slim-trixie" in lines
    assert all(line.startswith("FROM ${PYTHON}") for line in lines if line.startswith("FROM"))
    assert next(line for line in lines if line.startswith("USER")) == f"USER {PORTAL['web']['user']}"
    sent = [line[1:] for line in (PROJECT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for line in lines:
        if line.startswith("COPY") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert (PROJECT / source).exists() and any(fnmatch(source, kept) for kept in sent), source
