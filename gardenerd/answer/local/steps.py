"""The passes of the model: a piece of one prompt is read, or every row gets its next token.

:class:`Together` computes all rows in one pass. It needs a model whose layers are plain attention,
full or with a sliding window; whether it writes what the model itself writes is tried when a model
is loaded (:mod:`gardenerd.answer.local.selftest`). For others there is :class:`OneByOne`, which
leaves the model's own cache as it is and computes one row after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch

from gardenerd.answer.local.lora import LoraRows
from gardenerd.answer.local.prefixes import Prefixes
from gardenerd.answer.local.request import Request
from gardenerd.answer.local.rows import PromptCache, RowsCache

# Frequencies that depend on the longest row of a pass would make a row's text depend on the others.
_LENGTH_BOUND_ROPE = ("dynamic", "longrope")


class Row:
    """A request on its way through the model."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.read = 0
        """Tokens of the prompt that were read."""
        self.cache: Any = None

    @property
    def left(self) -> int:
        """Tokens of the prompt that are still to be read."""
        return len(self.request.ids) - self.read


class Steps(Protocol):
    """Passes over rows; all methods belong to the model's thread."""

    rows: list[Row]
    """Those that are being written, in the order of the scores."""

    def read(self, row: Row, most: int) -> torch.Tensor | None:
        """Read on, at most so many tokens; the scores of the next token (vocabulary,) after the
        last one."""
        ...

    def join(self, row: Row) -> None:
        """Begin to write a row that was read, and whose first token is chosen."""
        ...

    def leave(self, row: Row) -> None: ...

    def step(self) -> torch.Tensor:
        """One token more in every row: the scores of the one after it (rows, vocabulary)."""
        ...


class Together:
    """All rows in one pass, each with its own adapter."""

    def __init__(self, model: Any, lora: LoraRows, prefixes: Prefixes) -> None:
        self.rows: list[Row] = []
        self._model = model
        self._lora = lora
        self._prefixes = prefixes
        self._cache = RowsCache()
        config = model.config.get_text_config()
        self._kinds = layer_kinds(config)
        self._window: int | None = getattr(config, "sliding_window", None)

    def read(self, row: Row, most: int) -> torch.Tensor | None:
        ids = row.request.ids
        if row.cache is None:
            row.cache = self._begin(row)
            row.read = row.cache.read
        piece = ids[row.read : row.read + most]
        self._lora.choose([row.request.adapter])
        start = row.read
        out = self._model(
            input_ids=self._tensor([piece]),
            position_ids=self._tensor([list(range(start, start + len(piece)))]),
            past_key_values=row.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        row.read = row.cache.read = start + len(piece)
        if row.left:
            return None
        self._prefixes.keep(row.request.adapter, ids, row.cache.states)
        return out.logits[0, -1]

    def join(self, row: Row) -> None:
        request = row.request
        self._cache.join(row.cache.states, request.room)
        self.rows.append(row)
        row.cache = None

    def leave(self, row: Row) -> None:
        place = self.rows.index(row)
        states = self._cache.states(place)
        # The last token that was written has no states yet: it was never read.
        tokens = [*row.request.ids, *row.request.written][: states.tokens]
        self._prefixes.keep(row.request.adapter, tokens, states)
        self._cache.leave(place)
        last = self.rows.pop()
        if last is not row:
            self.rows[place] = last

    def step(self) -> torch.Tensor:
        rows = self.rows
        self._lora.choose([row.request.adapter for row in rows])
        level = self._cache.begin()
        lengths = self._tensor([[length] for length in self._cache.lengths])
        out = self._model(
            input_ids=self._tensor([[row.request.written[-1]] for row in rows]),
            position_ids=lengths,
            attention_mask=None if level else self._masks(lengths),
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self._cache.end()
        return out.logits[:, -1]

    def _begin(self, row: Row) -> PromptCache:
        ids = row.request.ids
        known, taken = self._prefixes.find(row.request.adapter, ids)
        return PromptCache(len(ids), known=known, taken=taken)

    def _masks(self, lengths: torch.Tensor) -> Any:
        """What each row may look at, (rows, 1, 1, columns), added to the scores of attention."""
        columns = torch.arange(int(lengths.max()) + 1, device=lengths.device)[None]
        seen = columns <= lengths
        masks: dict[str, torch.Tensor] = {}
        for kind in self._kinds:
            if kind == "sliding_attention" and self._window is not None:
                masks[kind] = self._added(seen & (columns > lengths - self._window))
            else:
                masks[kind] = self._added(seen)
        return masks if len(masks) > 1 else masks.popitem()[1]

    def _added(self, seen: torch.Tensor) -> torch.Tensor:
        kind: torch.dtype = self._model.dtype
        least = torch.finfo(kind).min
        return torch.zeros_like(seen, dtype=kind).masked_fill_(~seen, least)[:, None, None]

    def _tensor(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        return torch.tensor(rows, device=self._model.device)


class OneByOne:
    """One row after the other, each with the model's own cache."""

    def __init__(self, model: Any, lora: LoraRows) -> None:
        self.rows: list[Row] = []
        self._model = model
        self._lora = lora

    def read(self, row: Row, most: int) -> torch.Tensor | None:
        row.read = len(row.request.ids)
        return self._next(row, row.request.ids)

    def join(self, row: Row) -> None:
        self.rows.append(row)

    def leave(self, row: Row) -> None:
        self.rows.remove(row)
        row.cache = None

    def step(self) -> torch.Tensor:
        return torch.stack([self._next(row, row.request.written[-1:]) for row in self.rows])

    def _next(self, row: Row, ids: list[int]) -> torch.Tensor:
        self._lora.choose([row.request.adapter])
        out = self._model(
            input_ids=torch.tensor([ids], device=self._model.device),
            past_key_values=row.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        row.cache = out.past_key_values
        return out.logits[0, -1]


def layer_kinds(config: Any) -> set[str]:
    """The kinds of attention of a model's layers, as transformers names them."""
    kinds: list[str] | None = getattr(config, "layer_types", None)
    if kinds:
        return set(kinds)
    sliding = getattr(config, "sliding_window", None) is not None
    return {"sliding_attention" if sliding else "full_attention"}


def joinable(config: Any) -> bool:
    """Whether rows of such a model may be computed together, by what its configuration says."""
    rope: Any = getattr(config, "rope_parameters", None) or {}
    each = [rope, *(part for part in rope.values() if isinstance(part, dict))]
    bound = any(part.get("rope_type") in _LENGTH_BOUND_ROPE for part in each)
    return not bound and layer_kinds(config) <= {"full_attention", "sliding_attention"}
