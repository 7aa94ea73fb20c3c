"""Train the seedling from nothing, within a budget of minutes, on a processor or an accelerator.

Muon for the hidden matrices (Jordan et al., 2024; Liu et al., 2025 for the scale of its step) and
AdamW for the embedding and norms; a warm-up, a constant rate and a decay to zero over the last
quarter of the time, so that the budget can be any (Hu et al., 2024).
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from gardenerd.seedling import data
from gardenerd.seedling import tokenizer as vocabulary

_SAVE_SECONDS = 300.0
_DECAY_SHARE = 0.25
_SHORT_SHARE = 0.65


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides the weights but the data and the clock."""

    hidden: int = 256
    layers: int = 6
    heads: int = 8
    feed_forward: int = 704
    length: int = 1_024
    """Tokens in a row."""
    short: int = 512
    """... in the first part of the training, where attention over more would cost a fifth."""
    rows: int = 4
    """Rows in a step."""
    matrix_rate: float = 4e-3
    other_rate: float = 4e-3
    warmup_steps: int = 40
    weight_decay: float = 0.05
    seed: int = 20_261_120


def build(tokenizer: PreTrainedTokenizerFast, recipe: Recipe) -> LlamaForCausalLM:
    """A model with random weights; the embedding is shared with the output."""
    torch.manual_seed(recipe.seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=recipe.hidden,
            intermediate_size=recipe.feed_forward,
            num_hidden_layers=recipe.layers,
            num_attention_heads=recipe.heads,
            num_key_value_heads=recipe.heads,
            max_position_embeddings=2_048,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.get_vocab()[vocabulary.END],
            pad_token_id=tokenizer.get_vocab()[vocabulary.PAD],
        )
    )


def train(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    texts: list[str],
    *,
    recipe: Recipe,
    minutes: float,
    checkpoint: Path,
    device: str = "cpu",
    steps: int | None = None,
) -> dict[str, float]:
    """Train for ``minutes`` (or ``steps``), resuming from ``checkpoint`` if it exists.

    Returns:
        ``steps``, ``tokens``, ``minutes`` and ``loss`` (nats a token, of the last steps).
    """
    torch.nn.Module.to(model, torch.device(device))
    model.train()
    optimizers = _optimizers(model, recipe)
    step, spent = _resume(model, optimizers, checkpoint)
    rows = data.rows(texts, tokenizer, length=recipe.length, seed=recipe.seed)
    for _ in range(step * recipe.rows):
        next(rows)
    started = saved = said = time.monotonic() - spent
    recent = math.nan
    while True:
        elapsed = time.monotonic() - started
        done = step / steps if steps else elapsed / (minutes * 60)
        if done >= 1:
            break
        scale = min(1.0, (step + 1) / recipe.warmup_steps, (1 - done) / _DECAY_SHARE)
        short = recipe.short if done < _SHORT_SHARE else recipe.length
        loss = _step(model, rows, optimizers, recipe, scale, device, short)
        if not math.isfinite(loss):
            raise FloatingPointError(f"the loss is {loss} at step {step}")
        step += 1
        recent = loss if math.isnan(recent) else 0.98 * recent + 0.02 * loss
        now = time.monotonic()
        if now - said > 20:
            rate = step * recipe.rows * recipe.length / (now - started)
            print(
                f"step {step}  loss {recent:.3f}  {rate:.0f} tokens/s  {100 * done:.1f} %",
                file=sys.stderr,
                flush=True,
            )
            said = now
        if now - saved > _SAVE_SECONDS:
            _save(model, optimizers, step, now - started, checkpoint)
            saved = now
    _save(model, optimizers, step, time.monotonic() - started, checkpoint)
    tokens = step * recipe.rows * recipe.length
    spent = (time.monotonic() - started) / 60
    return {"steps": step, "tokens": tokens, "minutes": spent, "loss": recent}


def _step(
    model: LlamaForCausalLM,
    rows: Iterator[torch.Tensor],
    optimizers: list[torch.optim.Optimizer],
    recipe: Recipe,
    scale: float,
    device: str,
    length: int,
) -> float:
    total = 0.0
    half = max(1, recipe.rows // 2)  # logits of a whole step would fill a processor's cache often
    parts = math.ceil(recipe.rows / half)
    for _ in range(parts):
        batch = torch.stack([next(rows) for _ in range(half)]).to(device)
        inputs, targets = batch[:, :-1].reshape(-1, length), batch[:, 1:].reshape(-1, length)
        with torch.autocast(device, torch.bfloat16):
            logits = model(input_ids=inputs, use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())
        (loss / parts).backward()
        total += loss.item() / parts
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * scale
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return total


def _optimizers(model: LlamaForCausalLM, recipe: Recipe) -> list[torch.optim.Optimizer]:
    named = dict(model.named_parameters())
    matrices = [p for n, p in named.items() if p.ndim == 2 and "embed" not in n]
    others = [p for n, p in named.items() if p.ndim != 2 or "embed" in n]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.Muon(
            matrices,
            lr=recipe.matrix_rate,
            weight_decay=recipe.weight_decay,
            adjust_lr_fn="match_rms_adamw",
        ),
        torch.optim.AdamW(others, lr=recipe.other_rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
    return optimizers


def _save(
    model: LlamaForCausalLM,
    optimizers: list[torch.optim.Optimizer],
    step: int,
    spent: float,
    checkpoint: Path,
) -> None:
    partial = checkpoint.with_suffix(".partial")
    state = {
        "model": model.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "step": step,
        "spent": spent,
    }
    torch.save(state, partial)
    partial.replace(checkpoint)


def _resume(
    model: LlamaForCausalLM, optimizers: list[torch.optim.Optimizer], checkpoint: Path
) -> tuple[int, float]:
    if not checkpoint.exists():
        return 0, 0.0
    state = torch.load(checkpoint, weights_only=True)
    model.load_state_dict(state["model"])
    for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    return state["step"], state["spent"]
