"""Every refusal, of every handler, has one body; and none of them tells what it should not."""

import json
import re

import pytest
from django.conf import settings
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import close_old_connections, transaction
from django.test import Client, override_settings
from hypothesis import given
from hypothesis import strategies as st
from rest_framework import exceptions as api

from apps.core import problems
from tests.core.probe_urls import CANARY
from tests.people import make_person

pytestmark = pytest.mark.urls("tests.core.probe_urls")
HTML = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"
PAGES = {
    "400.html": "<h1>{{ problem.title }}</h1>{{ problem.message }} {{ problem.requestId }}",
    "500.html": "<h1>{{ problem.title }}</h1>{{ problem.requestId }} {{ request.path }}",
}


@pytest.fixture
def client():
    """Shows what a caller sees, instead of raising what the view raised."""
    return Client(raise_request_exception=False)


@pytest.fixture
def own_pages():
    """Pages of errors that no other test changes."""
    engine = dict(settings.TEMPLATES[0], DIRS=[], APP_DIRS=False)
    engine["OPTIONS"] = engine["OPTIONS"] | {"loaders": [("django.template.loaders.locmem.Loader", PAGES)]}
    with override_settings(TEMPLATES=[engine]):
        yield


def check(answer, status, code):
    """The whole contract of one refusal; returns the document."""
    assert answer.status_code == status
    assert answer["Content-Type"] == "application/problem+json"
    told = json.loads(answer.content)
    assert set(told) == {
        "type", "title", "status", "detail", "instance", "code", "message", "details", "requestId",
    }  # fmt: skip
    assert (told["status"], told["code"]) == (status, code)
    assert told["message"] == told["detail"] != ""
    assert told["title"]
    assert told["type"] == f"{settings.SITE_URL}/problems/{code}"
    assert told["requestId"] == answer["X-Request-ID"]
    assert told["instance"] == f"urn:uuid:{told['requestId']}"
    assert isinstance(told["details"], list)
    for entry in told["details"]:
        assert set(entry) == {"field", "code", "message"}
    text = answer.content.decode()
    assert CANARY not in text
    assert "Traceback" not in text
    return told


IN_API = [
    ("validation", 400, "validation_error"),
    ("django-validation", 400, "validation_error"),
    ("parse", 400, "parse_error"),
    ("unauthenticated", 401, "not_authenticated"),
    ("bad-token", 401, "authentication_failed"),
    ("api-forbidden", 403, "permission_denied"),
    ("forbidden", 403, "permission_denied"),
    ("api-missing", 404, "not_found"),
    ("missing", 404, "not_found"),
    ("method", 405, "method_not_allowed"),
    ("acceptable", 406, "not_acceptable"),
    ("conflict", 409, "conflict"),
    ("media", 415, "unsupported_media_type"),
    ("throttled", 429, "throttled"),
    ("unavailable", 503, "database_connection"),
]
ANYWHERE = [
    ("forbidden", 403, "permission_denied"),
    ("missing", 404, "not_found"),
    ("suspicious", 400, "validation_error"),
    ("bug", 500, "error"),
    ("timeout-call", 504, "timeout"),
    ("network-call", 502, "network"),
    ("db-timeout", 504, "timeout"),
    ("db-syntax", 500, "error"),
    ("db-duplicate", 409, "duplicate"),
    ("db-check", 400, "validation_error"),
    ("db-nul", 400, "validation_error"),
]


@pytest.mark.django_db
@pytest.mark.parametrize(("way", "status", "code"), [*IN_API, *ANYWHERE])
def test_inside_the_api_framework_every_refusal_has_the_one_body(client, way, status, code):
    check(client.get(f"/api/probe/fails/{way}"), status, code)


@pytest.mark.django_db
@pytest.mark.parametrize(("way", "status", "code"), ANYWHERE)
@pytest.mark.parametrize("prefix", ["/api/probe", "/probe"])
def test_outside_of_it_every_refusal_has_the_one_body_too(client, prefix, way, status, code):
    check(client.get(f"{prefix}/plain/{way}"), status, code)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("address", ["/api/probe/fails/db-lost", "/probe/plain/db-lost"])
def test_a_lost_database_is_503_and_the_next_request_is_served_again(client, address):
    told = check(client.get(address), 503, "database_connection")
    assert told["message"] == "Service temporarily unavailable"
    close_old_connections()  # as the server does between requests; the test client does not
    assert client.get("/api/probe/show").status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize(("way", "status", "code"), ANYWHERE)
def test_a_browser_gets_a_page_and_the_page_tells_as_little(client, own_pages, way, status, code):
    answer = client.get(f"/probe/plain/{way}", headers={"accept": HTML})
    assert answer.status_code == status
    assert answer["Content-Type"].startswith("text/html")
    text = answer.content.decode()
    assert answer["X-Request-ID"] in text
    assert CANARY not in text


