import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.ingest.auth import AuthRefused, Credentials, credentials, has_credentials, project_of_path
from tests.fuzz import fewer, thorough

KEY = "0123456789abcdef0123456789abcdef"
OTHER = "f" * 32


@pytest.mark.parametrize(
    "header",
    [
        f"Sentry sentry_key={KEY}",
        f"Sentry sentry_version=7, sentry_client=sentry.python/2.75.0, sentry_key={KEY}",
        f"Sentry sentry_key={KEY},sentry_version=7",
        f"sentry   sentry_version=7 ,  SENTRY_KEY = {KEY} , sentry_timestamp=1",
        f'Sentry sentry_key="{KEY}", sentry_version="7"',
        f"Sentry sentry_key='{KEY}'",
        f"sentry_key={KEY}, sentry_version=7",
        f"  Sentry sentry_key={KEY.upper()}, sentry_secret={OTHER}  ",
        f"Sentry sentry_key={KEY}, sentry_key={OTHER}",
        f"Bearer {KEY}",
        f"bearer  {KEY} ",
    ],
)
def test_the_key_is_found_in_every_form_of_the_header(header):
    assert credentials(sentry_auth=header).key == KEY
    assert credentials(authorization=header).key == KEY


@pytest.mark.parametrize(
    "query",
    [
        f"sentry_key={KEY}&sentry_version=7",
        f"sentry_version=7&sentry_key={KEY}",
        f"a=%00&sentry_key={KEY}&sentry_key={OTHER}",
    ],
)
def test_the_key_is_found_in_the_query(query):
    assert credentials(query=query).key == KEY
    assert has_credentials(query=query)


@pytest.mark.parametrize(
    "dsn",
    [
        f"https://{KEY}@portal.example.org/7",
        f"http://{KEY}@127.0.0.1:8000/7",
        f"https://{KEY}:{OTHER}@portal.example.org/7",
        f"https://{KEY}@portal.example.org/behind/a/prefix/7/",
        f"https://{KEY}@[::1]:8000/7",
    ],
)
def test_the_key_and_the_project_are_found_in_a_dsn(dsn):
    assert credentials(dsn=dsn) == Credentials(KEY, project_id=7)
    assert not has_credentials()


def test_the_header_decides_before_the_query_and_that_before_authorization_and_the_dsn():
    dsn = f"https://{'d' * 32}@example.org/1"
    places = {"sentry_auth": f"Sentry sentry_key={'a' * 32}", "query": f"sentry_key={'b' * 32}",
              "authorization": f"Bearer {'c' * 32}", "dsn": dsn}  # fmt: skip
    for letter, place in zip("abcd", list(places), strict=True):
        assert credentials(**places).key == letter * 32
        del places[place]


def test_the_client_is_named_in_printable_characters():
    assert (
        credentials(sentry_auth=f"Sentry sentry_client=sentry.python/2.75.0, sentry_key={KEY}").client
        == "sentry.python/2.75.0"
    )
    assert credentials(query=f"sentry_client=%00%0Aevil&sentry_key={KEY}").client == "evil"
    assert len(credentials(sentry_auth=f"Sentry sentry_client={'x' * 500}, sentry_key={KEY}").client) == 64


@pytest.mark.parametrize(
    "place",
    [
        {},
        {"sentry_auth": "Sentry"},
        {"sentry_auth": "Sentry sentry_key="},
        {"sentry_auth": f"Sentry sentry_key={KEY[:-1]}"},
        {"sentry_auth": f"Sentry sentry_key={KEY}0"},
        {"sentry_auth": f"Sentry sentry_key={KEY[:-1]}g"},
        {"sentry_auth": f"Sentry sentry_key={KEY}; DROP TABLE"},
        {"sentry_auth": f"Sentry xsentry_key={KEY}"},
        {"sentry_auth": "Sentry sentry_key=" + "0" * 64_000},
        {"sentry_auth": "," * 64_000 + f"sentry_key={KEY}"},
        {"sentry_auth": f"Basic {KEY}"},
        {"authorization": "Bearer"},
        {"authorization": "Bearer ../../etc/passwd"},
        {"authorization": "Bearer " + "٠" * 32},
        {"query": "sentry_key=" + "&sentry_key" * 100},
        {"query": "&".join(f"a{n}=1" for n in range(60)) + f"&sentry_key={KEY}"},
        {"query": "sentry_key=" + "a" * 70_000},
        {"dsn": f"https://{KEY}@example.org/"},
        {"dsn": f"https://{KEY}@example.org/seven"},
        {"dsn": f"https://{KEY}@example.org/" + "9" * 50},
        {"dsn": f"https://{KEY}@example.org/٣"},
        {"dsn": "https://[half/1"},
        {"dsn": "https://example.org/1"},
        {"dsn": 5},
        {"dsn": {"a": 1}},
        {"dsn": "x" * 70_000},
    ],
)
def test_whatever_is_wrong_gets_the_one_constant_answer(place):
    with pytest.raises(AuthRefused) as caught:
        credentials(**place)
    refused = caught.value
    assert (refused.status, refused.code, refused.message, refused.field) == (
        401, "not_authenticated", "a valid project key is required", "sentry_key",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("path", "project"),
    [
        ("/api/7/envelope/", 7),
        ("/api/7/envelope", 7),
        ("/api/123456789012345678/store/", 123456789012345678),
        ("/api/7/", None),
        ("/api/-7/envelope/", None),
        ("/api/7.0/envelope/", None),
        ("/api/٧/envelope/", None),
        ("/api/7/../8/envelope/", None),
        ("/api/7/envelope/x", None),
        ("/api/7/envelope/\n", None),
        ("/api/" + "9" * 40 + "/envelope/", None),
        ("/api/errors/", None),
    ],
)
def test_the_project_is_the_number_in_the_path(path, project):
    assert project_of_path(path) == project


hexes = st.text(alphabet="0123456789abcdef", min_size=32, max_size=32)


@fewer
@given(
    hexes,
    st.permutations(["sentry_version=7", "sentry_client=a/1", "sentry_timestamp=1.5"]),
    st.sampled_from([",", " , ", ", "]),
)
def test_the_order_of_the_header_does_not_matter(key, others, comma):
    parts = [*others, f"sentry_key={key}"]
    for turn in range(4):
        assert credentials(sentry_auth="Sentry " + comma.join(parts[turn:] + parts[:turn])).key == key


@thorough
@given(st.text(max_size=80), st.text(max_size=80), st.text(max_size=80))
def test_any_text_is_read_or_refused_in_the_constant_form(header, query, dsn):
    try:
        assert len(credentials(sentry_auth=header, query=query, dsn=dsn).key) == 32
    except AuthRefused as refused:
        assert refused.status == 401
