"""What has to hold for every HTML page: balanced tags, no network, no scripts but its own."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from html.parser import HTMLParser

#: Names that would end an element, an attribute or a script, or that no document can hold.
HOSTILE = (
    "<script>window.broken = 1</script>",
    "</script></style></template><img src=x onerror='window.broken = 1'>",
    '" onload="window.broken = 1" x=\'',
    "' autofocus onfocus='window.broken = 1",
    "--><!--]]>&lt;&amp;&#0;",
    "\u202etfel-ot-thgir\u2066 \u05d0\u05d1\u05d2 e\u0301 \U0001f9e0 \u5377\u7a4d",
    "\x00\x1b[31m\x07\x85\udcff\ufffe\n\ttext",
    "javascript:window.broken=1",
    "%3Cscript%3E #node= ?&=+",
)

_VOID = {"br", "hr", "input", "link", "meta"}


class Document(HTMLParser):
    """The elements of a page in their order, with attributes; raises for tags out of balance."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.contents: dict[str, list[str]] = {"script": [], "style": []}
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice: {names}"
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)
        if tag in self.contents:
            self.contents[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open[-1] == tag, f"</{tag}> closes <{self._open[-1]}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in self.contents:
            self.contents[self._open[-1]][-1] += data
        else:
            self.text += data

    def values(self, attribute: str) -> Iterator[str]:
        """All values of an attribute."""
        for _, attributes in self.elements:
            value = attributes.get(attribute)
            if value is not None:
                yield value

    def find(self, tag: str, **wanted: str) -> list[dict[str, str | None]]:
        """Attributes of all elements of a tag that have the wanted ones."""
        return [
            attributes
            for name, attributes in self.elements
            if name == tag and all(attributes.get(k) == v for k, v in wanted.items())
        ]


def check(page: str) -> Document:
    """Assert all that is said above, and return the page's elements."""
    assert page.startswith("<!doctype html>\n")
    page.encode("utf-8")
    found = Document(page)
    identifiers = list(found.values("id"))
    assert len(identifiers) == len(set(identifiers)), "an id twice"
    assert set(found.values("aria-labelledby")) <= set(identifiers)
    for attribute in ("src", "action", "srcset", "xlink:href"):
        assert not list(found.values(attribute))
    for address in found.values("href"):
        assert address == "data:," or address.startswith("#"), address
        if address.startswith("#") and not address.startswith("#node="):
            assert address[1:] in identifiers
    for _, attributes in found.elements:
        assert not any(name.startswith("on") or name == "style" for name in attributes)
    for content in (*found.contents["script"], *found.contents["style"]):
        assert not re.search(r"https?:|//\w|@import|url\(|\bfetch\(|XMLHttpRequest|eval\(", content)
    _check_policy(found)
    return found


def _check_policy(found: Document) -> None:
    """The policy allows the page's own script and style by their digests, and nothing else."""
    (script,), (style,) = found.contents["script"], found.contents["style"]
    (policy,) = found.find("meta", **{"http-equiv": "Content-Security-Policy"})
    rules = dict(rule.strip().split(" ", 1) for rule in str(policy["content"]).split(";"))
    assert rules == {
        "default-src": "'none'",
        "script-src": _digest(script),
        "style-src": _digest(style),
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def _digest(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def hostile(name: str) -> str:
    """Another hostile text for every name, and always the same one."""
    return HOSTILE[sum(map(ord, name)) % len(HOSTILE)] + name


def quiet(name: str) -> str:
    """A harmless text of the same length for every name."""
    return "n" * (len(hostile(name)) - len(name)) + name
