"""Projects, their keys, their components and tokens: one write each, on record, whoever asks at once."""

import hashlib
import re
from datetime import timedelta
from io import StringIO

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.test import override_settings
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from apps.audit.models import AuditEvent
from apps.projects import services
from apps.projects.models import SCOPES, ApiToken, Component, Project, ProjectKey, _slug
from tests.at_once import at_once
from tests.people import make_person

KEY = "0123456789abcdef" * 2


def make_project(name="Shop"):
    return services.create_project(name=name)


def actions():
    return list(AuditEvent.objects.order_by("id").values_list("action", flat=True))


def command(*words, **options):
    out = StringIO()
    call_command(*words, stdout=out, **options)
    return out.getvalue()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Shop", "shop"),
        ("my_service", "my-service"),
        ("a -_- b", "a-b"),
        ("日本", "unnamed"),
        ("Über Uns!", "uber-uns"),
        ("x" * 49 + "-y", "x" * 49),
        ("_", "unnamed"),
    ],
)
def test_a_slug_is_made_of_the_name(name, slug):
    assert make_project(name).slug == slug


@pytest.mark.django_db
@given(st.text(max_size=80))
def test_any_name_gives_a_slug_that_is_allowed_and_free(name):
    slug = services.free_slug(name, Project.objects)
    _slug(slug)
    assert len(slug) <= 55


@pytest.mark.django_db
def test_a_taken_slug_is_numbered():
    assert [make_project(name).slug for name in ("Shop", "shop", "SHOP", "Shop 2")] == [
        "shop", "shop-2", "shop-3", "shop-2-2",
    ]  # fmt: skip


@pytest.mark.django_db
def test_a_project_comes_with_a_key_and_both_are_on_record_without_the_whole_key():
    project = make_project()
    key = project.keys.get()
    assert re.fullmatch(r"[0-9a-f]{32}", key.public_key)
    assert actions() == ["project.create", "project_key.create"]
    assert key.public_key not in AuditEvent.objects.get(action="project_key.create").canonical


@pytest.mark.django_db
@pytest.mark.parametrize("key", ["short", KEY.upper(), KEY + "0", "g" * 32, KEY + "\n"])
def test_a_key_that_is_not_32_hex_digits_is_refused_and_leaves_nothing(key):
    with pytest.raises(ValidationError):
        services.create_project(name="Shop", key=key)
    assert not Project.objects.exists()
    assert actions() == []


@pytest.mark.django_db
def test_usable_keys_are_active_and_before_their_end():
    project, now = make_project(), timezone.now()
    ends = {"over": -1, "soon": 1}
    for label, days in ends.items():
        ProjectKey.objects.create(project=project, label=label, expires_at=now + timedelta(days=days))
    ProjectKey.objects.create(project=project, label="off", active=False)
    assert {key.label for key in ProjectKey.objects.usable(now)} == {"default", "soon"}


@pytest.mark.django_db
def test_a_component_is_made_once_and_on_record_once():
    project = make_project()
    first = services.ensure_component(project=project, name=" Checkout ")
    assert services.ensure_component(project=project, name="Checkout") == first
    assert (first.name, first.slug) == ("Checkout", "checkout")
    assert actions().count("component.create") == 1


@pytest.mark.django_db
def test_a_component_without_a_name_is_api_services_and_a_long_name_is_cut():
    project = make_project()
    assert services.ensure_component(project=project, name="  ").name == "API Services"
    long = services.ensure_component(project=project, name="x" * 79 + " y" * 50)
    assert long.name == "x" * 79
    assert services.ensure_component(project=project, name="x" * 79 + " y" * 50) == long


@pytest.mark.django_db
def test_components_of_two_projects_may_share_a_name():
    one, two = (services.ensure_component(project=make_project(n), name="Auth") for n in ("Shop", "Blog"))
    assert one != two
    assert one.slug == two.slug == "auth"


@pytest.mark.django_db(transaction=True)
def test_many_who_ask_for_one_component_at_once_get_the_same_row_and_one_record():
    project = make_project()
    for name in ("Auth", "Cart", "Search"):
        got = at_once(6, lambda _, name=name: services.ensure_component(project=project, name=name).pk)
        assert len(set(got)) == 1
    assert Component.objects.count() == 3
    assert actions().count("component.create") == 3


@pytest.mark.django_db(transaction=True)
def test_two_names_that_want_the_same_slug_at_once_both_get_a_row():
    project = make_project()
    for word in ("auth", "cart", "search", "mail"):
        got = at_once(
            2, lambda n, word=word: services.ensure_component(project=project, name=word + "?!"[n]).slug
        )
        assert sorted(got) == [word, f"{word}-2"]


