"""Every page compiles, and none holds what the content policy or the rules of forms forbid."""

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.template.loader import get_template

ROOT = Path(settings.BASE_DIR) / "templates"
NAMES = sorted(str(path.relative_to(ROOT)) for path in ROOT.rglob("*.html"))


def make_source(name: str) -> str:
    return (ROOT / name).read_text()


@pytest.mark.parametrize("name", NAMES)
def test_a_template_compiles(name: str) -> None:
    assert get_template(name).template.name == name


@pytest.mark.parametrize("name", NAMES)
def test_a_template_holds_no_inline_style_or_script(name: str) -> None:
    source = make_source(name)
    assert not re.search(r"\sstyle=|<style|\son[a-z]+=\"|javascript:", source)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", source))


@pytest.mark.parametrize("name", NAMES)
def test_a_template_marks_nothing_as_safe(name: str) -> None:
    assert not re.search(r"\|safe\b|autoescape off|\|safeseq\b", make_source(name))


@pytest.mark.parametrize("name", NAMES)
def test_a_form_that_posts_carries_the_token(name: str) -> None:
    forms = re.findall(r"<form\b[^>]*method=\"post\".*?</form>", make_source(name), re.DOTALL)
    assert all("{% csrf_token %}" in form for form in forms)
