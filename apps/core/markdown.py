"""Text that people write: Markdown without HTML, and the visible marks of characters that hide."""

import unicodedata
from functools import cache
from typing import TYPE_CHECKING

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from apps.core.secret_patterns import REMOVED

if TYPE_CHECKING:  # sixty modules, for the first text that is shown and not for every process
    from markdown_it import MarkdownIt
    from markdown_it.renderer import RendererHTML
    from markdown_it.token import Token

LONGEST = 200_000  # characters rendered of one text; what follows is cut
_PLAIN = {"\t", "\n", "\r"}
_REMOVED_MARK = format_html('<span class="removed">{}</span>', REMOVED)
_UNSEEN = {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2028, 0x2029, 0x3164, 0xFFA0}


def _web_only(url: str) -> bool:
    return url.lower().startswith(("https://", "http://"))


def _link_open(self: "RendererHTML", tokens: "list[Token]", idx: int, options: dict, env: dict) -> str:  # type: ignore[type-arg]
    tokens[idx].attrSet("rel", "noopener nofollow")
    return self.renderToken(tokens, idx, options, env)  # type: ignore[arg-type]


@cache
def _parser() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False, "linkify": False, "typographer": False}).enable("table")
    parser.disable(["image", "html_block", "html_inline"])
    parser.validateLink = _web_only  # type: ignore[method-assign]
    parser.add_render_rule("link_open", _link_open)
    return parser


def encodable(value: object) -> str:
    """The text of a value without lone surrogates, which no page could carry, and without NUL."""
    text = "" if value is None else str(value)
    return text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "\ufffd")


def render_markdown(value: object) -> SafeString:
    """HTML of a person's Markdown: HTML in it is text, links lead to http and https only, no images."""
    text = encodable(value)[:LONGEST]
    html: str = _parser().render(text)
    return mark_safe(html)  # noqa: S308  the parser escapes all text, html is off


def show_marks(value: object) -> SafeString:
    """The text, escaped: what hides or turns text is shown by its code, removed secrets are set off."""
    parts = encodable(value)[:LONGEST].split(REMOVED)
    return format_html_join(_REMOVED_MARK, "{}", ((_visible(part),) for part in parts))


def _visible(text: str) -> SafeString:
    pieces: list[SafeString | str] = []
    plain = 0
    for place, char in enumerate(text):
        if _hides(char):
            pieces += [text[plain:place], _mark(char)]
            plain = place + 1
    return format_html_join("", "{}", ((piece,) for piece in [*pieces, text[plain:]]))


def _hides(char: str) -> bool:
    if char in _PLAIN:
        return False
    return unicodedata.category(char) in {"Cc", "Cf"} or ord(char) in _UNSEEN


def _mark(char: str) -> SafeString:
    code = f"U+{ord(char):04X}"
    return format_html('<span class="mark" title="{}">{}</span>', unicodedata.name(char, "control"), code)
