"""Settings: refused where they are unsafe or unreadable, and documented one by one."""

import ast
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

from reliability_portal.env import env_bool, env_int, env_text
from tests.at_once import at_once

ROOT = Path(__file__).parent.parent
KEY = Fernet.generate_key().decode()
PRODUCTION = {
    "PORTAL_ENV": "production",
    "SECRET_KEY": "k" * 50,
    "PORTAL_ENCRYPTION_KEYS": KEY,
    "SITE_URL": "https://portal.example.org",
}


def load(data, show="PORTAL_ENV", **environment):
    """Import the settings in a process of their own; what it printed, or its last line of refusal."""
    clean = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LD_LIBRARY_PATH")}
    names = f"[s.{', s.'.join(show.split())}]"
    done = subprocess.run(
        [sys.executable, "-c", f"import reliability_portal.settings as s; print({names})"],
        env=clean | {"PORTAL_DATA_DIR": str(data)} | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout.strip() if done.returncode == 0 else done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize("raw", ["1", "true", "TRUE", " yes ", "On"])
def test_words_that_switch_on(monkeypatch, raw):
    monkeypatch.setenv("X", raw)
    assert env_bool("X", False) is True


@pytest.mark.parametrize("raw", ["0", "false", "No", "off"])
def test_words_that_switch_off(monkeypatch, raw):
    monkeypatch.setenv("X", raw)
    assert env_bool("X", True) is False


@pytest.mark.parametrize("raw", ["", "  "])
def test_empty_is_as_good_as_unset(monkeypatch, raw):
    for name in ("X", "X_FILE"):
        monkeypatch.setenv(name, raw)
    assert env_bool("X", True) is True
    assert env_int("X", 7) == 7
    assert env_text("X", "d") == "d"


@pytest.mark.parametrize("raw", ["2", "ja", "truee", "None"])
def test_other_words_are_refused_by_the_name_of_the_variable(monkeypatch, raw):
    monkeypatch.setenv("X", raw)
    with pytest.raises(ImproperlyConfigured, match=r"^X="):
        env_bool("X", True)


@pytest.mark.parametrize("raw", ["1.5", "ten", "--5", "-", "11", "-1", "1e3", "٣", "9" * 6000, "0x10", "1_0"])
def test_numbers_out_of_bounds_or_in_other_writing_are_refused_by_name(monkeypatch, raw):
    monkeypatch.setenv("X", raw)
    with pytest.raises(ImproperlyConfigured, match=r"^X=.*from 0 to 10\.$"):
        env_int("X", 5, low=0, high=10)


def test_numbers_at_their_bounds_are_taken(monkeypatch):
    for raw, value in (("-3", -3), (" 10 ", 10), ("007", 7)):
        monkeypatch.setenv("X", raw)
        assert env_int("X", 5, low=-3, high=10) == value


def test_a_file_may_hold_the_value_and_the_variable_itself_wins(monkeypatch, tmp_path):
    path = tmp_path / "secret"
    path.write_text("from the file\n")
    monkeypatch.setenv("X_FILE", str(path))
    assert env_text("X", "default") == "from the file"
    monkeypatch.setenv("X", "direct")
    assert env_text("X", "default") == "direct"


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_is_missing_or_no_text_is_refused_by_name(monkeypatch, tmp_path, content):
    path = tmp_path / "secret"
    if content:
        path.write_bytes(content)
    monkeypatch.setenv("X_FILE", str(path))
    with pytest.raises(ImproperlyConfigured, match=r"^X_FILE="):
        env_text("X")


def test_one_of_some_words_is_demanded(monkeypatch):
    monkeypatch.setenv("X", "debugg")
    with pytest.raises(ImproperlyConfigured, match="use one of debug, info"):
        env_text("X", words=("debug", "info"))


def test_production_starts_with_the_four_that_it_needs(tmp_path):
    shown = (
        "PORTAL_ENV DEBUG HTTPS ALLOWED_HOSTS SESSION_COOKIE_SECURE SESSION_COOKIE_NAME SECURE_SSL_REDIRECT"
    )
    told = ast.literal_eval(load(tmp_path, shown, **PRODUCTION))
    assert told == ["production", False, True, ["portal.example.org"], True, "__Host-session", True]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"DEBUG": "true"}, "DEBUG=true is refused"),
        ({"SECRET_KEY": ""}, "SECRET_KEY: set at least 40"),
        ({"SECRET_KEY": "k" * 39}, "SECRET_KEY: set at least 40"),
        ({"PORTAL_ENCRYPTION_KEYS": ""}, "PORTAL_ENCRYPTION_KEYS: set at least one"),
        ({"PORTAL_ENCRYPTION_KEYS": " , "}, "PORTAL_ENCRYPTION_KEYS: set at least one"),
        ({"PORTAL_ENCRYPTION_KEYS": f"{KEY},short"}, "PORTAL_ENCRYPTION_KEYS: one of them is no Fernet key"),
        ({"SITE_URL": ""}, "SITE_URL=''"),
        ({"SITE_URL": "portal.example.org"}, "SITE_URL='portal.example.org'"),
        ({"SITE_URL": "ftp://portal.example.org"}, "SITE_URL="),
        ({"SITE_URL": "https://portal.example.org/under"}, "SITE_URL="),
        ({"SITE_URL": "https://[::1"}, "SITE_URL="),
        ({"SITE_URL": "https://portal.example.org:99999"}, "SITE_URL="),
        ({"PORTAL_ENV": "prod"}, "PORTAL_ENV='prod'"),
        ({"LOG_LEVEL": "loud"}, "LOG_LEVEL='loud'"),
        ({"PORT": "0"}, "PORT='0'"),
    ],
)
def test_an_unsafe_or_unreadable_value_stops_production_with_one_line(tmp_path, change, said):
    told = load(tmp_path, **PRODUCTION | change)
    assert told.startswith("django.core.exceptions.ImproperlyConfigured: ")
    assert said in told
    assert KEY not in told


