"""What a node of a syntax tree defines: the spelling of names differs most between languages."""

from __future__ import annotations

import re

from tree_sitter import Node

Named = tuple[str, str, Node]

_FUNCTION_VALUES = frozenset(
    {"arrow_function", "function_expression", "generator_function", "function", "class"}
)
_JS_VALUED = frozenset(
    {"variable_declarator", "assignment_expression", "field_definition", "public_field_definition"}
)
_JS_STATEMENTS = frozenset({"lexical_declaration", "variable_declaration", "expression_statement"})
_TYPE_SPECIFIERS = {
    "struct_specifier": "struct",
    "union_specifier": "struct",
    "enum_specifier": "enum",
}
_GO_KINDS = {"struct_type": "struct", "interface_type": "interface"}


def text_of(node: Node) -> str:
    return (node.text or b"").decode(errors="replace")


def named(node: Node, kind: str, language: str, *, inside: bool) -> Named | None:
    """Name, kind and the node whose rows count; None when ``node`` only mentions something.

    ``kind`` is what the grammar says of the node's type; ``inside`` a class functions are methods.
    """
    if node.type in _JS_VALUED:
        return _js_valued(node, inside=inside)
    if language in ("c", "cpp"):
        return _c_named(node, kind, inside=inside)
    name_node = node.child_by_field_name("name")
    if name_node is None:
        return None
    name = text_of(name_node)
    if language == "go":
        if node.type == "method_declaration":
            name = f"{_go_receiver(node)}{name}"
        elif node.type == "type_spec":
            type_node = node.child_by_field_name("type")
            kind = _GO_KINDS.get(type_node.type, kind) if type_node else kind
            parent = node.parent
            if parent is not None and parent.named_child_count == 1:
                return name, kind, parent
    if kind == "function" and inside:
        kind = "method"
    return name, kind, node


def _js_valued(node: Node, *, inside: bool) -> Named | None:
    field = "right" if node.type == "assignment_expression" else "value"
    value = node.child_by_field_name(field)
    if value is None or value.type not in _FUNCTION_VALUES:
        return None
    names = ("left",) if field == "right" else ("name", "property")
    for each in names:
        name = node.child_by_field_name(each)
        if name is not None:
            parent = node.parent
            whole = node
            if (
                parent is not None
                and parent.named_child_count == 1
                and parent.type in _JS_STATEMENTS
            ):
                whole = parent  # `const f = ...;` with its keyword and semicolon
            text = re.sub(r"^module\.exports\.|^exports\.|\.prototype\b", "", text_of(name))
            what = "class" if value.type == "class" else "function"
            return text, "method" if inside and what == "function" else what, whole
    return None


def _c_named(node: Node, kind: str, *, inside: bool) -> Named | None:
    if node.type == "declaration":  # `struct S {...} s;`
        inner = node.child_by_field_name("type")
        if inner is None or inner.type not in _TYPE_SPECIFIERS:
            return None
        found = _c_named(inner, _TYPE_SPECIFIERS[inner.type], inside=inside)
        return found and (found[0], found[1], node)
    if node.type in _TYPE_SPECIFIERS:
        name = node.child_by_field_name("name")
        if name is None or node.child_by_field_name("body") is None:
            return None
        return text_of(name), kind, node
    if node.type == "type_definition":
        inner = node.child_by_field_name("type")
        if inner is not None and inner.type in _TYPE_SPECIFIERS:
            kind = "enum" if inner.type == "enum_specifier" else "struct"
    name = _c_declared(node)
    if not name:
        return None
    if kind == "function" and (inside or "." in name):
        kind = "method"
    return name, kind, node


def _c_declared(node: Node) -> str:
    """The name inside pointers, arrays, parameter lists: ``*(*f(int))[3]`` declares f."""
    if (name := node.child_by_field_name("name")) is not None:
        return text_of(name)
    for _ in range(12):
        inner = node.child_by_field_name("declarator")
        if inner is None:
            inner = next((c for c in node.named_children if c.type.endswith("declarator")), None)
        if inner is None:
            break
        node = inner
    text = text_of(node) if node.named_child_count <= 3 else ""
    return re.sub(r"\s+", "", text.replace("::", "."))


def _go_receiver(node: Node) -> str:
    receiver = node.child_by_field_name("receiver")
    found = (
        re.search(r"\*?\s*(\w+)\s*(?:\[[^\]]*\])?\s*\)$", text_of(receiver))
        if receiver is not None
        else None
    )
    return f"{found[1]}." if found else ""
