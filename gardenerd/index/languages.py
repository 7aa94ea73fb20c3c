"""Which language a file is in, and what its grammar calls a definition."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from functools import cache
from pathlib import PurePosixPath

import tree_sitter

_BY_SUFFIX = {
    ".py": "python", ".pyi": "python", ".pyw": "python",
    ".ipynb": "notebook",
    ".js": "javascript", ".mjs": "javascript", ".cjs": "javascript", ".jsx": "javascript",
    ".ts": "typescript", ".mts": "typescript", ".cts": "typescript", ".tsx": "tsx",
    ".go": "go", ".rs": "rust", ".java": "java",
    ".c": "c", ".h": "c",
    ".cc": "cpp", ".cpp": "cpp", ".cxx": "cpp", ".hh": "cpp", ".hpp": "cpp", ".hxx": "cpp",
    ".ipp": "cpp", ".inl": "cpp", ".cu": "cpp", ".cuh": "cpp",
    ".md": "markdown", ".markdown": "markdown", ".mdx": "markdown",
    ".rst": "rst", ".txt": "text", ".adoc": "asciidoc", ".org": "org", ".tex": "latex",
    ".toml": "toml", ".yaml": "yaml", ".yml": "yaml", ".json": "json", ".ini": "ini",
    ".cfg": "ini", ".xml": "xml", ".html": "html", ".css": "css", ".scss": "css",
    ".sh": "shell", ".bash": "shell", ".zsh": "shell", ".fish": "fish", ".sql": "sql",
    ".rb": "ruby", ".rake": "ruby", ".gemspec": "ruby", ".php": "php", ".swift": "swift",
    ".kt": "kotlin", ".kts": "kotlin", ".scala": "scala", ".sbt": "scala",
    ".cs": "csharp", ".lua": "lua", ".r": "r", ".jl": "julia", ".ex": "elixir", ".exs": "elixir",
    ".hs": "haskell", ".ml": "ocaml", ".clj": "clojure", ".m": "objective-c", ".pl": "perl",
    ".zig": "zig", ".dart": "dart", ".vue": "vue", ".svelte": "svelte", ".proto": "protobuf",
    ".graphql": "graphql", ".tf": "terraform", ".tfvars": "terraform", ".hcl": "terraform",
    ".cmake": "cmake", ".nix": "nix",
}  # fmt: skip
_BY_NAME = {
    "makefile": "make", "gnumakefile": "make", "dockerfile": "docker", "cmakelists.txt": "cmake",
    "rakefile": "ruby", "gemfile": "ruby",
}  # fmt: skip

PROSE = frozenset({"markdown", "rst", "text", "asciidoc", "org", "latex"})


def language_of(path: str) -> str:
    """The language by the file's name; ``text`` for one that is not known."""
    pure = PurePosixPath(path)
    name = pure.name.lower()
    return _BY_NAME.get(name) or _BY_SUFFIX.get(pure.suffix.lower(), "text")


@dataclass(frozen=True, slots=True)
class Grammar:
    """How one language spells definitions, in the node types of its grammar."""

    module: str
    function: str = "language"
    leaves: dict[str, str] = field(default_factory=dict[str, str])
    """Node type → kind, of definitions that are kept whole."""
    containers: dict[str, str] = field(default_factory=dict[str, str])
    """Node type → kind, of definitions whose body holds more definitions. An empty kind only lends
    its name (a namespace)."""
    transparent: frozenset[str] = frozenset()
    """Node types that are looked into as if they were not there."""
    wrappers: frozenset[str] = frozenset()
    """Node types that dress one definition: decorators, ``export``, ``template``."""
    leading: frozenset[str] = frozenset({"comment"})
    """Node types that, right above a definition, belong to it."""


