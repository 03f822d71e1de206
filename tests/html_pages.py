"""HTML read strictly, for tests of what Jupyter shows: every tag closed in its order, tables as their cells."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"input", "img"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str | None]
    parts: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(part if isinstance(part, str) else part.text for part in self.parts)

    def all(self, tag: str) -> list[Element]:
        """Every element of that tag inside, in the page's order."""
        found = []
        for part in self.parts:
            if isinstance(part, Element):
                found += [part] * (part.tag == tag) + part.all(tag)
        return found

    def every(self) -> list[Element]:
        inside = [part for part in self.parts if isinstance(part, Element)]
        return [one for part in inside for one in (part, *part.every())]


class Strict(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open = [Element("", {})]

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), f"{tag} has an attribute twice"
        made = Element(tag, dict(attrs))
        self.open[-1].parts.append(made)
        if tag not in VOID:
            self.open.append(made)

    def handle_endtag(self, tag):
        assert tag not in VOID
        assert self.open.pop().tag == tag, f"</{tag}> closes something else"

    def handle_data(self, data):
        self.open[-1].parts.append(data)


def read(html: str) -> Element:
    """The page. Fails where it isn't well formed."""
    parser = Strict()
    parser.feed(html)
    parser.close()
    (root,) = parser.open
    return root


def rows(table: Element) -> list[list[Element]]:
    return [[cell for cell in row.parts if isinstance(cell, Element)] for row in table.all("tr")]
