"""The lock of the JavaScript packages: each one by its digest, from whatever registry the machine is set up for."""

import json
from pathlib import Path


def test_every_package_is_held_to_its_digest_and_none_to_a_registry():
    packages = json.loads((Path(__file__).parent / "package-lock.json").read_text())["packages"]
    listed = {name: facts for name, facts in packages.items() if name}
    assert {"node_modules/@sentry/node", "node_modules/@sentry/browser", "node_modules/esbuild"} <= set(
        listed
    )
    assert [
        name for name, facts in listed.items() if not facts.get("integrity", "").startswith("sha512-")
    ] == []
    assert [name for name, facts in listed.items() if "resolved" in facts] == []
