"""Texts for a model whose tokenizer is elsewhere: how long they are, and what they must not say."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from gardenerd.answer.backend import Message

# What chat and fill-in templates of common models are made of: ChatML and Llama 3 (<|...|>),
# DeepSeek (fullwidth bars), StarCoder, Code Llama, Mistral, Gemma.
_CONTROLS = re.compile(
    r"<\|[^\s<>|]{1,40}\|>|<｜[^\s<>｜]{1,40}｜>|<fim_\w+>|<(?:PRE|SUF|MID|EOT)>|</?s>"
    r"|\[/?(?:INST|SYSTEM_PROMPT|SUFFIX|PREFIX|MIDDLE)\]|<<\/?SYS>>|<(?:start|end)_of_turn>"
    r"|<(?:bos|eos|pad|unk)>"
)
# Capitals, letters, digits, a run of blanks or of line ends, anything else.
_PIECES = re.compile(
    r"[A-Z]{2,}(?![a-z])|[A-Za-z]+|[0-9]|[ \t]+|[\r\n]+|[^\sA-Za-z0-9]|\s", re.ASCII
)
# Byte-level vocabularies cut English words and identifiers into pieces of three letters or longer
# on average, also rare ones (measured with one of 8,192 tokens, a small one), and capitals of two.
_LETTERS_PER_TOKEN = 3
_CAPITALS_PER_TOKEN = 2

MESSAGE_TOKENS = 8
"""That a template puts around a message or a prompt, with room to spare."""


def clean(text: str) -> str:
    """The text with a space within whatever a model may take for a control token."""
    return _CONTROLS.sub(lambda name: f"{name[0][0]} {name[0][1:]}", text)


def estimate(text: str) -> int:
    """Tokens of a text, rather too many than too few: digits and signs count one each, letters one
    for three, what is not ASCII by its bytes, and a tenth is added for rare words."""
    total = 0
    for piece in _PIECES.finditer(text):
        found = piece[0]
        if found[0].isascii() and found[0].isalpha():
            loud = found.isupper() and len(found) > 1
            total += -(-len(found) // (_CAPITALS_PER_TOKEN if loud else _LETTERS_PER_TOKEN))
        elif found.isascii():
            # A single blank belongs to the word after it, if that is of plain letters.
            total += found != " " or not text[piece.end() : piece.end() + 1].isascii()
        else:
            total += len(found.encode())
    return total + -(-total // 10)


def conversation(messages: Iterable[Message], count: Callable[[str], int]) -> int:
    """Tokens of all the messages, with what a template puts around each."""
    return sum(count(each["content"]) + MESSAGE_TOKENS for each in messages)


def keep_end(text: str, tokens: int, count: Callable[[str], int]) -> str:
    """The longest end of ``text``, about, that is not more than so many tokens."""
    return _cut(text, tokens, count, lambda whole, length: whole[len(whole) - length :])


def keep_start(text: str, tokens: int, count: Callable[[str], int]) -> str:
    return _cut(text, tokens, count, lambda whole, length: whole[:length])


def _cut(
    text: str, tokens: int, count: Callable[[str], int], part: Callable[[str, int], str]
) -> str:
    # No token of code is longer than this on average: the rest need not be counted.
    kept = part(text, min(len(text), tokens * 12))
    while kept and (found := count(kept)) > tokens:
        kept = part(kept, min(len(kept) - 1, len(kept) * tokens // found))
    return kept
