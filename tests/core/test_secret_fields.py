"""Secrets at rest: bound to their place, opened by any key at hand, unreadable by all others."""

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from apps.core.secret_fields import SecretUnreadable, hint, seal, unseal

HERE, THERE = "alerts.Channel.secret:1", "alerts.Channel.secret:2"
OLD, NEW, OTHER = (Fernet.generate_key().decode() for _ in range(3))


@given(st.text())
def test_what_is_sealed_comes_back_and_does_not_show(plain):
    sealed = seal(plain, place=HERE)
    assert unseal(sealed, place=HERE) == plain
    assert unseal(memoryview(sealed), place=HERE) == plain
    assert len(plain) < 4 or plain.encode() not in sealed


def test_a_sealed_value_cannot_be_moved_to_another_row():
    with pytest.raises(SecretUnreadable, match="another row"):
        unseal(seal("hunter2", place=HERE), place=THERE)


def test_a_place_cannot_be_forged_through_the_value():
    forged = seal('hunter2", "x', place=HERE)
    assert unseal(forged, place=HERE) == 'hunter2", "x'


def test_a_new_key_in_front_still_opens_what_the_old_one_sealed_until_that_is_taken_away(settings):
    settings.PORTAL_ENCRYPTION_KEYS = [OLD]
    sealed = seal("hunter2", place=HERE)
    settings.PORTAL_ENCRYPTION_KEYS = [NEW, OLD]
    assert unseal(sealed, place=HERE) == "hunter2"
    again = seal("hunter2", place=HERE)
    settings.PORTAL_ENCRYPTION_KEYS = [NEW]
    assert unseal(again, place=HERE) == "hunter2"
    with pytest.raises(SecretUnreadable, match="set it again"):
        unseal(sealed, place=HERE)


def test_a_wrong_key_and_a_changed_byte_are_told_apart_from_nothing_stored(settings):
    settings.PORTAL_ENCRYPTION_KEYS = [OLD]
    sealed = seal("hunter2", place=HERE)
    with pytest.raises(SecretUnreadable):
        unseal(sealed[:-2] + b"xx", place=HERE)
    settings.PORTAL_ENCRYPTION_KEYS = [OTHER]
    for value in (sealed, b"garbage", b"\xff\0"):
        with pytest.raises(SecretUnreadable):
            unseal(value, place=HERE)
    assert unseal(b"", place=HERE) == ""
    assert seal("", place=HERE) == b""


def test_without_keys_outside_production_the_secret_key_seals(settings):
    settings.PORTAL_ENCRYPTION_KEYS = []
    sealed = seal("hunter2", place=HERE)
    assert unseal(sealed, place=HERE) == "hunter2"
    settings.SECRET_KEY = "another secret key of more than forty characters"
    with pytest.raises(SecretUnreadable):
        unseal(sealed, place=HERE)


def test_the_same_secret_sealed_twice_looks_different():
    assert seal("hunter2", place=HERE) != seal("hunter2", place=HERE)


@pytest.mark.parametrize(("plain", "shown"), [("x" * 12, "set"), ("secret-token-1234", "…1234")])
def test_a_hint_shows_the_end_of_long_secrets_only(plain, shown):
    assert hint(plain) == shown
