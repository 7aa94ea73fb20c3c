"""Tokens to text, piece by piece, without ever showing half a character.

With a byte-level vocabulary one emoji is up to four tokens. Decoding them one by one gives
replacement characters, and decoding only the new ones loses the spaces that some tokenizers
put between words. So a window of earlier tokens is decoded again together with the new ones, and
what it gives beyond the text shown so far is new (as vLLM and text-generation-inference do).
"""

from __future__ import annotations

from collections.abc import Callable

_BROKEN = "\ufffd"


class IncrementalDecoder:
    """Feed token ids one by one; each call gives the text that became certain.

    Args:
        decode: token ids to text, without special tokens and without cleaning up spaces.
    """

    def __init__(self, decode: Callable[[list[int]], str]) -> None:
        self._decode = decode
        self._ids: list[int] = []
        self._start = 0
        """Where the window that is decoded again begins."""
        self._next_start = 0
        self._shown = 0
        """Characters of the window that were given."""

    def feed(self, token: int) -> str:
        self._ids.append(token)
        text = self._decode(self._ids[self._start :])
        # Bytes at the end that are no character yet may become one with the next token.
        certain = text.rstrip(_BROKEN)
        new = certain[self._shown :]
        self._shown = max(self._shown, len(certain))
        if certain and len(certain) == len(text):
            # Whole characters up to here: the window moves, keeping the last step as its context.
            self._start, self._next_start = self._next_start, len(self._ids)
            self._shown = len(self._decode(self._ids[self._start :]))
        return new
