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
_FIXED_NAMES = {"init_declaration": "init", "deinit_declaration": "deinit"}
_SWIFT_KINDS = {"struct": "struct", "enum": "enum", "extension": "extension", "actor": "class"}
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
    if language in _PECULIAR:
        name = _PECULIAR[language](node)
        return (name, kind, node) if name else None
    name_node = node.child_by_field_name("name")
    if name_node is None:
        # Kotlin has an alias's name as its type; Swift has `init` and `deinit`, Java's are named.
        alias = node.child_by_field_name("type") if node.type == "type_alias" else None
        name = text_of(alias) if alias else _FIXED_NAMES.get(node.type, "")
        return (name, kind, node) if name else None
    name = _FIXED_NAMES.get(node.type) or text_of(name_node)
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


def body_of(node: Node) -> Node | None:
    """Where a definition's body stands; not every grammar has a field for it."""
    body = node.child_by_field_name("body")
    if body is not None:
        return body
    return next((c for c in reversed(node.named_children) if c.type.endswith("_body")), None)


def container_kind(node: Node, kind: str) -> str:
    """The kind of a container, where the grammar has one type of node for several."""
    if node.type != "class_declaration":
        return kind
    told = node.child_by_field_name("declaration_kind")  # Swift
    if told is not None:
        return _SWIFT_KINDS.get(told.type, kind)
    words = {word for child in node.children for word in _said(child)}  # Kotlin
    return next((each for each in ("interface", "enum") if each in words), kind)


def _said(child: Node) -> list[str]:
    if child.type == "modifiers":
        return text_of(child).split()
    return [child.type] if not child.is_named else []


def _lua_name(node: Node) -> str:
    if node.type == "function_declaration":
        name = node.child_by_field_name("name")
        return "" if name is None else text_of(name).replace(":", ".")
    names, values = (node.named_children + [None, None])[:2]
    if names is None or values is None or names.named_child_count != 1:
        return ""
    if [child.type for child in values.named_children] != ["function_definition"]:
        return ""
    return text_of(names)


def _sql_name(node: Node) -> str:
    name = next((c for c in node.named_children if c.type == "object_reference"), None)
    return "" if name is None else text_of(name).replace('"', "").replace("`", "")


def _hcl_name(node: Node) -> str:
    """``resource.aws_instance.bed``, as the language's own references are."""
    parts = [c for c in node.named_children if c.type in ("identifier", "string_lit")]
    return ".".join(text_of(part).strip('"') for part in parts)


def _css_name(node: Node) -> str:
    first = next(iter(node.named_children), None)
    return "" if first is None else " ".join(text_of(first).split())


_PECULIAR = {"lua": _lua_name, "sql": _sql_name, "terraform": _hcl_name, "css": _css_name}


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
