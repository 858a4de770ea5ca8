"""HTML that strangers wrote: clean enough to be shown, and as plain text."""

import re
from html import escape
from html.parser import HTMLParser

import nh3

LIMIT = 400_000
"""Characters of HTML that are looked at."""

_DEPTH = 2000
_TAGS = {"a", "b", "blockquote", "br", "code", "div", "em", "h1", "h2", "h3", "h4", "hr", "i", "li", "ol", "p", "pre"}
_TAGS |= {"span", "strong", "table", "tbody", "td", "th", "thead", "tr", "u", "ul"}
_CLEANER = nh3.Cleaner(
    tags=_TAGS,
    attributes={"a": {"href"}, "td": {"colspan", "rowspan"}, "th": {"colspan", "rowspan"}},
    url_schemes={"http", "https", "mailto"},
)
_SILENT = {"script", "style", "title", "template", "noscript", "object", "svg", "select", "textarea"}
_TIDY = nh3.Cleaner(
    tags=_TAGS | {"img", "section", "article", "header", "footer", "dl", "dd", "dt", "center", "h5", "h6"},
    clean_content_tags=_SILENT,
    attributes={"*": {"style"}, "a": {"href"}, "img": {"alt"}},
    url_schemes={"http", "https"},
    link_rel=None,
)
_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
_PARAGRAPHS = {"p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "table", "blockquote", "pre"}
_LINES = {"div", "li", "tr", "section", "article", "header", "footer", "dd", "dt", "center"}
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden|mso-hide\s*:\s*all", re.IGNORECASE)


def clean(html: str) -> str:
    """What may be shown: no script, style, image or form, and links that name nobody."""
    html = html[:LIMIT]
    return _CLEANER.clean(html if _depth(html) <= _DEPTH else escape(to_text(html)))


def _depth(html: str) -> int:
    """How deep elements that are never closed may stand in each other: the cleaner takes the square of it."""
    depth = deepest = 0
    for tag in re.finditer(r"<(/?)(?!(?:br|hr|img|p|li|meta|link|input|wbr|col)\b)[a-zA-Z]", html, re.IGNORECASE):
        depth = max(0, depth - 1) if tag[1] else depth + 1
        deepest = max(deepest, depth)
    return deepest


def to_text(html: str) -> str:
    """The words as they would be read; what is quoted gets `> ` before each line, hidden text is left out."""
    html = html[:LIMIT]
    if _depth(html) > _DEPTH:
        return re.sub(r"<[^<>]{0,2000}>", " ", html).strip()
    reader = _Reader()
    reader.feed(_TIDY.clean(html))  # the standard parser takes hours over tags that never end; tidied, it is quick
    reader.close()
    return reader.text()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._lines: list[str] = []
        self._line = ""
        self._quotes = 0
        self._muted: list[str] = []  # the open tags from the one that hides them on
        self._link: tuple[str, int] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if self._muted:
            if tag == self._muted[0]:
                self._muted.append(tag)
            return
        if tag not in _VOID and _HIDDEN.search(given.get("style") or ""):
            self._muted.append(tag)
            return
        if tag == "br":
            self._end_line()
        elif tag == "hr":
            self._block(True)
        elif tag == "img" and (given.get("alt") or "").strip():
            self._line += f"[{(given['alt'] or '').strip()}]"
        elif tag == "a":
            self._link = (given.get("href") or "", len(self._line))
        elif tag in ("td", "th") and self._line.strip():
            self._line += " "
        self._open_block(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._muted:
            if tag == self._muted[0]:
                self._muted.pop()
            return
        if tag == "a" and self._link:
            self._end_link()
        if tag in _PARAGRAPHS or tag in _LINES:
            self._block(tag in _PARAGRAPHS)
        if tag == "blockquote":
            self._quotes = max(0, self._quotes - 1)

    def handle_data(self, data: str) -> None:
        if not self._muted:
            text = re.sub(r"[ \t\r\n\f\xa0]+", " ", data)
            self._line += text.lstrip() if not self._line or self._line.endswith(" ") else text

    def text(self) -> str:
        self._end_line()
        return re.sub(r"\n{3,}", "\n\n", "\n".join(self._lines)).strip()

    def _open_block(self, tag: str) -> None:
        if tag in _PARAGRAPHS or tag in _LINES:
            self._block(tag in _PARAGRAPHS)
        if tag == "blockquote":
            self._quotes += 1
        elif tag == "li":
            self._line += "- "

    def _end_link(self) -> None:
        assert self._link is not None
        href, start = self._link
        self._link = None
        shown = self._line[start:].strip()
        if re.match(r"https?://", href, re.IGNORECASE) and shown and shown not in href and href not in shown:
            self._line += f" ({href[:500]})"

    def _block(self, paragraph: bool) -> None:
        if self._line.strip():
            self._end_line()
        if paragraph and self._lines and self._lines[-1].strip("> "):
            self._lines.append("> " * min(self._quotes, 8))

    def _end_line(self) -> None:
        self._lines.append(("> " * min(self._quotes, 8) + self._line.strip()).rstrip())
        self._line = ""
