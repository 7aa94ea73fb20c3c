"""Keys and values of texts under way: of one that is being read, and of several being written.

A text is read alone, in one piece or more, into a :class:`PromptCache`. What it leaves, its
:class:`States`, joins the others in a :class:`RowsCache`, where each pass adds one token to every
row. Rows of different lengths stand side by side, each from column 0; what is beyond a row's end is
masked. All layers keep all tokens: a sliding window is the mask's to keep.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import Cache

# Room of rows grows by so many columns, so that few of them move the others.
_COLUMNS = 256


@dataclass(frozen=True, slots=True, eq=False)
class States:
    """What attention keeps of one text: keys and values by layer, (1, heads, tokens, width)."""

    keys: Sequence[torch.Tensor]
    values: Sequence[torch.Tensor]

    @property
    def tokens(self) -> int:
        return self.keys[0].shape[2]

    @property
    def bytes(self) -> int:
        return sum(each.nbytes for each in (*self.keys, *self.values))


class PromptCache(Cache):
    """The states of one text of ``total`` tokens while it is read.

    Args:
        known: states of a text that begins with the same ``taken`` tokens.
    """

    def __init__(self, total: int, *, known: States | None = None, taken: int = 0) -> None:
        super().__init__(layers=[])
        self._total = total
        self._keys: list[torch.Tensor] = []
        self._values: list[torch.Tensor] = []
        self.read = 0
        """Tokens whose states are complete."""
        if known is not None and taken:
            self._keys = [self._begun(each, taken) for each in known.keys]
            self._values = [self._begun(each, taken) for each in known.values]
            self.read = taken

    @property
    def states(self) -> States:
        """Of the text, once it is read."""
        return States(self._keys, self._values)

    def update(
        self,
        key_states: torch.Tensor,
        value_states: torch.Tensor,
        layer_idx: int,
        *args: Any,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        count = key_states.shape[2]
        if count == self._total:
            self._keys.append(_own(key_states))
            self._values.append(_own(value_states))
            return key_states, value_states
        if layer_idx == len(self._keys):
            self._keys.append(self._empty(key_states))
            self._values.append(self._empty(value_states))
        keys, values = self._keys[layer_idx], self._values[layer_idx]
        end = self.read + count
        keys[:, :, self.read : end] = key_states
        values[:, :, self.read : end] = value_states
        return keys[:, :, :end], values[:, :, :end]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self.read

    def get_mask_sizes(self, query_length: int, layer_idx: int) -> tuple[int, int]:
        return self.read + query_length, 0

    def _empty(self, like: torch.Tensor) -> torch.Tensor:
        return like.new_empty((1, like.shape[1], self._total, like.shape[3]))

    def _begun(self, known: torch.Tensor, taken: int) -> torch.Tensor:
        made = self._empty(known)
        made[:, :, :taken] = known[:, :, :taken]
        return made


class RowsCache(Cache):
    """The states of all texts that are being written, one row each."""

    def __init__(self) -> None:
        super().__init__(layers=[])
        self._keys: list[torch.Tensor] = []
        self._values: list[torch.Tensor] = []
        self.lengths: list[int] = []
        """Tokens of each row."""
        self._slots = 0
        self._capacity = 0
        self._span = 0
        self._places: torch.Tensor | None = None

    def join(self, states: States, room: int) -> None:
        """Add a row of these states, with room for so many tokens more."""
        count = len(self.lengths)
        wanted = states.tokens + room
        if count == self._slots or wanted > self._capacity:
            self._grow(states, count + 1, wanted)
        end = states.tokens
        for layer, (keys, values) in enumerate(zip(states.keys, states.values, strict=True)):
            self._keys[layer][count, :, :end] = keys[0]
            self._values[layer][count, :, :end] = values[0]
        self.lengths.append(end)

    def leave(self, row: int) -> None:
        """Drop a row; the last one takes its place."""
        last = len(self.lengths) - 1
        if row != last:
            end = self.lengths[last]
            for kept in (*self._keys, *self._values):
                kept[row, :, :end] = kept[last, :, :end]
            self.lengths[row] = end
        self.lengths.pop()
        if not self.lengths:
            self._keys, self._values = [], []
            self._slots = self._capacity = 0

    def states(self, row: int) -> States:
        """A copy of a row's."""
        end = self.lengths[row]
        return States(
            [keys[row : row + 1, :, :end].clone() for keys in self._keys],
            [values[row : row + 1, :, :end].clone() for values in self._values],
        )

    def begin(self) -> bool:
        """Make ready for one more token in every row; whether all rows are of one length."""
        self._span = max(self.lengths) + 1
        level = min(self.lengths) + 1 == self._span
        # Each row's next column, in the shape of the new states but for their heads and width.
        self._places = (
            None
            if level
            else torch.tensor(self.lengths, device=self._keys[0].device)[:, None, None, None]
        )
        return level

    def end(self) -> None:
        """The token is there, in every layer."""
        self.lengths = [length + 1 for length in self.lengths]

    def update(
        self,
        key_states: torch.Tensor,
        value_states: torch.Tensor,
        layer_idx: int,
        *args: Any,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        count, span = key_states.shape[0], self._span
        keys = self._keys[layer_idx][:count, :, :span]
        values = self._values[layer_idx][:count, :, :span]
        if self._places is None:
            keys[:, :, span - 1 :] = key_states
            values[:, :, span - 1 :] = value_states
        else:
            keys.scatter_(2, self._places.expand_as(key_states), key_states)
            values.scatter_(2, self._places.expand_as(value_states), value_states)
        return keys, values

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self._span - 1

    def get_mask_sizes(self, query_length: int, layer_idx: int) -> tuple[int, int]:
        return self._span, 0

    def _grow(self, like: States, rows: int, columns: int) -> None:
        slots = self._slots or 1
        while slots < rows:
            slots *= 2
        capacity = max(self._capacity, -(-columns // _COLUMNS) * _COLUMNS)
        old_keys, old_values = self._keys, self._values
        # Zeros: what is masked is still multiplied, and old memory may hold what is no number.
        self._keys = [_zeros(each, slots, capacity) for each in like.keys]
        self._values = [_zeros(each, slots, capacity) for each in like.values]
        filled, end = len(self.lengths), max(self.lengths, default=0)
        for new, old in zip(
            (*self._keys, *self._values), (*old_keys, *old_values), strict=bool(old_keys)
        ):
            new[:filled, :, :end] = old[:filled, :, :end]
        self._slots, self._capacity = slots, capacity


def _own(states: torch.Tensor) -> torch.Tensor:
    """The states without what was computed in one product with them."""
    return states if states.untyped_storage().nbytes() == states.nbytes else states.clone()


def _zeros(like: torch.Tensor, slots: int, capacity: int) -> torch.Tensor:
    return like.new_zeros((slots, like.shape[1], capacity, like.shape[3]))
