"""Where the definitions of a source file are: a walk over its syntax tree, without recursion."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tree_sitter import Node

from gardenerd.index.docstrings import clean_comment, clean_docstring
from gardenerd.index.languages import GRAMMARS, Grammar, parser_for
from gardenerd.index.naming import body_of, container_kind, named, text_of

_MAX_SYMBOL = 200
_MAX_SIGNATURE = 300
# Deeper nesting of classes and namespaces is generated or hostile.
_MAX_DEPTH = 16
# Statements nested in statements (if in try in if ...) at the top level of real code.
_MAX_TRANSPARENT = 40

_OPENING = re.compile(r"\s*(?:=>|[:={])?\s*$")


@dataclass(frozen=True, slots=True)
class Definition:
    """Rows are 0-based and inclusive; ``first`` includes what leads up to it."""

    symbol: str
    kind: str
    first: int
    last: int
    container: bool
    signature: str
    docstring: str


@dataclass(slots=True)
class _Scope:
    children: Iterator[Node]
    prefix: str
    inside: bool
    """Within a class: its functions are methods."""
    depth: int
    transparent: int
    lead: int = -1
    """First row of the comments that touch what comes next; -1 for none."""
    lead_end: int = -1


def definitions_of(source: bytes, language: str) -> list[Definition]:
    """The definitions in ``source``, outer ones before those that they hold.

    Code that does not parse still gives those that the parser could make out.
    """
    grammar = GRAMMARS[language]
    tree = parser_for(language).parse(source)
    return _Walk(source, language, grammar).run(tree.root_node)


class _Walk:
    def __init__(self, source: bytes, language: str, grammar: Grammar) -> None:
        self._source = source
        self._language = language
        self._grammar = grammar
        self._found: list[Definition] = []

    def run(self, root: Node) -> list[Definition]:
        stack = [_Scope(iter(root.named_children), "", False, 0, 0)]
        while stack:
            scope = stack[-1]
            node = next(scope.children, None)
            if node is None:
                stack.pop()
                continue
            inner = self._visit(node, scope)
            if inner is not None:
                stack.append(inner)
        return self._found

    def _visit(self, node: Node, scope: _Scope) -> _Scope | None:
        grammar = self._grammar
        kind = node.type
        if kind in grammar.leading:
            first, last = node.start_point[0], _last_row(node)
            if scope.lead < 0 or first > scope.lead_end + 1:
                scope.lead = first
            scope.lead_end = last
            return None
        first = node.start_point[0]
        if scope.lead >= 0 and scope.lead_end + 1 >= first:
            first = min(first, scope.lead)
        comments = (scope.lead, scope.lead_end) if first < node.start_point[0] else None
        scope.lead = -1
        outer = node
        while node.type in grammar.wrappers:
            dressed = self._dressed(node)
            if dressed is None:
                break
            node = dressed
        kind = node.type
        found = None
        if kind in grammar.leaves:
            found = named(node, grammar.leaves[kind], self._language, inside=scope.inside)
        if found:
            name, what, span = found
            self._add(outer if span is node else span, node, name, what, first, comments, scope)
            return None
        if kind in grammar.containers:
            return self._container(outer, node, first, comments, scope)
        if kind in grammar.transparent or node is not outer:
            return self._into(node, scope, first)
        return None

    def _into(self, node: Node, scope: _Scope, first: int) -> _Scope | None:
        if scope.transparent >= _MAX_TRANSPARENT:
            return None
        inner = _Scope(
            iter(node.named_children),
            scope.prefix,
            scope.inside,
            scope.depth,
            scope.transparent + 1,
        )
        if first < node.start_point[0]:  # a comment above `const f = () => ...`
            inner.lead, inner.lead_end = first, node.start_point[0] - 1
        return inner

    def _dressed(self, node: Node) -> Node | None:
        grammar = self._grammar
        for child in reversed(node.named_children):
            kind = child.type
            if (
                kind in grammar.leaves
                or kind in grammar.containers
                or kind in grammar.wrappers
                or kind in grammar.transparent
            ):
                return child
        return None

    def _container(
        self,
        outer: Node,
        node: Node,
        first: int,
        comments: tuple[int, int] | None,
        scope: _Scope,
    ) -> _Scope | None:
        kind = container_kind(node, self._grammar.containers[node.type])
        name = self._container_name(node)
        body = body_of(node)
        if kind and body is None and self._language == "cpp":
            return None  # `struct stat s;` only mentions it
        if kind and name:
            self._add(outer, node, name, kind, first, comments, scope, container=True)
        if body is None or scope.depth >= _MAX_DEPTH:
            return None
        prefix = f"{scope.prefix}{name}." if name else scope.prefix
        # A nameless container (a companion object, `class << self`) is a part of the one around it.
        inside = bool(kind) or (not name and scope.inside)
        children = [*self._before_body(node, body), *body.named_children]
        return _Scope(iter(children), prefix[:_MAX_SYMBOL], inside, scope.depth + 1, 0)

    def _before_body(self, node: Node, body: Node) -> list[Node]:
        """Comments that Ruby's grammar keeps outside of the body that they begin."""
        return [
            child
            for child in node.named_children
            if child.type in self._grammar.leading
            and node.start_point[0] < child.start_point[0] <= body.start_point[0]
            and child.end_byte <= body.start_byte
        ]

    def _container_name(self, node: Node) -> str:
        if node.type == "impl_item":
            target = node.child_by_field_name("type")
            return "" if target is None else re.sub(r"<.*", "", text_of(target), flags=re.S)
        name = node.child_by_field_name("name")
        if name is None:
            return ""
        return re.sub(r"::|\\", ".", re.sub(r"<.*", "", text_of(name), flags=re.S).strip("'\""))

    def _add(
        self,
        outer: Node,
        node: Node,
        name: str,
        kind: str,
        first: int,
        comments: tuple[int, int] | None,
        scope: _Scope,
        *,
        container: bool = False,
    ) -> None:
        body = body_of(node)
        self._found.append(
            Definition(
                symbol=re.sub(r"\s+", " ", f"{scope.prefix}{name}")[:_MAX_SYMBOL],
                kind=kind,
                first=first,
                last=max(_last_row(outer), first),
                container=container,
                signature=self._signature(outer, node, body),
                docstring=self._docstring(body, comments),
            )
        )

    def _signature(self, outer: Node, node: Node, body: Node | None) -> str:
        start = node.start_byte if self._language == "python" else outer.start_byte
        end = body.start_byte if body is not None and body.start_byte > start else outer.end_byte
        if self._language == "python":  # a comment may stand between the colon and the body
            for name in ("return_type", "parameters", "superclasses", "name"):
                if (part := node.child_by_field_name(name)) is not None:
                    end = part.end_byte
                    break
        elif body is not None:
            end = min([end, *(child.start_byte for child in self._before_body(node, body))])
        text = self._source[start : min(end, start + 2 * _MAX_SIGNATURE)].decode(errors="replace")
        if body is None:
            text = text.split("\n", 1)[0]
        return _OPENING.sub("", " ".join(text.split()))[:_MAX_SIGNATURE]

    def _docstring(self, body: Node | None, comments: tuple[int, int] | None) -> str:
        if self._language == "python":
            return "" if body is None else self._python_docstring(body)
        if comments is None:
            return ""
        return self._comment(comments)

    def _python_docstring(self, body: Node) -> str:
        first = next(iter(body.named_children[:1]), None)
        if first is None or first.type != "expression_statement":
            return ""
        string = next(iter(first.named_children[:1]), None)
        if string is None or string.type != "string":
            return ""
        return clean_docstring(text_of(string))

    def _comment(self, rows: tuple[int, int]) -> str:
        lines = self._lines()[rows[0] : rows[1] + 1]
        return clean_comment("\n".join(lines))

    def _lines(self) -> list[str]:
        if not hasattr(self, "_split"):
            self._split = self._source.decode(errors="replace").split("\n")
        return self._split


def _last_row(node: Node) -> int:
    row, column = node.end_point
    return row - 1 if column == 0 and row > node.start_point[0] else row
