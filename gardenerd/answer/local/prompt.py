"""What the model reads when it completes code: the text around the cursor, in its own format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gardenerd.answer.room import completion_room
from gardenerd.workers.jobs import Surroundings

# What is before the cursor tells more than what is after it.
_PREFIX_SHARE = 0.75
# No token of code is longer than this on average, so a longer text cannot fit and its far end
# need not be tokenized at all: a file of a megabyte would take a second.
_BYTES_PER_TOKEN = 12
# Where a far end is cut moves on by steps: of the text in characters, of its tokens by this share.
_STRIDE = 1_024
_STEPS = 16


@dataclass(frozen=True, slots=True)
class RepositoryTokens:
    """The ids of the tokens that stand between the files of a repository."""

    name: int
    separator: int
    path_within: bool
    """The path of the file that is filled in stands after the prefix token (StarCoder2), else
    before it (Qwen2.5-Coder)."""


@dataclass(frozen=True, slots=True)
class FillTokens:
    """The ids of the fill-in-the-middle tokens of a base model."""

    prefix: int
    suffix: int
    middle: int
    repository: RepositoryTokens | None = None
    """None for a model that was not trained on whole repositories."""


@dataclass(frozen=True, slots=True)
class Prompt:
    ids: list[int]
    room: int
    """Tokens that may be written."""


def completion_prompt(
    prefix: str,
    suffix: str,
    *,
    encode: Callable[[str], list[int]],
    fill: FillTokens | None,
    begin: int | None,
    window: int,
    max_tokens: int,
    around: Surroundings | None = None,
) -> Prompt:
    """Lay out ``prefix`` and ``suffix`` for the model, cut at their far ends to fit its window.

    Args:
        encode: text to token ids, without special tokens.
        fill: None for a model that was not trained to fill in: it continues ``prefix``.
        begin: the token that starts a text, for models that want one.
        window: tokens that the model can attend to.
        around: stands before all, whole, if the model knows how.
    """
    room = completion_room(max_tokens, window)
    head = [] if begin is None else [begin]
    path: list[int] = []
    if fill is not None and fill.repository is not None and around is not None:
        files, path = _repository(around, fill.repository, encode)
        head += files
    budget = max(1, window - room - len(head) - len(path) - (3 if fill else 0))
    far = max(0, len(prefix) - budget * _BYTES_PER_TOKEN)
    before = encode(prefix[-(-far // _STRIDE) * _STRIDE :])
    if fill is None:
        return Prompt(ids=_or_newline(head + _last(before, budget), encode), room=room)
    after = encode(suffix[: budget * _BYTES_PER_TOKEN])
    keep_before, keep_after = _shares(len(before), len(after), budget)
    before = _last(before, keep_before)
    ids = [*head, fill.prefix, *path, *before, fill.suffix, *after[:keep_after], fill.middle]
    return Prompt(ids=ids, room=room)


def _last(tokens: list[int], most: int) -> list[int]:
    """The last tokens, ``most`` or a little less: the cut stays where it is while some are added,
    so that the model, which keeps what it read, reads only those."""
    step = max(1, most // _STEPS)
    cut = max(0, len(tokens) - most)
    return tokens[-(-cut // step) * step :]


def _repository(
    around: Surroundings, tokens: RepositoryTokens, encode: Callable[[str], list[int]]
) -> tuple[list[int], list[int]]:
    """What stands before the prefix token, and what stands right after it.

    As their reports say. Qwen2.5-Coder: ``<|repo_name|>name``, for each file ``<|file_sep|>path``
    and on the next line its text, and the last file is the one that is filled in. StarCoder2: the
    same without line ends in between, and the last path stands within the prefix.
    """
    end = "" if tokens.path_within else "\n"
    ids = [tokens.name, *encode(around.repository + end)]
    for each in around.excerpts:
        ids += [tokens.separator, *encode(f"{each.path}\n{each.text}{end}")]
    ids.append(tokens.separator)
    path = encode(f"{around.path}\n")
    return (ids, path) if tokens.path_within else (ids + path, [])


def _shares(before: int, after: int, budget: int) -> tuple[int, int]:
    """How many tokens of each side fit; what one side leaves unused goes to the other."""
    for_after = min(after, max(budget - int(budget * _PREFIX_SHARE), budget - before))
    for_before = min(before, budget - for_after)
    return for_before, for_after


def _or_newline(ids: list[int], encode: Callable[[str], list[int]]) -> list[int]:
    # A model cannot continue nothing at all.
    return ids or encode("\n")
