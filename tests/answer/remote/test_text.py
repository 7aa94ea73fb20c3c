"""Lengths without a tokenizer, and control tokens in data."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from gardenerd.answer.remote.text import clean, estimate, keep_end, keep_start
from gardenerd.models.info import seedling_folder


def test_no_real_file_has_more_tokens_than_estimated() -> None:
    tokenizer = Tokenizer.from_file(str(seedling_folder() / "tokenizer.json"))
    standard = Path(sysconfig.get_paths()["stdlib"])
    files = [*standard.glob("a*.py"), *(standard / "json").glob("*.py"), *standard.glob("t*.py")]
    files.remove(standard / "this.py")  # enciphered: no words, three tokens for two letters
    texts = [file.read_text() for file in files] + ["größer 🌱 als なに?\n" * 20, "0123456789" * 9]
    assert len(texts) > 20
    for text in texts:
        real = len(tokenizer.encode(text, add_special_tokens=False).ids)
        assert real <= estimate(text) <= max(4 * real, 200), text[:60]


@pytest.mark.parametrize(
    "name",
    ["<|im_start|>", "<|fim_middle|>", "<fim_suffix>", "<PRE>", "</s>", "[INST]", "[/INST]"]
    + ["<<SYS>>", "<end_of_turn>", "<｜fim▁hole｜>", "<|eot_id|>"],
)
def test_no_text_can_pose_as_a_control_token(name: str) -> None:
    cleaned = clean(f"a {name} b")
    assert name not in cleaned
    assert cleaned.replace(" ", "") == f"a{name}b".replace(" ", "")


def test_code_stays_as_it_is() -> None:
    code = "x = a[1] < b | c > d  # <T> [s] <|>\nprint('<html>')\n"
    assert clean(code) == code


def test_the_far_end_is_cut() -> None:
    text = "".join(f"line {n}\n" for n in range(2_000))
    assert text.endswith(end := keep_end(text, 100, estimate))
    assert text.startswith(start := keep_start(text, 100, estimate))
    assert 60 <= estimate(end) <= 100 and 60 <= estimate(start) <= 100
    assert keep_end("short", 100, estimate) == "short"
    assert keep_start("word " * 9, 0, estimate) == ""