@pytest.mark.django_db
def test_a_token_is_stored_as_its_digest_only_and_is_on_record_without_it():
    alice = make_person()
    token, secret = services.create_token(user=alice, scopes=["api:read"], name="ci")
    kept = ApiToken.objects.values().get()
    assert secret not in str(kept)
    assert bytes(kept["digest"]) == hashlib.sha256(secret.encode()).digest()
    assert secret.startswith(kept["prefix"])
    assert len(secret) - len(kept["prefix"]) >= 32
    event = AuditEvent.objects.get()
    assert (event.action, event.category) == ("api_token.create", "security")
    assert secret not in event.canonical
    assert event.details == {"scopes": ["api:read"]}
    assert str(token) == f"ci ({token.prefix}…)"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("facts", "field"),
    [({"scopes": ["api:read", "root"]}, "scopes"), ({"scopes": []}, "scopes"), ({"name": "x" * 81}, "name")],
)
def test_a_token_with_unknown_scopes_none_or_a_long_name_is_refused(facts, field):
    with pytest.raises(ValidationError) as refused:
        services.create_token(**{"user": make_person(), "scopes": ["api:read"]} | facts)
    assert set(refused.value.message_dict) == {field}
    assert not ApiToken.objects.exists()


@pytest.mark.django_db
def test_revoking_twice_is_on_record_once():
    token, _ = services.create_token(user=make_person(), scopes=["api:read"])
    services.revoke_token(token=token)
    at = ApiToken.objects.get().revoked_at
    services.revoke_token(token=token)
    assert ApiToken.objects.get().revoked_at == at
    assert actions() == ["api_token.create", "api_token.revoke"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("site", "dsn"),
    [
        ("http://127.0.0.1:8000", f"http://{KEY}@127.0.0.1:8000/"),
        ("https://portal.example.org", f"https://{KEY}@portal.example.org/"),
    ],
)
def test_the_dsn_is_the_address_of_the_site_with_key_and_number(site, dsn):
    project = services.create_project(name="Shop", key=KEY)
    with override_settings(SITE_URL=site):
        assert services.dsn(project.keys.get()) == f"{dsn}{project.pk}"


@pytest.mark.django_db
def test_the_command_dsn_makes_the_project_and_prints_the_same_line_from_then_on():
    first = command("dsn", "My shop")
    assert re.fullmatch(r"http://[0-9a-f]{32}@127\.0\.0\.1:\d+/\d+\n", first)
    assert command("dsn", "My shop") == command("dsn", "my-shop") == first
    assert Project.objects.count() == ProjectKey.objects.count() == 1


@pytest.mark.django_db
def test_the_command_dsn_takes_a_key_known_beforehand_also_for_a_project_that_exists():
    first = command("dsn", "shop", key=KEY)
    assert KEY in first
    other = command("dsn", "shop", key="f" * 32)
    assert "f" * 32 in other
    assert command("dsn", "shop", key=KEY) == first
    assert ProjectKey.objects.count() == 2


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("shop", "--key", "short"), "public_key: "),
        (("x" * 81,), "name: "),
        (("other", "--key", KEY), "public_key: .*exists"),
    ],
)
def test_the_command_dsn_refuses_by_the_name_of_the_field(words, said):
    services.create_project(name="Taken", key=KEY)
    with pytest.raises(CommandError, match=said):
        command("dsn", *words)
    assert Project.objects.count() == 1


@pytest.mark.django_db
def test_the_command_dsn_makes_a_new_key_when_none_is_usable():
    first = command("dsn", "shop")
    ProjectKey.objects.update(active=False)
    assert command("dsn", "shop") != first


@pytest.mark.django_db
def test_the_command_api_token_prints_the_secret_and_nothing_else():
    make_person("alice")
    secret = command("api_token", "alice", scope=["alerts:write"], days=3).removesuffix("\n")
    assert services.token_digest(secret) == bytes(ApiToken.objects.get().digest)
    kept = ApiToken.objects.get()
    assert kept.scopes == ["alerts:write"]
    assert timedelta(days=2, hours=23) < kept.expires_at - timezone.now() < timedelta(days=3)
    assert set(kept.scopes) <= SCOPES.keys()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nobody",), "No active user is called 'nobody'"),
        (("carol",), "No active user is called 'carol'"),
        (("alice", "--days", "0"), "from 1 to 3650"),
        (("alice", "--days", "4000"), "from 1 to 3650"),
        (("alice", "--scope", "root"), "invalid choice"),
        (("alice", "--name", "x" * 81), "name: "),
    ],
)
def test_the_command_api_token_refuses_with_the_reason(words, said):
    make_person("alice")
    make_person("carol", is_active=False)
    with pytest.raises(CommandError, match=said):
        command("api_token", *words)
    assert not ApiToken.objects.exists()
