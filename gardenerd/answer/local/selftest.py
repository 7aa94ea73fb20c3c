"""Before rows are computed together: does this model then write what it writes by itself?

Tried when a base is loaded, on its own weights: two made-up texts of different lengths, one read
in two pieces, both with two tokens more, against the model's own pass over each whole text. It
takes as long as a few tokens. An architecture that keeps its states in another way, or a new
version of a library, thus costs speed and never a wrong text.
"""

from __future__ import annotations

import logging
from typing import Any

import torch

from gardenerd.answer.local.lora import LoraRows
from gardenerd.answer.local.prefixes import Prefixes
from gardenerd.answer.local.request import Request
from gardenerd.answer.local.steps import OneByOne, Row, Steps, Together, joinable

log = logging.getLogger(__name__)

_SHORT, _LONG = 7, 12
_MORE = 2
# Half precision rounds otherwise where the shape of a product is another; a wrong position or mask
# is far beyond it.
_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-3}
_COARSE = 0.1


def fitting(model: Any, lora: LoraRows, prefixes: Prefixes) -> tuple[Steps, int]:
    """The passes to use for ``model``, and the bytes of states for each token of a text."""
    config = model.config.get_text_config()
    with torch.inference_mode():
        if joinable(config):
            try:
                off, cost = _difference(model, lora)
            except (RuntimeError, ValueError, TypeError, LookupError, AttributeError) as error:
                log.warning("rows are computed one by one", extra={"cause": repr(error)})
            else:
                if off <= _TOLERANCE.get(model.dtype, _COARSE):
                    return Together(model, lora, prefixes), cost
                log.warning("rows are computed one by one", extra={"cause": f"they differ, {off}"})
    return OneByOne(model, lora), _estimate(config, model.dtype)


def _difference(model: Any, lora: LoraRows) -> tuple[float, int]:
    """How far scores of rows together are from the model's own, relative; bytes a token."""
    vocabulary = int(model.get_input_embeddings().weight.shape[0])
    texts = [
        [(37 * place + 11 * length) % vocabulary for place in range(length + _MORE)]
        for length in (_SHORT, _LONG)
    ]
    steps = Together(model, lora, Prefixes())
    rows: list[Row] = []
    cost = 0
    for text, length in zip(texts, (_SHORT, _LONG), strict=True):
        row = Row(Request(text[:length], room=_MORE, ends=frozenset()))
        piece = length if length == _SHORT else length // 2
        while steps.read(row, piece) is None:
            pass
        cost = row.cache.states.bytes // length
        row.request.give(text[length])
        steps.join(row)
        rows.append(row)
    for place in range(1, _MORE):
        steps.step()
        for row, text in zip(rows, texts, strict=True):
            row.request.give(text[len(row.request.ids) + place])
    scores = steps.step()
    worst = 0.0
    for number, text in enumerate(texts):
        alone = model(input_ids=torch.tensor([text], device=model.device), use_cache=False)
        own = alone.logits[0, -1].float()
        worst = max(worst, float((scores[number].float() - own).norm() / own.norm()))
    return worst, cost


def _estimate(config: Any, kind: torch.dtype) -> int:
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return 2 * config.num_hidden_layers * heads * width * kind.itemsize
