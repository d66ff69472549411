"""Reading a page the way a browser's parser does: its elements, their text, what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser

import attrs


VOID = frozenset({"br", "col", "input", "meta"})


@attrs.define
class Node:
    """An element, with what is in it."""

    name: str
    attributes: dict[str, str]
    children: list[Node | str] = attrs.field(factory=list)

    @property
    def text(self) -> str:
        """All text in it."""
        return "".join(c if isinstance(c, str) else c.text for c in self.children)

    def walk(self) -> Iterator[Node]:
        """Yield it and every element in it, in the order of the page."""
        yield self
        for child in self.children:
            if isinstance(child, Node):
                yield from child.walk()

    def all(self, name: str, **attributes: str) -> list[Node]:
        """Find the elements of a name in it, with these attributes."""
        wanted = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items()}
        return [
            node
            for node in self.walk()
            if node.name == name and wanted.items() <= node.attributes.items()
        ]

    def one(self, name: str, **attributes: str) -> Node:
        """Find the only such element."""
        [found] = self.all(name, **attributes)
        return found


class _Reader(HTMLParser):
    """Builds the tree; refuses what is not closed in order."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Node("", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"<{tag}> has an attribute twice"
        node = Node(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].name == tag, f"</{tag}> closes <{self.open[-1].name}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)

    def handle_comment(self, data: str) -> None:
        msg = f"a comment has no place on the page: {data!r}"
        raise AssertionError(msg)


def parsed(source: str) -> Node:
    """Return the tree of a page, or of a part of one."""
    reader = _Reader()
    reader.feed(source)
    reader.close()
    assert reader.open == [reader.root], f"<{reader.open[-1].name}> is never closed"
    return reader.root


def shape(node: Node) -> list[str]:
    """Return the names of all elements in order: what text must never change."""
    return [each.name for each in node.walk()]
