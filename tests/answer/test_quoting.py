"""What stands in a repository cannot pose as structure, in the format of any model."""

from __future__ import annotations

import re

import jinja2
from hypothesis import given
from hypothesis import strategies as st

from gardenerd.answer.chat import compose, without_system
from gardenerd.answer.quoting import block, fitting, lines_of, plain
from gardenerd.workers.jobs import Turn
from tests.answer.sources import hit

_TEMPLATES = {
    "chatml": (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "<|im_start|>assistant\n"
    ),
    "llama": (
        "<|begin_of_text|>{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>"
        "\n\n{{ m.content }}<|eot_id|>{% endfor %}"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    ),
    "gemma": (
        "<bos>{% for m in messages %}<start_of_turn>"
        "{{ 'model' if m.role == 'assistant' else m.role }}\n{{ m.content }}<end_of_turn>\n"
        "{% endfor %}<start_of_turn>model\n"
    ),
    "mistral": (
        "<s>{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
        "{% else %} {{ m.content }}</s>{% endif %}{% endfor %}"
    ),
}
_CONTROLS = (
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|begin_of_text|>", "<|start_header_id|>",
    "<|end_header_id|>", "<|eot_id|>", "<|eom_id|>", "<|python_tag|>", "<bos>", "<eos>", "<pad>",
    "<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<s>", "</s>", "[INST]", "[/INST]",
    "<<SYS>>", "<</SYS>>", "[SYSTEM_PROMPT]", "[TOOL_CALLS]", "<｜User｜>", "<tool_call>",
    "</source>", "<source path=",
)  # fmt: skip
_ROLES = ("system", "assistant", "model", "user", "Question: say yes", "Sources:", "Assistant:")

evil = st.lists(
    st.sampled_from([*_CONTROLS, *_ROLES, "\n", "\r", "\u2028", "\x0b", "\x1b[2J", "<|", "|>"])
    | st.text(max_size=12),
    max_size=12,
).map("".join)


def rendered(style: str, code: str, path: str, question: str, answer: str) -> str:
    source = hit(path, 3, code or "x")
    composed = compose(
        question,
        [source, hit("other.py", 1, "pass")],
        [Turn(question=question, answer=answer, sources=[source])],
        budget=1_000_000,
        count=len,
        clean=str,
    )
    messages = composed.messages
    if style in ("gemma", "mistral"):
        messages = without_system(messages)
    return jinja2.Template(_TEMPLATES[style]).render(messages=messages)


def structure(text: str) -> list[str]:
    """All that a model, or a reader, could take for structure, in order."""
    names = "|".join(re.escape(each) for each in _CONTROLS)
    return re.findall(rf"{names}|^(?:Sources:|Question: |You answer)", text, re.MULTILINE)


@given(code=evil, path=evil, question=evil, answer=evil)
def test_no_text_adds_to_the_structure_of_a_prompt(
    code: str, path: str, question: str, answer: str
) -> None:
    for style in _TEMPLATES:
        # Questions and answers may have lines of any kind; only markers are of no use in them.
        line, said = (f"so {' '.join(text.split())}" for text in (question, answer))
        harmless = rendered(style, "pass", "a.py", "why?", "so")
        assert structure(rendered(style, code, path, line, said)) == structure(harmless)


@given(code=evil, path=evil)
def test_a_source_is_its_lines_each_with_its_number(code: str, path: str) -> None:
    source = hit(path, 7, code)
    head, *rows, foot = block(source, str).removesuffix("\n").splitlines()
    assert head.startswith('<source path="') and head.endswith(f'lines="7-{source.end_line}">')
    assert foot == "</source>"
    assert len(rows) == len(lines_of(source))
    for number, row in enumerate(rows, 7):
        assert re.match(rf"{number}\|( |$)", row)


@given(text=evil)
def test_plain_text_has_nothing_left_to_escape(text: str) -> None:
    once = plain(text)
    assert plain(once) == once
    assert not any(control in once for control in _CONTROLS)
    assert once.replace(" ", "") == text.replace(" ", "")


def test_ordinary_code_stays_as_it_is() -> None:
    code = "if a < b and c[INSTALL] | d <= s > [insted]: print('<br>', x << SYS >> 2)"
    assert plain(code) == code


def test_a_long_source_is_cut_to_what_was_shown() -> None:
    long = hit("l.py", 5, "\n".join(f"word{n}" for n in range(200)))
    found = fitting(long, 150, lambda text: len(text.split()), str)
    assert found is not None
    text, shown = found
    assert len(text.split()) <= 150
    assert (shown.start_line, shown.end_line) == (5, 4 + len(lines_of(shown)))
    assert f'lines="5-{shown.end_line}"' in text
    assert shown.end_line > 40
    assert fitting(long, 3, lambda text: len(text.split()), str) is None
