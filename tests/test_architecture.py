"""The rooms and the one direction they may look: a room imports only rooms in layers below its own."""

import ast
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path

import pytest
from django.apps import apps

LAYERS = [
    {"ingest", "reports", "status"},
    {"alerts"},
    {"slos", "metrics", "diagnostics"},
    {"errors", "telemetry", "health", "mirror", "incidents"},
    {"projects"},
    {"audit"},
    {"core"},
]
ROOT = Path(__file__).parent.parent
DEPTH = {room: depth for depth, layer in enumerate(LAYERS) for room in layer}
ROOMS = sorted(path.parent.name for path in ROOT.glob("apps/*/__init__.py"))


def imported_modules(tree: ast.AST, package: str) -> Iterator[str]:
    """Dotted names that a file of this package imports, relative ones and those inside functions included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def named_models(tree: ast.AST) -> Iterator[str]:
    """Room labels in the string keys of relations, such as ForeignKey("alerts.Alert")."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute | ast.Name):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
        if name in {"ForeignKey", "OneToOneField", "ManyToManyField"} and node.args:
            target = node.args[0]
            if isinstance(target, ast.Constant) and "." in str(target.value):
                yield str(target.value).split(".")[0]


def broken_laws(root: Path) -> list[str]:
    """Every sentence in which a room looks sideways, up, or at the composition root."""
    broken = []
    for path in sorted((root / "apps").rglob("*.py")):
        room = path.relative_to(root / "apps").parts[0]
        if "migrations" in path.parts or room == "__init__.py":
            continue
        tree = ast.parse(path.read_text())
        names = list(imported_modules(tree, ".".join(path.relative_to(root).parent.parts)))
        seen = {n.split(".")[1] for n in names if n.startswith("apps.") and n.count(".")}
        seen |= {label for label in named_models(tree) if label in DEPTH}
        broken += [
            f"{path.name} in {room} looks at {o}" for o in sorted(seen - {room}) if DEPTH[o] <= DEPTH[room]
        ]
        broken += [
            f"{path} imports the composition root" for n in names if n.startswith("reliability_portal")
        ]
    return broken


def test_every_room_has_a_layer():
    assert set(ROOMS) <= set(DEPTH)
    assert {"core", "audit", "projects", "errors", "incidents", "alerts", "ingest", "reports"} <= set(ROOMS)


def test_every_room_looks_only_down():
    assert broken_laws(ROOT) == []


def test_foreign_keys_look_only_down():
    for model in apps.get_models():
        room = model._meta.app_label
        if room not in DEPTH:
            continue
        for field in model._meta.get_fields():
            if field.is_relation and field.concrete and field.related_model:
                other = field.related_model._meta.app_label
                assert other not in DEPTH or other == room or DEPTH[other] > DEPTH[room], (
                    f"{model}.{field.name}"
                )


@pytest.mark.parametrize(
    ("room", "planted", "found"),
    [
        ("incidents", "from ..alerts import services\n", "looks at alerts"),
        ("errors", "def f():\n    from apps import incidents\n", "looks at incidents"),
        ("errors", "import apps.ingest.models\n", "looks at ingest"),
        ("core", "from apps.audit.services import record\n", "looks at audit"),
        (
            "projects",
            "from django.db import models\nf = models.ForeignKey('alerts.Alert', models.CASCADE)\n",
            "alerts",
        ),
        ("audit", "import reliability_portal.settings\n", "composition root"),
    ],
)
def test_a_planted_breach_is_found(tmp_path, room, planted, found):
    (tmp_path / "apps" / room).mkdir(parents=True)
    (tmp_path / "apps" / room / "planted.py").write_text(planted)
    assert any(found in sentence for sentence in broken_laws(tmp_path))