@pytest.mark.django_db
@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/*", "garbage", ""])
def test_html_goes_only_to_those_who_ask_for_it(client, own_pages, accept):
    check(client.get("/nowhere", headers={"accept": accept}), 404, "not_found")


@pytest.mark.parametrize("address", ["/api", "/api/", "/api/nowhere", "/v2/nowhere", "/v2"])
def test_the_paths_of_machines_never_answer_with_html(client, own_pages, address):
    check(client.get(address, headers={"accept": HTML}), 404, "not_found")


def test_a_page_that_only_begins_like_a_path_of_machines_is_a_page(client, own_pages):
    assert b"<h1>Not found" in client.get("/apiary", headers={"accept": HTML}).content


@pytest.mark.parametrize("address", ["/api/nowhere", "/nowhere", "/api/live/x"])
def test_an_unknown_path_is_404_in_the_one_body(client, address):
    check(client.get(address), 404, "not_found")


@pytest.mark.parametrize("address", ["/api/live", "/api/ready", "/zone/", "/probe/form"])
def test_a_decorators_405_has_the_one_body_and_keeps_allow(client, address):
    method = client.put if "api" in address else client.get
    assert check(method(address), 405, "method_not_allowed")
    assert method(address)["Allow"]


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "validation_error"), (405, "method_not_allowed"), (410, "gone"), (500, "error")],
)
@pytest.mark.parametrize("prefix", ["/api/probe", "/probe"])
def test_a_bare_refusal_of_a_view_is_put_into_the_one_body(client, prefix, status, code):
    answer = client.get(f"{prefix}/bare/{status}")
    check(answer, status, code)
    if status == 405:
        assert answer["Allow"] == "PUT"


def test_401_says_how_to_authenticate_and_429_how_long_to_wait(client):
    refused = client.get("/api/probe/who")
    check(refused, 401, "not_authenticated")
    assert refused["WWW-Authenticate"].startswith("Bearer ")
    assert client.get("/api/probe/fails/throttled")["Retry-After"] == "42"
    assert client.get("/api/probe/fails/throttled-now")["Retry-After"] == "1"


@pytest.mark.django_db
def test_the_words_of_the_brief_are_used(client):
    said = {}
    for way in ("db-timeout", "db-duplicate", "network-call", "bug", "unauthenticated"):
        with transaction.atomic():
            said[way] = client.get(f"/api/probe/fails/{way}").json()["message"]
            transaction.set_rollback(True)
    assert said == {
        "db-timeout": "Request timed out, please try again",
        "db-duplicate": "This value already exists",
        "network-call": "Network error, retrying...",
        "bug": "An error occurred",
        "unauthenticated": "Authentication required",
    }


def test_a_validation_error_names_fields_as_paths(client):
    told = check(client.get("/api/probe/fails/validation"), 400, "validation_error")
    assert [(d["field"], d["message"]) for d in told["details"]] == [
        ("severity", "no"),
        ("items[1].name", "missing"),
    ]
    assert told["message"] == "severity: no"
    told = check(client.get("/api/probe/fails/django-validation"), 400, "validation_error")
    assert told["details"] == [{"field": "name", "code": "min", "message": "short"}]


def test_a_serializer_says_which_field_failed_and_why(client):
    sent = {"severity": "loud", "items": [{"name": "ok"}, {"name": "too long"}, {}]}
    answer = client.post("/api/probe/accepts", sent, content_type="application/json")
    told = check(answer, 400, "validation_error")
    assert [(d["field"], d["code"]) for d in told["details"]] == [
        ("severity", "invalid_choice"),
        ("items[1].name", "max_length"),
        ("items[2].name", "required"),
    ]


def test_a_body_of_three_megabytes_is_413(client):
    body = b'{"severity": "' + b"x" * 3_000_000 + b'"}'
    check(client.post("/api/probe/accepts", body, content_type="application/json"), 413, "too_large")
    form = b"a=" + b"x" * 3_000_000
    kind = "application/x-www-form-urlencoded"
    check(client.post("/probe/form", form, content_type=kind), 413, "too_large")


def test_a_content_type_that_is_not_read_is_415(client):
    answer = client.post("/api/probe/accepts", "a=1", content_type="application/x-www-form-urlencoded")
    check(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize("count", [1001, settings.DATA_UPLOAD_MAX_NUMBER_FIELDS + 1])
@pytest.mark.parametrize("prefix", ["/api/probe", "/probe"])
def test_too_many_form_fields_are_400_and_many_are_fine(client, prefix, count):
    answer = client.post(f"{prefix}/form", {f"f{n}": n for n in range(count)})
    if count > settings.DATA_UPLOAD_MAX_NUMBER_FIELDS:
        check(answer, 400, "validation_error")
    else:
        assert answer.json() == {"fields": count}


@pytest.mark.django_db
def test_a_signed_in_persons_form_that_is_too_large_for_the_api_is_413(client):
    client.force_login(make_person())
    kind = "application/x-www-form-urlencoded"
    answer = Client.post(client, "/api/probe/accepts", b"a=" + b"x" * 3_000_000, content_type=kind)
    assert answer.status_code in (413, 415)
    check(answer, answer.status_code, "too_large" if answer.status_code == 413 else "unsupported_media_type")


@pytest.mark.parametrize(
    "address", ["/%00", "/api/probe/show/%00", "/admin/%00/", "/api/live?x=%00", "/admin/auth/user/?q=a%00b"]
)
def test_nul_in_an_address_is_400_before_anything_looks_it_up(client, address):
    check(client.get(address), 400, "validation_error")


def test_an_escaped_percent_sign_is_not_nul(client):
    assert client.get("/api/live?x=%2500").status_code == 200


@pytest.mark.django_db
def test_nul_in_the_cookie_of_the_session_is_400(client):
    client.cookies[settings.SESSION_COOKIE_NAME] = "\0" * 20
    check(client.get("/admin/"), 400, "validation_error")


@pytest.mark.parametrize(
    "address", ["/%ff%fe", "/%ED%A0%80", "/api/%F0%9F%98", "/" + "a" * 5000, "/;/../%2e%2e/etc"]
)
def test_an_odd_path_is_404(client, address):
    check(client.get(address), 404, "not_found")


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1:x", "a b", "[::1"])
@pytest.mark.parametrize("address", ["/api/nowhere", "/admin"])
def test_a_host_that_is_not_ours_is_400_in_the_one_body(client, host, address):
    with override_settings(DEBUG=False, ALLOWED_HOSTS=["portal.example"]):
        answer = client.get(address, headers={"host": host})
    told = check(answer, 400, "validation_error")
    assert host not in told["message"]


@pytest.mark.django_db
def test_a_form_without_its_token_is_403_and_names_the_address_that_is_expected():
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    told = check(client.post("/probe/form", {"a": 1}), 403, "permission_denied")
    assert settings.SITE_URL in told["message"]
    assert told["details"][0]["code"] == "csrf_failed"


@pytest.mark.django_db
def test_a_session_without_the_token_cannot_write_through_the_api():
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    client.force_login(make_person("mallory"))
    sent = {"severity": "info", "items": []}
    answer = client.post("/api/probe/accepts", sent, content_type="application/json")
    check(answer, 403, "permission_denied")


NAMES = st.text(st.characters(exclude_characters=".[]"), min_size=1, max_size=8)
DETAILS = st.recursive(
    st.text(max_size=20) | st.none() | st.integers(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)


@given(DETAILS)
def test_any_nesting_of_errors_flattens_to_entries_that_can_be_written(detail):
    error = api.ValidationError(detail)
    response = problems.drf_exception_handler(error, {})
    assert response.status_code == 400
    entries = response.data["details"]
    for entry in entries:
        assert set(entry) == {"field", "code", "message"}
    json.dumps(response.data, ensure_ascii=False).encode()

    def leaves(node):
        if isinstance(node, dict):
            return sum(leaves(v) for v in node.values())
        return sum(leaves(v) for v in node) if isinstance(node, list) else 1

    assert len(entries) == leaves(error.detail)


@given(
    st.lists(
        st.dictionaries(NAMES, st.lists(st.text(min_size=1), min_size=1), min_size=1, max_size=3), max_size=4
    )
)
def test_the_path_leads_back_to_the_message(errors):
    entries = problems._flatten(api.ValidationError({"items": errors}).detail)
    found = {(e["field"], e["message"]) for e in entries}
    for number, fields in enumerate(errors):
        for name, messages in fields.items():
            for message in messages:
                shown = problems.of_field(f"items[{number}].{name}", "", message)
                assert (shown["field"], shown["message"]) in found


@pytest.mark.parametrize(
    ("detail", "field"),
    [
        ({"non_field_errors": ["x"]}, ""),
        ({"items": {1: {"non_field_errors": ["x"]}}}, "items[1]"),
        ({"owner": {"non_field_errors": ["x"]}}, "owner"),
        (["x"], ""),
        ("x", ""),
        ({"a": {"b": [{}, {"c": ["x"]}]}}, "a.b[1].c"),
    ],
)
def test_what_concerns_no_single_field_names_the_nearest_thing(detail, field):
    (entry,) = problems._flatten(api.ValidationError(detail).detail)
    assert (entry["field"], entry["message"]) == (field, "x")


def test_an_error_of_the_whole_form_has_no_field():
    error = DjangoValidationError({"__all__": ["they clash"], "name": ["short"]})
    data = problems.drf_exception_handler(error, {}).data
    assert [d["field"] for d in data["details"]] == ["", "name"]
    assert data["message"] == "they clash"


def test_codes_are_words_and_each_kind_has_a_title_and_a_message():
    for kind in problems.BY_STATUS.values():
        assert re.fullmatch(r"[a-z_]+", kind.code)
        assert kind.title
        assert kind.message
