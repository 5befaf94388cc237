"""Keys that are rotated and revoked: each once, on record, without a gap."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from apps.audit.models import AuditEvent
from apps.projects.key_services import revoke_key, rotate_key
from apps.projects.models import ProjectKey
from apps.projects.services import create_project
from tests.at_once import at_once
from tests.people import make_person


def make_key(**facts):
    key = create_project(name="Shop").keys.get()
    ProjectKey.objects.filter(pk=key.pk).update(**facts)
    key.refresh_from_db()
    return key


@pytest.mark.django_db
def test_a_successor_has_the_same_limits_and_both_work_for_a_while():
    now, alice = timezone.now(), make_person("alice")
    key = make_key(label="web", allowed_origins=["https://*.example.org"], rate_limit_per_minute=600)
    successor = rotate_key(key=key, overlap_days=7, now=now, actor=alice)
    assert successor.public_key != key.public_key
    kept = ("project_id", "label", "allowed_origins", "rate_limit_per_minute")
    assert [getattr(successor, name) for name in kept] == [getattr(key, name) for name in kept]
    assert (key.expires_at, key.replaced_by, successor.expires_at) == (
        now + timedelta(days=7),
        successor,
        None,
    )
    assert ProjectKey.objects.usable(now + timedelta(days=6)).count() == 2
    assert ProjectKey.objects.usable(now + timedelta(days=8)).get() == successor


@pytest.mark.django_db
def test_the_record_says_who_and_shows_no_whole_key():
    alice, key = make_person("alice"), make_key()
    successor = rotate_key(key=key, overlap_days=1, now=timezone.now(), actor=alice)
    revoke_key(key=key, actor=alice)
    rotated, revoked = AuditEvent.objects.filter(
        action__in=("project_key.rotate", "project_key.revoke")
    ).order_by("id")
    assert (rotated.actor_label, revoked.actor_label) == ("alice", "alice")
    assert rotated.details["successor"] == f"{successor.public_key[:8]}…"
    for event in (rotated, revoked):
        assert key.public_key not in event.canonical
        assert successor.public_key not in event.canonical


@pytest.mark.django_db
def test_a_key_that_ends_sooner_is_not_given_more_time():
    now = timezone.now()
    key = make_key(expires_at=now + timedelta(hours=1))
    rotate_key(key=key, overlap_days=7, now=now)
    assert key.expires_at == now + timedelta(hours=1)


@pytest.mark.django_db
def test_without_overlap_the_old_key_ends_at_once():
    now, key = timezone.now(), make_key()
    successor = rotate_key(key=key, overlap_days=0, now=now)
    assert ProjectKey.objects.usable(now).get() == successor


@pytest.mark.django_db
@pytest.mark.parametrize(
    "facts", [{"active": False}, {"expires_at": timezone.now() - timedelta(days=1)}], ids=["off", "expired"]
)
def test_a_key_that_ended_has_no_successor(facts):
    key = make_key(**facts)
    with pytest.raises(ValidationError):
        rotate_key(key=key, overlap_days=7, now=timezone.now())
    assert ProjectKey.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("days", [-1, 91, 10**9])
def test_an_overlap_out_of_bounds_is_refused_by_name(days):
    key = make_key()
    with pytest.raises(ValidationError) as caught:
        rotate_key(key=key, overlap_days=days, now=timezone.now())
    assert "overlap_days" in caught.value.message_dict


@pytest.mark.django_db(transaction=True)
def test_a_key_that_several_people_rotate_at_once_has_one_successor():
    key, now = make_key(), timezone.now()

    def rotate(_):
        try:
            return rotate_key(key=ProjectKey.objects.get(pk=key.pk), overlap_days=7, now=now).pk
        except ValidationError:
            return None

    made = [pk for pk in at_once(6, rotate) if pk]
    key.refresh_from_db()
    assert [key.replaced_by_id] == made
    assert ProjectKey.objects.count() == 2


@pytest.mark.django_db
def test_a_key_is_revoked_once():
    key = make_key()
    revoke_key(key=key)
    assert not ProjectKey.objects.usable(timezone.now()).exists()
    with pytest.raises(ValidationError):
        revoke_key(key=key)
    assert AuditEvent.objects.filter(action="project_key.revoke").count() == 1
