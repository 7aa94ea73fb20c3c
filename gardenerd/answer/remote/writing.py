"""Text as a server writes it."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any, Literal, NamedTuple

from gardenerd.answer.backend import Drawing

End = Literal["", "end", "length"]


class Piece(NamedTuple):
    text: str
    end: End = ""
    """Why nothing follows; empty while more is to come."""
    tokens: int | None = None
    """Written in all, where the server tells at the end."""


def sampling(drawing: Drawing | None) -> dict[str, Any]:
    """How tokens are drawn, in the words of both protocols; None takes the likeliest."""
    if drawing is None:
        return {"temperature": 0}
    return {
        "temperature": drawing.temperature,
        "top_p": drawing.top_p,
        "seed": drawing.seed,
    }


class RemoteWriting:
    """Pieces as they come. Without a word of the server, each is counted as one token."""

    def __init__(self, pieces: Generator[Piece]) -> None:
        self._pieces = pieces
        self.tokens = 0
        self.full = False

    def __iter__(self) -> Iterator[str]:
        for piece in self._pieces:
            self.tokens = self.tokens + bool(piece.text) if piece.tokens is None else piece.tokens
            self.full = self.full or piece.end == "length"
            if piece.text:
                yield piece.text

    def close(self) -> None:
        """Leave the connection, by which the server stops writing."""
        self._pieces.close()