def test_whoever_brings_a_database_is_in_production_unless_they_say_otherwise(tmp_path):
    url = {"DATABASE_URL": "postgresql://app@db.example.org/portal"}
    assert "SECRET_KEY" in load(tmp_path, **url)
    assert load(tmp_path, **url, PORTAL_ENV="staging") == "['staging']"
    assert load(tmp_path) == "['development']"


def test_a_secret_may_come_from_a_file(tmp_path):
    path = tmp_path / "key"
    path.write_text("f" * 60 + "\n")
    told = load(tmp_path, "SECRET_KEY", **PRODUCTION | {"SECRET_KEY": "", "SECRET_KEY_FILE": str(path)})
    assert told == f"['{'f' * 60}']"


def test_outside_production_one_random_key_is_kept_also_when_several_start_at_once(tmp_path):
    told = set(at_once(3, lambda _: load(tmp_path, "SECRET_KEY")))
    assert told == {load(tmp_path, "SECRET_KEY")}
    (path,) = tmp_path.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(path.read_text()) >= 40


def test_encryption_keys_keep_their_order_and_may_have_spaces(tmp_path):
    other = Fernet.generate_key().decode()
    told = load(
        tmp_path, "PORTAL_ENCRYPTION_KEYS", **PRODUCTION | {"PORTAL_ENCRYPTION_KEYS": f"{other}, {KEY}"}
    )
    assert ast.literal_eval(told) == [[other, KEY]]


# --- The page that documents them -------------------------------------------------------------------------------


def rows():
    """{variable: (default, example, harm)} of the page."""
    text = (ROOT / "docs/reference/settings.md").read_text()
    found = re.findall(r"^\| `([A-Z_]+)` \| (.+?) \| (.+?) \| (.+) \|$", text, re.MULTILINE)
    assert len({name for name, *_ in found}) == len(found), "a variable stands twice"
    return {name: rest for name, *rest in found}


def reads():
    """{variable: default expression} that the settings read, in their order."""
    tree = ast.parse((ROOT / "reliability_portal/settings.py").read_text())
    calls = [
        node for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.startswith("env_")
    ]  # fmt: skip
    return {call.args[0].value: call.args[1] if len(call.args) > 1 else None for call in calls}


def read_elsewhere():
    """Variables read by the programs that start the portal and its servers."""
    files = [*(ROOT / "apps/core/embedded").glob("*.py"), *(ROOT / "reliability_portal").glob("*.py")]
    text = "\n".join(path.read_text() for path in files)
    return set(
        re.findall(r"os\.(?:environ\.get\(|environ\[|getenv\()\"([A-Z_]+)\"[^=]*?(?:\)|\](?! =))", text)
    )


def test_every_variable_that_is_read_is_documented_and_no_other():
    assert {"SECRET_KEY", "PORT", "SMTP_PASS"} <= reads().keys()
    assert {"PORTAL_DATA_DIR", "HOST", "WEB_WORKERS"} <= read_elsewhere()
    assert set(rows()) == reads().keys() | read_elsewhere()


def test_a_default_that_is_a_plain_value_is_the_one_that_is_documented():
    checked = 0
    plain = ast.Constant | ast.BinOp | ast.operator
    for name, node in reads().items():
        if node is None or not all(isinstance(part, plain) for part in ast.walk(node)):
            continue
        value = eval(compile(ast.Expression(node), "default", "eval"))
        shown = str(value).lower() if isinstance(value, bool) else str(value)
        assert rows()[name][0] == f"`{shown}`", name
        checked += 1
    assert checked > 12


def test_every_row_says_what_breaks():
    for name, (_, example, harm) in rows().items():
        assert example.strip(), name
        assert len(harm) > 10, name


def test_settings_are_read_by_the_three_functions_only():
    text = (ROOT / "reliability_portal/settings.py").read_text()
    assert "environ" not in re.sub(r'"""[\s\S]*?"""|#.*', "", text)
    assert "getenv" not in text
