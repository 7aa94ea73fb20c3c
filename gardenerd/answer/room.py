"""How a model's window is shared between what it reads and what it writes, wherever it runs."""

from __future__ import annotations

from gardenerd.errors import ModelError

# Even a prompt that fills the window leaves this much of it to write in.
_LEAST_ROOM = 16


def completion_room(max_tokens: int, window: int) -> int:
    """Tokens to write in when code is filled in; what is read is cut to fit the rest."""
    return max(1, min(max_tokens, window // 2, window - _LEAST_ROOM))


def require_room(
    needed: int,
    max_tokens: int,
    *,
    window: int,
    name: str,
    hint: str = "ask a shorter question",
) -> None:
    """See that ``needed`` tokens and an answer of ``max_tokens`` fit the window of ``name``.

    Raises:
        ModelError: they do not.
    """
    if needed + max_tokens > window:
        raise ModelError(
            f"the question is too long: it takes {needed} tokens, and {name} reads "
            f"{window - max_tokens} before its answer",
            hint=hint,
        )
