"""LoRA adapters computed row by row: rows of one pass may each have another adapter, or none.

peft switches the whole model to one adapter at a time, by walking through all of its modules. Here
the base stays as it is; the linear layers that have adapters add ``(x A') B'`` of the adapter that
the row has. Where rows of several adapters are in one pass, all their A stand in one matrix and all
their B in another, and what is not the row's own is multiplied by zero: two products, however many
adapters.

The sums are those of peft, in the same precision: adapters are float32, whatever the base is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import torch

from gardenerd.errors import AdapterError
from gardenerd.models import card as cards
from gardenerd.models.weights import load_weights

_KEY = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<part>[AB])\.weight")
_MISFIT_HINT = "it was made for another model or another configuration: train a new one"


class _Config(msgspec.Struct, kw_only=True):
    """What ``adapter_config.json`` says of the sums; the rest is about training."""

    peft_type: str = "LORA"
    r: int
    lora_alpha: float
    target_modules: str | list[str]
    rank_pattern: dict[str, int] | None = None
    alpha_pattern: dict[str, float] | None = None
    use_rslora: bool = False
    use_dora: bool = False
    bias: str = "none"
    lora_bias: bool = False
    fan_in_fan_out: bool = False
    modules_to_save: list[str] | None = None
    layers_to_transform: int | list[int] | None = None
    exclude_modules: str | list[str] | None = None
    trainable_token_indices: Any = None
    target_parameters: list[str] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Adapter:
    """The matrices of one adapter by the name of the layer: A (rank, inputs), B' (rank, outputs),
    B multiplied by the scale."""

    pairs: dict[str, tuple[torch.Tensor, torch.Tensor]]

    @property
    def bytes(self) -> int:
        return sum(down.nbytes + up.nbytes for down, up in self.pairs.values())


@dataclass(frozen=True, slots=True)
class _Part:
    """What one layer adds: to all rows, or to each what ``own`` (rows, ranks) leaves of it."""

    down: torch.Tensor
    up: torch.Tensor
    own: torch.Tensor | None = None


class LoraRows:
    """The linear layers of a model, and the adapters of the rows of its next pass.

    Reading an adapter is safe in any thread; :meth:`choose` belongs to the model's.
    """

    def __init__(self, model: Any) -> None:
        head = model.get_output_embeddings()
        self._linear = {
            name: module
            for name, module in model.named_modules()
            if isinstance(module, torch.nn.Linear)
        }
        self._head = next((name for name, each in self._linear.items() if each is head), None)
        self._hooked: set[str] = set()
        self._parts: dict[str, _Part] = {}
        self._chosen: tuple[Adapter | None, ...] = ()
        self._stacked: tuple[Adapter, ...] = ()
        self._stack: dict[str, tuple[torch.Tensor, torch.Tensor, list[int]]] = {}

    def read(self, folder: Path) -> Adapter:
        """The adapter in ``folder``, whose card was verified.

        Raises:
            AdapterError: damaged, not finite, of a kind that is not served, or it does not fit.
        """
        config = _config(folder)
        weights = load_weights(folder)
        targets = [name for name in self._linear if self._targeted(name, config)]
        own = {_key(name, part) for name in targets for part in "AB"}
        wrong = sorted(own ^ weights.keys()) or [
            key for key in sorted(own) if not self._fits(key, weights)
        ]
        if wrong:
            raise AdapterError(
                f"the adapter in {folder} does not fit the base: {wrong[0]} "
                f"and {len(wrong) - 1} more differ",
                hint=_MISFIT_HINT,
            )
        pairs: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        for name in targets:
            down, up = (weights[_key(name, part)].float() for part in "AB")
            device = self._linear[name].weight.device
            scaled = (up * _scale(config, name, down.shape[0])).t().contiguous()
            pairs[name] = (down.contiguous().to(device), scaled.to(device))
        self.hook(targets)
        return Adapter(pairs)

    def hook(self, layers: Iterable[str]) -> None:
        """Let these layers compute with adapters; those that never have any stay as they are."""
        for name in layers:
            if name not in self._hooked:
                layer: Any = self._linear[name]
                layer.forward = partial(self._project, name, layer.forward)
                self._hooked.add(name)

    def choose(self, adapters: Sequence[Adapter | None]) -> None:
        """Let the next pass compute with these: one for each row, or one for all of them."""
        chosen = tuple(adapters)
        if chosen == self._chosen:
            return
        self._chosen = chosen
        first = chosen[0] if chosen else None
        if all(each is first for each in chosen):
            pairs = first.pairs if first is not None else {}
            self._parts = {name: _Part(down, up) for name, (down, up) in pairs.items()}
        else:
            self._parts = self._mixed(chosen)

    def rest(self) -> None:
        """Hold on to no adapter: none computes until the next choice."""
        self._chosen, self._parts = (), {}
        self._stacked, self._stack = (), {}

    def _mixed(self, chosen: tuple[Adapter | None, ...]) -> dict[str, _Part]:
        adapters = tuple(dict.fromkeys(each for each in chosen if each is not None))
        if self._stacked != adapters:
            self._stacked, self._stack = adapters, _stacked(adapters)
        numbers = {adapter: number for number, adapter in enumerate(adapters)}
        rows = [-1 if each is None else numbers[each] for each in chosen]
        masks: dict[tuple[int, ...], torch.Tensor] = {}
        parts: dict[str, _Part] = {}
        for name, (down, up, owners) in self._stack.items():
            key = tuple(owners)
            if key not in masks:
                owned = torch.tensor(rows)[:, None] == torch.tensor(owners)[None, :]
                masks[key] = owned.to(down.device, down.dtype)
            parts[name] = _Part(down, up, masks[key])
        return parts

    def _project(
        self, name: str, bare: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor
    ) -> torch.Tensor:
        y = bare(x)
        part = self._parts.get(name)
        if part is None:
            return y
        inner = x.reshape(-1, x.shape[-1]).to(part.down.dtype) @ part.down.t()
        if part.own is not None:
            inner *= part.own
        rows = y.view(-1, y.shape[-1])
        if y.dtype == part.up.dtype:
            rows.addmm_(inner, part.up)
            return y
        return torch.addmm(rows.to(part.up.dtype), inner, part.up).to(y.dtype).view(y.shape)

    def _targeted(self, name: str, config: _Config) -> bool:
        targets = config.target_modules
        if targets == "all-linear":
            return name != self._head
        if isinstance(targets, str):
            return re.fullmatch(targets, name) is not None
        return any(name == target or name.endswith(f".{target}") for target in targets)

    def _fits(self, key: str, weights: dict[str, torch.Tensor]) -> bool:
        match = _KEY.fullmatch(key)
        assert match is not None
        layer = self._linear[match["module"]]
        shape = tuple(weights[key].shape)
        if match["part"] == "A":
            return len(shape) == 2 and shape[1] == layer.in_features
        rank = weights[_key(match["module"], "A")].shape[0]
        return shape == (layer.out_features, rank)


def _config(folder: Path) -> _Config:
    file = folder / cards.CONFIG
    try:
        config = msgspec.json.decode(file.read_bytes(), type=_Config)
    except (OSError, msgspec.DecodeError) as error:
        raise AdapterError(f"the configuration in {folder} is damaged: {error}") from error
    plain = _Config(
        r=config.r,
        lora_alpha=config.lora_alpha,
        target_modules=config.target_modules,
        rank_pattern=config.rank_pattern,
        alpha_pattern=config.alpha_pattern,
        use_rslora=config.use_rslora,
    )
    odd = [
        field
        for field in config.__struct_fields__
        if (getattr(config, field) or None) != (getattr(plain, field) or None)
    ]
    if odd:
        raise AdapterError(
            f"the adapter in {folder} is of a kind that is not served: it sets {', '.join(odd)}",
            hint="only plain LoRA on linear layers is served: train a new adapter",
        )
    return config


def _key(module: str, part: str) -> str:
    return f"base_model.model.{module}.lora_{part}.weight"


def _scale(config: _Config, name: str, rank: int) -> float:
    alpha = config.lora_alpha
    for pattern, value in (config.alpha_pattern or {}).items():
        if re.fullmatch(rf"(.*\.)?({pattern})", name):
            alpha = value
            break
    return alpha / (math.sqrt(rank) if config.use_rslora else rank)


def _stacked(
    adapters: tuple[Adapter, ...],
) -> dict[str, tuple[torch.Tensor, torch.Tensor, list[int]]]:
    """By layer: all A in one matrix, all B', and the number of the adapter of each of its rows."""
    stack: dict[str, tuple[torch.Tensor, torch.Tensor, list[int]]] = {}
    for name in dict.fromkeys(name for adapter in adapters for name in adapter.pairs):
        having = [(n, a.pairs[name]) for n, a in enumerate(adapters) if name in a.pairs]
        stack[name] = (
            torch.cat([down for _, (down, _) in having]),
            torch.cat([up for _, (_, up) in having]),
            [number for number, (down, _) in having for _ in range(down.shape[0])],
        )
    return stack
