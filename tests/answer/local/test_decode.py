"""Pieces of text never split a character, and together are the whole text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models

from gardenerd.answer.local.decode import IncrementalDecoder
from tests.tiny_models import make_tokenizer

TOKENIZER = make_tokenizer()


def decode(ids: list[int]) -> str:
    return TOKENIZER.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


def pieces_of(ids: list[int]) -> list[str]:
    decoder = IncrementalDecoder(decode)
    return [decoder.feed(token) for token in ids]


@pytest.mark.parametrize("text", ["🌱", "a🌱b👩‍🌾c", "日本語", "gruß\n\n", "e\u0301", " \t "])
def test_characters_of_several_tokens_come_out_whole(text: str) -> None:
    ids = TOKENIZER.encode(text, add_special_tokens=False)
    assert len(ids) >= len(text)
    pieces = pieces_of(ids)
    assert "".join(pieces) == text
    assert not any("\ufffd" in piece for piece in pieces)


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_text_survives(text: str) -> None:
    clean = text.encode("utf-8", "ignore").decode().rstrip("\ufffd")
    assert "".join(pieces_of(TOKENIZER.encode(clean, add_special_tokens=False))) == clean


@settings(deadline=None)
@given(st.lists(st.integers(3, 300), max_size=40))
def test_bytes_that_are_no_text_are_never_taken_back(ids: list[int]) -> None:
    shown = "".join(pieces_of(ids))
    assert decode(ids).startswith(shown)
    assert shown == decode(ids).rstrip("\ufffd")


def test_a_vocabulary_with_bytes_to_fall_back_on() -> None:
    # As in Llama 2: an emoji is four byte tokens, each shown as a broken character alone.
    vocabulary = {"<unk>": 0, "▁a": 1, "▁b": 2}
    vocabulary |= {f"<0x{byte:02X}>": 3 + byte for byte in range(256)}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], byte_fallback=True, unk_token="<unk>"))
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    decoder = IncrementalDecoder(tokenizer.decode)
    ids = [1, *(3 + byte for byte in "🌱".encode()), 2]
    pieces = [decoder.feed(token) for token in ids]
    assert [piece for piece in pieces if piece] == [" a", "🌱", " b"]
