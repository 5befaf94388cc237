"""Whatever a stranger sends, tags and filters draw it without a word of markup of its own."""

from html.parser import HTMLParser

from django.template import Context, Template
from hypothesis import given
from hypothesis import strategies as st

from apps.core.markdown import render_markdown, show_marks

HOSTILE = '"><script>alert(1)</script><b onmouseover=x>\x00\u202e\ud800'
ALLOWED = {"svg", "use", "title", "rect", "span", "time"}
anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.binary(),
    st.datetimes(),
    st.datetimes(timezones=st.timezones()),
    st.dates(),
    st.timedeltas(),
    st.decimals(),
    st.lists(st.one_of(st.none(), st.floats(), st.text())),
    st.just(HOSTILE),
)


class Elements(HTMLParser):
    """The elements and attributes of a piece of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs


def drawn(source: str, **values: object) -> str:
    return Template("{% load portal %}" + source).render(Context(values))


@given(value=anything, label=anything)
def test_no_value_breaks_a_tag_or_adds_an_element(value, label):
    html = drawn(
        "{% badge v l %}{% when v %}{% when v False %}{% since v %}{% duration v %}{% figure v %}{% avatar v %}"
        "{% meter v l l %}{% spark v l %}{% icon v %}{{ v|marks }}",
        v=value,
        l=label,
    )
    html.encode("utf-8")
    found = Elements(html)
    assert set(found.tags) <= ALLOWED
    assert not [name for name, _ in found.attributes if name.startswith("on") or name == "style"]


@given(text=st.text() | st.just(HOSTILE))
def test_markdown_of_strangers_adds_no_script_no_image_and_no_event(text):
    found = Elements(render_markdown(text))
    assert not {"script", "img", "iframe", "style", "object", "form", "input", "svg"} & set(found.tags)
    assert not [name for name, _ in found.attributes if name.startswith("on")]


def test_removed_secrets_are_set_off():
    assert show_marks("key=[removed]&a=<1>") == ('key=<span class="removed">[removed]</span>&amp;a=&lt;1&gt;')
