"""A page taken apart, for the tests of the report."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "br", "input", "img", "hr", "link"}


class Structure(HTMLParser):
    """Checks that elements are closed in order, and collects what an audit asks about."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.names: list[str] = []
        self.identifiers: list[str] = []
        self.links: list[str] = []
        self.text: list[str] = []
        self.attributes: list[list[str]] = []

    def handle_starttag(self, tag, attributes):
        self.names.append(tag)
        given = dict(attributes)
        self.attributes.append(list(given))
        assert len(given) == len(attributes), f"an attribute twice in {tag}"
        if "id" in given:
            self.identifiers.append(given["id"])
        self.links += [given[key] for key in ("href", "src") if key in given]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.names.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text.append(data)


def parsed(page: str) -> Structure:
    structure = Structure()
    structure.feed(page)
    structure.close()
    assert structure.open == []
    return structure
