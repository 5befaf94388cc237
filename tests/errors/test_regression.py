from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.errors.regression import regressed, release_order
from tests.fuzz import thorough

AT = datetime(2026, 11, 22, 18, 0, tzinfo=UTC)
LATER = AT + timedelta(hours=1)


def back(release: str, resolved_in: str, at: datetime = LATER) -> bool:
    return regressed(AT, resolved_in, SimpleNamespace(occurred_at=at, release=release))


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("4.9", "4.10"), ("shop@4.9.0", "shop@4.9.1"), ("v1.2", "v1.3"), ("v1.2", "1.3"), ("1.0rc1", "1.0"),
        ("1.0rc1", "1.0rc2"), ("1.0-alpha", "1.0-beta"), ("1.0", "1.0.1"), ("1.0rc1", "1.0.1"), ("1.0", "1.0.post1"),
        ("1.0.post1", "1.0.1"), ("1.2.3+456", "1.2.3+457"), ("1.2.3", "1.2.3+1"), ("1.2.3+9", "1.2.4"),
        ("2026.11.9", "2026.11.22"), ("build-9", "build-10"), ("1.0-hotfix1", "1.0-hotfix2"), ("9", "10"),
        ("com.shop@9.9", "org.shop@10.0"),
    ],
)  # fmt: skip
def test_a_newer_release_reopens_and_an_older_or_the_same_one_does_not(older, newer):
    assert back(newer, older)
    assert not back(older, newer)
    assert not back(older, older)


@pytest.mark.parametrize(
    ("seen", "resolved_in"),
    [
        ("1a2b3c4", "f00ba47"), ("shop@" + "0" * 39 + "1", "shop@" + "a" * 40), ("1.1", "f00ba47"), ("blue", "green"),
        ("f00ba47", "1.1"),
    ],
)  # fmt: skip
def test_releases_without_an_order_reopen_whenever_they_are_others(seen, resolved_in):
    assert back(seen, resolved_in)
    assert back(resolved_in, seen)
    assert not back(seen, seen)


@pytest.mark.parametrize(("seen", "resolved_in"), [("", ""), ("1.0", ""), ("", "1.0")])
def test_without_releases_on_both_sides_every_later_event_reopens(seen, resolved_in):
    assert back(seen, resolved_in)


@pytest.mark.parametrize("at", [AT, AT - timedelta(seconds=1)])
def test_what_happened_before_the_resolution_never_reopens(at):
    assert not back("9.9", "1.0", at)
    assert not back("", "", at)


@thorough
@given(st.text(max_size=200), st.text(max_size=200))
def test_any_two_names_can_be_compared_and_never_both_ways(one, other):
    if release_order(one) is not None and release_order(other) is not None:
        assert not (back(one, other) and back(other, one)) or not (one and other)
    assert isinstance(back(one, other), bool)
