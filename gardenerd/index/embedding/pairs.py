"""Training examples from Python source: what someone might ask, and the code that answers it.

Every function and class becomes one `Example`: its code in parts, and all the questions that the
source itself offers for it: the docstring (its first paragraph, and the whole), its name, comments
above its lines, messages of the errors that it raises. Training draws one question a pass, so two
questions for one piece of code never meet in a batch as each other's wrong answers.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef

_MAX_CODE = 2400
"""Characters of a body that are kept: about what the index puts into one chunk."""

_MAX_QUESTION = 1200
_MIN_WORDS = 3
_MAX_SAME = 2
"""Examples that may share a docstring: boilerplate teaches that different code is the same."""

_words = re.compile(r"[A-Za-z]{2,}")
_identifier = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


class Source(Protocol):
    """A source file of the corpus."""

    @property
    def package(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def text(self) -> str: ...


@dataclass(slots=True)
class Example:
    """A piece of code and what may be asked to find it."""

    place: str
    """File and enclosing class, such as ``json/decoder.py JSONDecoder``."""
    signature: str
    """The line of ``def`` or ``class``, decorators included."""
    body: str
    """The code below the signature without its docstring; for a class, its members' signatures."""
    name: str
    """The words of the name: ``raw decode``."""
    questions: list[str] = field(default_factory=list[str])
    """Docstring first, where there is one; the name is not among them."""
    documented: bool = False
    """Whether the first question is the docstring's first paragraph."""

    @property
    def symbol(self) -> str:
        """Enclosing classes and name, such as ``JSONDecoder raw decode``."""
        return " ".join((*self.place.split(" ")[1:], self.name))


def examples(sources: Iterable[Source]) -> Iterator[Example]:
    """The examples of `sources`, without repetitions of a body or of much-used docstrings."""
    bodies: set[int] = set()
    asked: Counter[str] = Counter()
    for source in sources:
        for example in from_text(source.path, source.text):
            same = hash(" ".join(_words.findall(example.body)))
            if same in bodies:
                continue
            bodies.add(same)
            kept = [q for q in example.questions if asked[q.lower()] < _MAX_SAME]
            asked.update(q.lower() for q in kept)
            example.documented = bool(example.documented and kept[:1] == example.questions[:1])
            example.questions = kept
            yield example


def from_text(path: str, text: str) -> Iterator[Example]:
    """The examples of one file, in order; none if it does not parse."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    lines = text.split("\n")
    outline = [lines[n.lineno - 1].strip() for n in tree.body if isinstance(n, _Definition)]
    if outline and (doc := ast.get_docstring(tree)):
        yield _example(path, "", outline, _docstring(doc), path.rsplit("/", 1)[-1])
    stack: list[tuple[ast.AST, str]] = [(tree, path)]
    while stack:
        node, place = stack.pop()
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef):
                stack.append((child, f"{place} {child.name}"))
                yield _class(child, place, lines)
            elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                stack.append((child, place))
                example = _function(child, place, lines)
                if len(_words.findall(example.body)) >= _MIN_WORDS:
                    yield example
            elif isinstance(child, ast.If | ast.Try):
                stack.append((child, place))


def _function(
    node: ast.FunctionDef | ast.AsyncFunctionDef, place: str, lines: list[str]
) -> Example:
    signature, body = _split(node, lines)
    questions = [*_comments(body), *_messages(node)]
    return _example(
        place, signature, body, _docstring(ast.get_docstring(node)), node.name, questions
    )


def _class(node: ast.ClassDef, place: str, lines: list[str]) -> Example:
    members = [lines[n.lineno - 1].strip() for n in node.body if not isinstance(n, ast.Expr)]
    signature = "\n".join(lines[node.lineno - 1 : node.body[0].lineno - 1]) or node.name
    return _example(place, signature, members, _docstring(ast.get_docstring(node)), node.name)


def _example(
    place: str,
    signature: str,
    body: list[str],
    docstring: list[str],
    name: str,
    more: Iterable[str] = (),
) -> Example:
    documented = bool(docstring) and len(_words.findall(docstring[0])) >= _MIN_WORDS
    questions = [q for q in (*docstring, *more) if len(_words.findall(q)) >= _MIN_WORDS]
    return Example(
        place=place,
        signature=signature,
        body="\n".join(body)[:_MAX_CODE],
        name=" ".join(_identifier.findall(name)),
        questions=list(dict.fromkeys(q[:_MAX_QUESTION] for q in questions)),
        documented=documented,
    )


def _split(node: ast.FunctionDef | ast.AsyncFunctionDef, lines: list[str]) -> tuple[str, list[str]]:
    """The signature with its decorators, and the lines of the body without the docstring."""
    first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    body = node.body
    start = body[0].lineno
    if ast.get_docstring(node, clean=False) is not None:
        start = (body[0].end_lineno or start) + 1
        signature = "\n".join(lines[first - 1 : body[0].lineno - 1])
    else:
        # comments between the signature and the first statement belong to the body
        end = node.lineno
        while end < start - 1 and not lines[end - 1].rstrip().endswith(":"):
            end += 1
        signature = "\n".join(lines[first - 1 : end])
        start = min(start, end + 1)
    return signature, lines[start - 1 : node.end_lineno]


def _docstring(text: str | None) -> list[str]:
    """The first paragraph, and the whole text where there is more."""
    if not text or not text.strip():
        return []
    paragraph = " ".join(text.strip().split("\n\n", 1)[0].split())
    return [paragraph] if len(text) < len(paragraph) + 20 else [paragraph, text]


def _comments(body: list[str]) -> Iterator[str]:
    """Blocks of comment lines, as prose."""
    block: list[str] = []
    for line in [*body, ""]:
        stripped = line.strip()
        if stripped.startswith("#"):
            block.append(stripped.lstrip("#: "))
        elif block:
            yield " ".join(block)
            block = []


def _messages(node: ast.AST) -> Iterator[str]:
    """The text of each ``raise SomeError("...")``, with the error's name."""
    for child in ast.walk(node):
        if isinstance(child, ast.Raise) and isinstance(child.exc, ast.Call) and child.exc.args:
            parts = [
                n.value
                for n in ast.walk(child.exc.args[0])
                if isinstance(n, ast.Constant) and isinstance(n.value, str)
            ]
            if parts:
                message = " ".join(" ".join(parts).split())
                yield f"{ast.unparse(child.exc.func)}: {message}"