_JS_LEAVES = {
    "function_declaration": "function",
    "generator_function_declaration": "function",
    "method_definition": "function",
    "variable_declarator": "function",
    "assignment_expression": "function",
    "field_definition": "function",
}
_JS = Grammar(
    module="tree_sitter_javascript",
    leaves=_JS_LEAVES,
    containers={"class_declaration": "class", "class": "class"},
    transparent=frozenset(
        {
            "class_body", "lexical_declaration", "variable_declaration", "expression_statement",
            "statement_block", "if_statement", "try_statement", "ERROR",
        }
    ),
    wrappers=frozenset({"export_statement"}),
    leading=frozenset({"comment", "decorator"}),
)  # fmt: skip
_TS = Grammar(
    module="tree_sitter_typescript",
    function="language_typescript",
    leaves={
        **_JS_LEAVES,
        "public_field_definition": "function",
        "function_signature": "function",
        "interface_declaration": "interface",
        "type_alias_declaration": "type",
        "enum_declaration": "enum",
    },
    containers={
        **_JS.containers,
        "abstract_class_declaration": "class",
        "internal_module": "",
        "module": "",
    },
    transparent=_JS.transparent,
    wrappers=_JS.wrappers | {"ambient_declaration"},
    leading=_JS.leading,
)
_C = Grammar(
    module="tree_sitter_c",
    leaves={
        "function_definition": "function",
        "struct_specifier": "struct",
        "union_specifier": "struct",
        "enum_specifier": "enum",
        "type_definition": "type",
        "declaration": "struct",
    },
    transparent=frozenset(
        {
            "preproc_if", "preproc_ifdef", "preproc_else", "preproc_elif", "preproc_elifdef",
            "linkage_specification", "declaration_list", "ERROR",
        }
    ),
)  # fmt: skip

