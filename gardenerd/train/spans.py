"""Where a piece of code can be cut so that what is taken out is a whole: a statement, a body, ...

Parts that are nodes of the syntax tree teach more than lines cut anywhere (Gong et al., 2025,
arXiv:2506.00204). A docstring, or a comment above, and the body that it describes are such
parts too: taken out, they teach to document code and to write what is documented.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from itertools import accumulate

from tree_sitter import Node, Tree

from gardenerd.index.languages import GRAMMARS, parser_for

Span = tuple[int, int]
"""Begin and end in the text, in characters."""

_LEAST = 4  # characters; `()` is no part worth learning
_DOCUMENTED = 0.3  # of the spans, where the code has a docstring or a comment above it
_BODIES = frozenset({"body", "consequence", "alternative"})
_BODY = re.compile(r"(?:block|body|statement|list)$")  # and not the expression of a lambda
_ARGUMENTS = re.compile(r"(?:^|_)(?:arguments|argument_list|parameters|parameter_list)$")
_STATEMENT = re.compile(r"(?:_|^)(?:statement|declaration|definition|item|clause)$")
# A method without its class is no program in these languages.
_IN_CLASS = frozenset({"javascript", "typescript", "tsx", "java"})
_CLASS = "class A {\n", "\n}\n"


@dataclass(slots=True)
class Spans:
    """The parts of one text, by kind."""

    parts: dict[str, list[Span]] = field(default_factory=dict[str, list[Span]])
    """``statement``, ``arguments``, ``body``, ``expression``: those that there are."""
    documented: tuple[Span, Span] | None = None
    """A docstring, or the comment above, and the body that it describes."""

    def draw(self, draw: random.Random) -> Span | None:
        """One of them by chance, each kind as likely as any other; None if there is none."""
        if self.documented is not None and draw.random() < _DOCUMENTED:
            return draw.choice(self.documented)
        if not self.parts:
            return None
        return draw.choice(self.parts[draw.choice(list(self.parts))])


def spans_of(text: str, language: str) -> Spans:
    """The parts of ``text``; none in a language without a grammar, or where it does not parse."""
    if language not in GRAMMARS:
        return Spans()
    before = ""
    tree = _parse(text, language)
    if tree.root_node.has_error and language in _IN_CLASS:
        wrapped = _parse(text.join(_CLASS), language)
        if not wrapped.root_node.has_error:
            before, tree = _CLASS[0], wrapped
    return _Walk(text, before).run(tree)


def _parse(text: str, language: str) -> Tree:
    return parser_for(language).parse(text.encode("utf-8", "replace"))


class _Walk:
    def __init__(self, text: str, before: str) -> None:
        self._text = text
        self._shift = len(before)
        self._places: list[int] | None = None
        """Byte → character, where they differ."""
        if not text.isascii():
            sizes = accumulate((len(c.encode("utf-8", "replace")) for c in text), initial=0)
            self._places = [0] * (len(text.encode("utf-8", "replace")) + 1)
            for place, at in enumerate(sizes):
                self._places[at] = place
        self._found: dict[str, list[Span]] = {}
        self._comments: list[Span] = []
        self._docstring: tuple[Span, Span] | None = None

    def run(self, tree: Tree) -> Spans:
        """Visit every node, without recursion."""
        cursor = tree.walk()
        while True:
            node = cursor.node
            inner = node is not None and self._visit(node, cursor.field_name)
            if inner and cursor.goto_first_child():
                continue
            while not cursor.goto_next_sibling():
                if not cursor.goto_parent():
                    return Spans(self._found, self._docstring or self._commented())

    def _visit(self, node: Node, place: str | None) -> bool:
        """Note the node; whether to look into it."""
        if node.child_count == 0 or "comment" in node.type:
            if "comment" in node.type and (span := self._span(node, node)):
                self._comments.append(span)
            return False
        if node.has_error or not node.is_named:
            return True
        if self._docstring is None and node.type in {"block", "module"}:
            self._docstring = self._documented(node)
        span = self._span(node, node)
        if span is not None and node.parent is not None:
            self._found.setdefault(_kind(node.type, place), []).append(span)
        return True

    def _documented(self, block: Node) -> tuple[Span, Span] | None:
        """Python: a string that begins a body, and the rest of the body."""
        if block.named_child_count < 2:
            return None
        first, second, *rest = block.named_children
        if first.type != "expression_statement":
            return None
        if [child.type for child in first.named_children] != ["string"]:
            return None
        docstring, body = self._span(first, first), self._span(second, [second, *rest][-1])
        return (docstring, body) if docstring and body else None

    def _commented(self) -> tuple[Span, Span] | None:
        """The comment that begins the text, and the first body below it."""
        begin = end = len(self._text) - len(self._text.lstrip())
        for first, last in self._comments:
            if self._text[end:first].strip() or first < end:
                break
            end = last
        body = next((span for span in self._found.get("body", ()) if span[0] >= end), None)
        return ((begin, end), body) if end > begin and body else None

    def _span(self, first: Node, last: Node) -> Span | None:
        """None for what is outside the text, next to nothing, or all of it."""
        begin, end = first.start_byte - self._shift, last.end_byte - self._shift
        if self._places is not None and 0 <= begin <= end < len(self._places):
            begin, end = self._places[begin], self._places[end]
        if begin < 0 or end > len(self._text):
            return None
        taken, whole = len(self._text[begin:end].strip()), len(self._text.strip())
        return (begin, end) if _LEAST <= taken < whole else None


def _kind(type: str, place: str | None) -> str:
    if place in _BODIES and _BODY.search(type):
        return "body"
    if _ARGUMENTS.search(type):
        return "arguments"
    return "statement" if _STATEMENT.search(type) else "expression"
