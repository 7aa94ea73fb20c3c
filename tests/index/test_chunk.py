from __future__ import annotations

import re
from pathlib import PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gardenerd.index.chunk import Chunk, chunk_text
from gardenerd.index.languages import GRAMMARS, language_of
from tests.index.samples import EXPECTED, SAMPLES

SUFFIXES = sorted({PurePosixPath(path).suffix for path in SAMPLES} | {".txt"})


def holds(text: str, chunks: list[Chunk]) -> None:
    """What is true of the chunks of any text."""
    lines = text.split("\n")
    for chunk in chunks:
        assert 1 <= chunk.start_line <= chunk.end_line <= len(lines)
        assert chunk.text == "\n".join(lines[chunk.start_line - 1 : chunk.end_line])
        assert chunk.kind


def covers(text: str, chunks: list[Chunk]) -> None:
    """Chunks of code do not overlap, and no identifier is lost but in namespaces' edges."""
    rows = [row for chunk in chunks for row in range(chunk.start_line, chunk.end_line + 1)]
    assert len(rows) == len(set(rows))
    wordy = {n for n, line in enumerate(text.split("\n"), 1) if re.search(r"\w", line)}
    assert wordy <= set(rows)


@pytest.mark.parametrize("path", sorted(EXPECTED))
def test_each_language_gives_its_definitions(path: str) -> None:
    chunks = chunk_text(path, SAMPLES[path])
    found = {(c.kind, c.symbol, c.start_line, c.end_line) for c in chunks}
    assert set(EXPECTED[path]) <= found
    holds(SAMPLES[path], chunks)
    if language_of(path) in GRAMMARS:
        covers(SAMPLES[path], chunks)


def test_every_grammar_has_a_sample() -> None:
    assert {language_of(path) for path in SAMPLES} >= set(GRAMMARS)


def test_signatures_and_docstrings_are_told() -> None:
    def of(path: str, symbol: str) -> Chunk:
        return next(c for c in chunk_text(path, SAMPLES[path]) if c.symbol == symbol)

    assert of("a.py", "free").signature == "def free(a: int, b=2) -> str"
    assert of("a.py", "free").docstring == "Say it.\n\nMore."
    assert of("a.py", "").docstring == "Module doc."
    assert of("a.py", "Box.area").signature == "def area(self) -> int"
    assert of("a.go", "Server").docstring == "Server serves.\nIt has two lines."
    assert of("a.rs", "Point").docstring == "A point."
    assert of("a.rs", "Stack").signature == "impl<T> Stack<T>"
    assert of("a.java", "Bank").docstring == "A bank."
    assert of("a.js", "add").docstring == "Adds two."
    assert of("a.rb", "Garden.Bed").docstring == "A bed of plants."
    assert of("a.rb", "Garden").signature == "module Garden"
    assert of("a.lua", "Bed.water").docstring == "Waters it."
    assert of("a.swift", "helper").signature == "func helper(_ x: Int) -> Int"
    assert of("A.kt", "Bed.water").signature == "override fun water(litres: Int): Boolean"
    assert of("a.c", "add").signature == "static int *add(int a, struct node *b)"


def test_a_long_function_is_cut_and_keeps_its_name() -> None:
    body = "".join(f"    value_{n} = compute({n})\n" for n in range(400))
    chunks = chunk_text("long.py", f'def long():\n    """Doc."""\n{body}\n\ndef short(): pass\n')
    pieces = [c for c in chunks if c.symbol == "long"]
    assert len(pieces) > 3
    assert [c.docstring for c in pieces] == ["Doc."] + [""] * (len(pieces) - 1)
    assert all(c.signature == "def long()" for c in pieces)
    assert chunks[-1].symbol == "short"


def test_definitions_on_one_line_share_one_chunk() -> None:
    text = "int a() { return 1; } int b() { return 2; } struct s { int x; };\n"
    chunks = chunk_text("one.c", text)
    assert [c.text for c in chunks] == [text.rstrip("\n")]


def test_the_only_field_of_a_class_does_not_swallow_it() -> None:
    chunks = chunk_text("a.js", "class A {\n\n  run = () => {\n    go();\n  };\n}\n")
    found = [(c.symbol, c.start_line, c.end_line) for c in chunks]
    assert found == [("A", 1, 1), ("A.run", 3, 5)]


@pytest.mark.parametrize(
    "text",
    [
        "(" * 100_000,
        "[" * 50_000 + "\n" + "]" * 50_000,
        "class A:\n" + "".join(f"{' ' * n}class B{n}:\n" for n in range(1, 400)),
        "if x:\n" + "".join(f"{' ' * n}if y:\n" for n in range(1, 400)),
        "x = " + "-" * 90_000 + "1",
        "def f(" * 5_000,
    ],
    ids=["open", "brackets", "classes", "ifs", "unary", "defs"],
)
def test_hostile_nesting_neither_crashes_nor_loses_lines(text: str) -> None:
    chunks = chunk_text("hostile.py", text)
    holds(text, chunks)
    covers(text, chunks)


def test_deeply_nested_containers_in_braces() -> None:
    text = "".join(f"class A{n} {{\n" for n in range(3_000)) + "}\n" * 3_000
    chunks = chunk_text("Deep.java", text)
    holds(text, chunks)
    covers(text, chunks)


def test_markdown_fences_hide_headings_and_long_sections_are_cut() -> None:
    text = "# One\n" + "word\n" * 400 + "## Two\nend\n"
    chunks = chunk_text("a.md", text)
    assert {c.symbol for c in chunks} == {"One", "One > Two"}
    assert len(chunks) > 4
    holds(text, chunks)


def test_windows_overlap_and_cover() -> None:
    text = "\n".join(f"line {n}" for n in range(300))
    chunks = chunk_text("a.txt", text)
    holds(text, chunks)
    covered = {row for c in chunks for row in range(c.start_line, c.end_line + 1)}
    assert covered == set(range(1, 301))
    starts = [c.start_line for c in chunks]
    assert all(b <= a.end_line for a, b in zip(chunks, starts[1:], strict=False))


def test_nothing_but_marks_gives_no_chunk() -> None:
    assert chunk_text("a.py", "") == []
    assert chunk_text("a.py", "\n\n  ()\n") == []


snippets = st.sampled_from(list(SAMPLES.values()))
noise = st.text(alphabet="abAB_1 \n\t(){}[]<>:;,.#/*\"'`=@!-+é\u2028\r", max_size=120)


@settings(max_examples=150, deadline=None)
@given(suffix=st.sampled_from(SUFFIXES), parts=st.lists(noise | snippets, max_size=4), at=noise)
def test_any_text_gives_chunks_that_are_its_lines(suffix: str, parts: list[str], at: str) -> None:
    text = at.join(parts)
    chunks = chunk_text("x" + suffix, text)
    holds(text, chunks)
    if language_of("x" + suffix) in GRAMMARS:
        covers(text, chunks)