GRAMMARS: dict[str, Grammar] = {
    "python": Grammar(
        module="tree_sitter_python",
        leaves={"function_definition": "function"},
        containers={"class_definition": "class"},
        transparent=frozenset(
            {
                "block", "if_statement", "else_clause", "elif_clause", "try_statement",
                "except_clause", "finally_clause", "with_statement", "ERROR",
            }
        ),
        wrappers=frozenset({"decorated_definition"}),
    ),
    "javascript": _JS,
    "typescript": _TS,
    "tsx": Grammar(
        module=_TS.module,
        function="language_tsx",
        leaves=_TS.leaves,
        containers=_TS.containers,
        transparent=_TS.transparent,
        wrappers=_TS.wrappers,
        leading=_TS.leading,
    ),
    "go": Grammar(
        module="tree_sitter_go",
        leaves={
            "function_declaration": "function",
            "method_declaration": "method",
            "type_spec": "type",
            "type_alias": "type",
        },
        transparent=frozenset({"type_declaration", "ERROR"}),
    ),
    "rust": Grammar(
        module="tree_sitter_rust",
        leaves={
            "function_item": "function",
            "struct_item": "struct",
            "union_item": "struct",
            "enum_item": "enum",
            "type_item": "type",
            "macro_definition": "macro",
        },
        containers={"impl_item": "impl", "trait_item": "trait", "mod_item": ""},
        transparent=frozenset({"declaration_list", "foreign_mod_item", "ERROR"}),
        leading=frozenset({"line_comment", "block_comment", "attribute_item"}),
    ),
    "java": Grammar(
        module="tree_sitter_java",
        leaves={
            "method_declaration": "method",
            "constructor_declaration": "method",
            "compact_constructor_declaration": "method",
            "annotation_type_declaration": "interface",
        },
        containers={
            "class_declaration": "class",
            "record_declaration": "class",
            "interface_declaration": "interface",
            "enum_declaration": "enum",
        },
        transparent=frozenset({"class_body", "interface_body", "enum_body",
                               "enum_body_declarations", "ERROR"}),
        leading=frozenset({"line_comment", "block_comment"}),
    ),
    "c": _C,
    "cpp": Grammar(
        module="tree_sitter_cpp",
        leaves={
            "function_definition": "function",
            "union_specifier": "struct",
            "enum_specifier": "enum",
            "type_definition": "type",
            "alias_declaration": "type",
            "concept_definition": "type",
        },
        containers={
            "class_specifier": "class",
            "struct_specifier": "struct",
            "namespace_definition": "",
        },
        transparent=_C.transparent | {"field_declaration_list", "declaration", "field_declaration"},
        wrappers=frozenset({"template_declaration"}),
    ),
    "ruby": Grammar(
        module="tree_sitter_ruby",
        leaves={"method": "function", "singleton_method": "function"},
        containers={"class": "class", "module": "module", "singleton_class": ""},
        transparent=frozenset({"body_statement", "begin", "if", "unless", "ERROR"}),
    ),
    "csharp": Grammar(
        module="tree_sitter_c_sharp",
        leaves={
            "method_declaration": "method",
            "constructor_declaration": "method",
            "destructor_declaration": "method",
            "operator_declaration": "method",
            "delegate_declaration": "type",
        },
        containers={
            "class_declaration": "class",
            "record_declaration": "class",
            "struct_declaration": "struct",
            "interface_declaration": "interface",
            "enum_declaration": "enum",
            "namespace_declaration": "",
        },
        transparent=frozenset({"declaration_list", "ERROR"}),
    ),
    "php": Grammar(
        module="tree_sitter_php",
        function="language_php",
        leaves={"method_declaration": "method", "function_definition": "function"},
        containers={
            "class_declaration": "class",
            "interface_declaration": "interface",
            "trait_declaration": "trait",
            "enum_declaration": "enum",
            "namespace_definition": "",
        },
        transparent=frozenset({"declaration_list", "compound_statement", "if_statement", "ERROR"}),
    ),
    "kotlin": Grammar(
        module="tree_sitter_kotlin",
        leaves={"function_declaration": "function", "type_alias": "type"},
        containers={"class_declaration": "class", "object_declaration": "class",
                    "companion_object": ""},
        transparent=frozenset({"ERROR"}),
        leading=frozenset({"line_comment", "block_comment"}),
    ),
    "swift": Grammar(
        module="tree_sitter_swift",
        leaves={
            "function_declaration": "function",
            "protocol_function_declaration": "function",
            "init_declaration": "method",
            "deinit_declaration": "method",
            "typealias_declaration": "type",
        },
        containers={"class_declaration": "class", "protocol_declaration": "interface"},
        transparent=frozenset({"ERROR"}),
        leading=frozenset({"comment", "multiline_comment"}),
    ),
    "scala": Grammar(
        module="tree_sitter_scala",
        leaves={
            "function_definition": "function",
            "function_declaration": "function",
            "type_definition": "type",
        },
        containers={
            "class_definition": "class",
            "object_definition": "class",
            "trait_definition": "trait",
            "enum_definition": "enum",
        },
        transparent=frozenset({"ERROR"}),
        leading=frozenset({"comment", "block_comment"}),
    ),
    "lua": Grammar(
        module="tree_sitter_lua",
        leaves={"function_declaration": "function", "assignment_statement": "function"},
        transparent=frozenset({"do_statement", "if_statement", "block", "ERROR"}),
        wrappers=frozenset({"variable_declaration"}),
    ),
    "shell": Grammar(
        module="tree_sitter_bash",
        leaves={"function_definition": "function"},
        transparent=frozenset({"if_statement", "list", "ERROR"}),
    ),
    "sql": Grammar(
        module="tree_sitter_sql",
        leaves={
            "create_table": "table",
            "create_view": "view",
            "create_materialized_view": "view",
            "create_function": "function",
            "create_procedure": "function",
            "create_trigger": "function",
            "create_type": "type",
        },
        transparent=frozenset({"block", "ERROR"}),
        wrappers=frozenset({"statement"}),
    ),
    "terraform": Grammar(
        module="tree_sitter_hcl",
        leaves={"block": "block"},
        transparent=frozenset({"body", "ERROR"}),
    ),
    "css": Grammar(
        module="tree_sitter_css",
        leaves={"rule_set": "rule", "keyframes_statement": "rule"},
        transparent=frozenset({"media_statement", "supports_statement", "block", "ERROR"}),
    ),
}  # fmt: skip


@cache
def parser_for(language: str) -> tree_sitter.Parser:
    """The parser of one of :data:`GRAMMARS`; kept, and not to be shared by threads."""
    grammar = GRAMMARS[language]
    pointer: object = getattr(importlib.import_module(grammar.module), grammar.function)()
    return tree_sitter.Parser(tree_sitter.Language(pointer))
