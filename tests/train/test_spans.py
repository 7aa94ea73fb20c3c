"""Where code is cut: at whole nodes of its syntax tree, docstrings and the bodies below them."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gardenerd.train.dataset import cut
from gardenerd.train.spans import Spans, spans_of

PYTHON = '''    def weigh(self, item: Item, rounds: int = 2) -> float:
        """Wäge ein Stück, mehrfach."""
        if rounds < 1:
            raise ValueError(rounds)
        return sum(self.scale.read(item) for _ in range(rounds)) / rounds
'''
GO = """// Grow waters the plant until it is as tall as wanted.
func (p *Plant) Grow(wanted int) error {
	for p.Height < wanted {
		p.Water(1)
	}
	return nil
}
"""
METHOD = """  async find(name: string): Promise<Plant> {
    return this.plants.get(name) ?? (await this.load(name))
  }
"""


def parts(text: str, language: str) -> dict[str, list[str]]:
    return {
        kind: [text[begin:end] for begin, end in found]
        for kind, found in spans_of(text, language).parts.items()
    }


def test_the_parts_are_whole_nodes_whatever_the_letters() -> None:
    found = parts(PYTHON, "python")
    assert "(self, item: Item, rounds: int = 2)" in found["arguments"]
    assert "raise ValueError(rounds)" in found["statement"]
    assert "raise ValueError(rounds)" in found["body"]  # of the `if`
    assert "self.scale.read(item)" in found["expression"]
    assert "item" not in found["expression"]  # a bare name is no part


def test_a_docstring_and_the_body_below_it() -> None:
    spans = spans_of(PYTHON, "python")
    assert spans.documented is not None
    docstring, body = (PYTHON[begin:end] for begin, end in spans.documented)
    assert docstring == '"""Wäge ein Stück, mehrfach."""'
    assert body.startswith("if rounds < 1:")
    assert body.endswith("/ rounds")


def test_a_comment_above_and_the_body_below_it() -> None:
    spans = spans_of(GO, "go")
    assert spans.documented is not None
    comment, body = (GO[begin:end] for begin, end in spans.documented)
    assert comment == "// Grow waters the plant until it is as tall as wanted."
    assert body.startswith("{\n\tfor")
    assert body.endswith("nil\n}")
    assert spans_of(GO.partition("\n")[2], "go").documented is None


def test_a_method_is_parsed_as_in_its_class() -> None:
    found = parts(METHOD, "typescript")
    assert "(name: string)" in found["arguments"]
    assert "this.plants.get(name)" in found["expression"]
    assert not any("class A" in part for kind in found.values() for part in kind)


@pytest.mark.parametrize("language", ["markdown", "ini", ""])
def test_without_a_grammar_it_is_cut_by_lines_as_ever(language: str) -> None:
    spans = spans_of(PYTHON, language)
    assert spans == Spans()
    for seed in range(20):
        assert "".join(cut(PYTHON, random.Random(seed), spans)) != ""
        before, after, middle = cut(PYTHON, random.Random(seed), spans)
        assert before + middle + after == PYTHON


def test_most_cuts_take_a_whole_part_and_some_do_not() -> None:
    spans = spans_of(PYTHON, "python")
    assert spans.documented is not None
    whole = {s for found in spans.parts.values() for s in found} | set(spans.documented)
    draw, documented, nodes = random.Random(0), 0, 0
    for _ in range(1_000):
        before, _after, middle = cut(PYTHON, draw, spans)
        span = (len(before), len(before) + len(middle))
        nodes += span in whole
        documented += span == spans.documented[0]
    assert 650 < nodes < 800  # 70 %, and lines that happen to be one
    assert 80 < documented < 170  # 15 % of those, and as one statement of many


@given(st.integers(0, 10_000), st.sampled_from([PYTHON, GO, METHOD]), st.text(max_size=20))
def test_no_cut_loses_anything_of_broken_code_either(seed: int, code: str, junk: str) -> None:
    at = seed % len(code)
    text = code[:at] + junk + code[at:]
    spans = spans_of(text, {PYTHON: "python", GO: "go", METHOD: "typescript"}[code])
    before, after, middle = cut(text, random.Random(seed), spans)
    assert before + middle + after == text
    for found in spans.parts.values():
        for begin, end in found:
            assert 0 <= begin < end <= len(text)
