"""The colours of static/portal/tokens.css, held to WCAG 2.2: 4.5 for words, 3 for graphics and borders of controls."""

import re
from pathlib import Path

import pytest

from apps.core.badges import SHAPES, badge_of

PORTAL = Path(__file__).parents[2] / "static" / "portal"
TOKENS = (PORTAL / "tokens.css").read_text()
SEVERITIES = ("sev1", "sev2", "sev3", "sev4", "ok", "nodata")
WORDS = [
    *(
        (word, ground)
        for word in ("loud", "fg", "medium", "quiet")
        for ground in ("surface", "canvas", "sunken")
    ),
    *((word, "brand-soft") for word in ("fg", "quiet", "brand")),
    *(("brand", ground) for ground in ("surface", "canvas")),
    *(("on-brand", ground) for ground in ("brand", "brand-hover")),
    *((f"{tone}-fg", f"{tone}-bg") for tone in SEVERITIES),
    *((f"{tone}-fg", "surface") for tone in SEVERITIES),
]
GRAPHICS = [
    *(("edge", ground) for ground in ("surface", "canvas", "sunken")),
    *(("focus", ground) for ground in ("surface", "canvas", "sunken")),
    *((tone, "surface") for tone in SEVERITIES),
    *((f"c{n}", "surface") for n in range(1, 7)),
]


def without_comments(css: str) -> str:
    return re.sub(r"/\*.*?\*/", "", css, flags=re.S)


def colours(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6});", block))


def themes() -> dict[str, dict[str, str]]:
    """Light, dark by the system's setting, dark by the theme button: each as the browser would find it."""
    blocks = re.findall(r"([^{}]+)\{([^{}]+)\}", without_comments(TOKENS))
    found = [(selector.strip(), colours(body)) for selector, body in blocks if "--canvas: #" in body]
    assert len(found) == 3, [selector for selector, _ in found]
    return dict(zip(("light", "dark", "dark by button"), (values for _, values in found), strict=True))


def luminance(colour: str) -> float:
    """Relative luminance, 0 to 1, as WCAG defines it."""
    parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_formula_knows_black_and_white_and_a_published_pair():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("word", "ground"), WORDS)
def test_words_can_be_read_on_their_ground(theme, word, ground):
    values = themes()[theme]
    assert contrast(values[word], values[ground]) >= 4.5


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("mark", "ground"), GRAPHICS)
def test_graphics_and_borders_can_be_seen_on_their_ground(theme, mark, ground):
    values = themes()[theme]
    assert contrast(values[mark], values[ground]) >= 3


def test_both_ways_into_the_dark_give_the_same_colours():
    assert themes()["dark"] == themes()["dark by button"]


def test_each_theme_sets_the_same_names():
    assert set(themes()["light"]) == set(themes()["dark"])


def test_every_variable_that_a_sheet_reads_is_set_somewhere():
    sheets = "".join(without_comments(path.read_text()) for path in PORTAL.glob("*.css"))
    read = set(re.findall(r"var\(--([a-z0-9-]+)\s*\)", sheets))
    assert read - set(re.findall(r"--([a-z0-9-]+)\s*:", sheets)) == set()


def test_every_shape_of_a_badge_is_drawn_in_the_sprite():
    drawn = set(re.findall(r'<symbol id="([a-z-]+)"', (PORTAL / "icons.svg").read_text()))
    assert set(SHAPES) <= drawn


def test_every_severity_has_a_shape_of_its_own():
    shapes = [badge_of(severity).shape for severity in ("critical", "error", "warning", "info")]
    assert len(set(shapes)) == 4


def test_no_sheet_asks_another_host_for_anything():
    for path in PORTAL.glob("*.css"):
        assert not re.search(r"(https?:)?//|@import", without_comments(path.read_text())), path.name
