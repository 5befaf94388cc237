"""Contrast of the look's colours, computed from the style sheet itself, in both themes."""

import re
from pathlib import Path

import pytest

STYLES = Path(__file__).parents[2] / "static" / "portal"
TEXT, GRAPHIC = 4.5, 3.0
TONES = ("sev1", "sev2", "sev3", "sev4", "ok", "nodata")
PAIRS = [
    *((text, ground, TEXT) for text in ("fg", "medium", "quiet", "loud") for ground in ("surface", "canvas", "sunken")),
    ("quiet", "brand-soft", TEXT), ("loud", "brand-soft", TEXT), ("medium", "brand-soft", TEXT),
    *(("brand", ground, TEXT) for ground in ("surface", "canvas", "brand-soft")),
    ("on-brand", "brand", TEXT), ("on-brand", "brand-hover", TEXT),
    *(("edge", ground, GRAPHIC) for ground in ("surface", "canvas", "sunken")),
    *(("focus", ground, GRAPHIC) for ground in ("surface", "canvas", "sunken", "brand-soft")),
    *((f"{tone}-fg", f"{tone}-bg", TEXT) for tone in TONES),
    *((f"{tone}-fg", "surface", TEXT) for tone in TONES),
    *((tone, "surface", GRAPHIC) for tone in TONES),
    *((f"c{n}", "surface", GRAPHIC) for n in range(1, 7)),
]  # fmt: skip


def blocks() -> dict[str, dict[str, str]]:
    """The variables of the three lists: light, dark by the system, dark by the button."""
    text = (STYLES / "tokens.css").read_text()
    found = {}
    for selector, body in re.findall(r"([^{}]+){([^{}]*--canvas:[^{}]*)}", text):
        theme = re.search(r'data-theme="(\w+)"', selector)
        name = theme[1] if theme else "system"
        found[name] = dict(re.findall(r"--([a-z0-9-]+):\s*([^;]+);", body))
    return found


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_formula_gives_the_known_extremes():
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#777777") == pytest.approx(1)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("one", "other", "needed"), PAIRS)
def test_pairs_can_be_read(theme, one, other, needed):
    tokens = blocks()[theme]
    assert contrast(tokens[one], tokens[other]) >= needed


def test_dark_is_the_same_by_the_system_and_by_the_button():
    found = blocks()
    assert found["dark"] == found["system"]
    assert set(found["dark"]) == set(found["light"])


def test_styles_use_only_variables_that_exist():
    known = set(re.findall(r"--([a-z0-9-]+):", (STYLES / "tokens.css").read_text()))
    used = {v for path in STYLES.glob("*.css") for v in re.findall(r"var\(--([a-z0-9-]+)", path.read_text())}
    assert used - known == set()


def test_styles_are_short_and_fetch_nothing_from_elsewhere():
    for path in STYLES.glob("*.css"):
        text = path.read_text()
        assert len(text.splitlines()) <= 350, path.name
        assert "@import" not in text
        assert not re.search(r"url\(\s*[\"']?(https?:)?//", text), path.name
