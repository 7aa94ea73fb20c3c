"""How fast the model worker writes, against bare transformers: ``python -m bench.serving [half]``.

The packaged seedling, or with ``half`` a random Qwen2 of half a billion parameters in bfloat16. The
peers, in the same process with the same weights, in turns with ours: the model's own pass over the
prompt, with the likeliest token taken (first token), and the model's own ``generate`` (tokens a
second). Each prompt is another piece of the standard library. Medians of ratios.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import sys
import sysconfig
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from gardenerd.workers.environment import FOR_TORCH

os.environ.setdefault("HF_HUB_OFFLINE", "1")
# As the daemon starts its workers; the peers run under it too.
os.environ.update({**FOR_TORCH, **os.environ})
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")

import psutil
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, Qwen2Config, Qwen2ForCausalLM

from gardenerd.answer.local.backend import LocalBackend
from gardenerd.answer.local.lora import Adapter
from gardenerd.answer.local.request import Request
from gardenerd.answer.local.scheduler import MOST_ROWS
from gardenerd.models.card import Card, write_card
from gardenerd.models.info import fingerprint, seedling_folder
from gardenerd.workers.jobs import AdapterRef

FIRST_LIMIT = 1.05
DECODE_LIMIT = 0.95
SWITCH_LIMIT_MS = 5.0
LOAD_LIMIT_S = 2.0

# Tokens of a prompt, and written after it: a large model takes minutes for more on a processor.
_SIZES = {"seedling": (500, 64), "half": (200, 24)}
_FOLLOWING = 20
_ADAPTERS = 3


def measure(kind: str = "seedling", times: int = 7) -> dict[str, Any]:
    """Ratios to bare transformers, and what adapters cost."""
    with tempfile.TemporaryDirectory(prefix="gardener-bench-") as folder:
        base = seedling_folder() if kind == "seedling" else half_billion(Path(folder) / "base")
        adapters = [
            make_adapter(base, Path(folder) / f"v{n}", seed=n) for n in range(1, _ADAPTERS + 1)
        ]
        before = psutil.Process().memory_info().rss
        backend = LocalBackend(base, cache=None, max_memory_mb=16_000)
        bench = _Bench(backend, times, *_SIZES[kind])
        found: dict[str, Any] = {
            "model": kind,
            "first token, of bare": bench.first_token(),
            "tokens/s, of bare": bench.decode(),
            f"{MOST_ROWS} at once, of one after the other": bench.at_once([None]),
            "follow-up, of cold": bench.following(),
        }
        found |= bench.adapters(adapters)
        found["memory mb"] = (psutil.Process().memory_info().rss - before) // 1_000_000
        backend.close()
    found["within"] = (
        found["first token, of bare"] <= FIRST_LIMIT
        and found["tokens/s, of bare"] >= DECODE_LIMIT
        and found["switch ms"] <= SWITCH_LIMIT_MS
        and found["load s"] <= LOAD_LIMIT_S
    )
    return found


class _Timed(Request):
    """Writes to the end of its room, even in a circle."""

    def give(self, token: int) -> bool:
        self.written.append(token)
        self._given.put(token)
        if len(self.written) < self.room:
            return True
        self.finish()
        return False


class _Bench:
    def __init__(self, backend: LocalBackend, times: int, prompt: int, written: int) -> None:
        self._written = written
        self._backend = backend
        self._model = backend.base.model
        self._times = times
        self._texts = iter(_prompts(backend, 40 * times, prompt))
        for _ in range(2):  # kernels for these shapes are made
            self._bare(next(self._texts), 3)
            self._ours(next(self._texts), 3)

    def first_token(self) -> float:
        ratios: list[float] = []
        for turn in range(self._times):
            ids = next(self._texts)
            pair = (lambda ids=ids: self._bare_first(ids), lambda ids=ids: self._ours(ids, 1))
            bare, ours = _both(*pair, first=turn % 2)
            ratios.append(ours / bare)
        return statistics.median(ratios)

    def decode(self) -> float:
        ratios: list[float] = []
        for turn in range(self._times):
            ids = next(self._texts)
            pair = (
                lambda ids=ids: self._bare(ids, self._written),
                lambda ids=ids: self._ours(ids, self._written),
            )
            bare, ours = _both(*pair, first=turn % 2)
            ratios.append(bare / ours)
        return statistics.median(ratios)

    def at_once(self, adapters: list[Adapter | None]) -> float:
        """How many times as fast eight are together, their adapters in turn."""
        ratios: list[float] = []
        for _ in range(max(1, self._times // 2)):
            wearing = list(islice(cycle(adapters), MOST_ROWS))
            began = time.perf_counter()
            for adapter in wearing:
                self._ours(next(self._texts), self._written, adapter)
            middle = time.perf_counter()
            requests = [self._submit(next(self._texts), self._written, each) for each in wearing]
            for request in requests:
                list(request.tokens())
            ratios.append((middle - began) / (time.perf_counter() - middle))
        return statistics.median(ratios)

    def following(self) -> float:
        """The first token after a text that goes on from one that was just written."""
        ratios: list[float] = []
        for _ in range(self._times):
            ids, more = next(self._texts), next(self._texts)[:_FOLLOWING]
            cold = _seconds(lambda ids=ids: self._ours(ids, 1))
            ratios.append(_seconds(lambda ids=ids, more=more: self._ours(ids + more, 1)) / cold)
        return statistics.median(ratios)

    def adapters(self, refs: list[AdapterRef]) -> dict[str, float]:
        """Loading, switching, and eight texts by three adapters at once."""
        loads: list[float] = []
        with ExitStack() as stack:
            sessions: list[Any] = []
            for ref in refs:
                began = time.perf_counter()
                opened = self._backend.open(ref, max_adapters=len(refs))
                sessions.append(stack.enter_context(opened))
                loads.append(time.perf_counter() - began)
            worn: list[Adapter | None] = [session.weights for session in sessions]

            def switch(pause: Callable[[], None]) -> list[float]:
                return [
                    _seconds(lambda each=each: self._backend.lora.choose([each]))
                    for each in islice(cycle(worn), 30)
                ]

            switches = self._backend.scheduler.run(switch, None, lambda: None)
            self._ours(next(self._texts), 2, worn[0])
            bare = [self._ours(next(self._texts), self._written) for _ in range(3)]
            adapted = [self._ours(next(self._texts), self._written, worn[0]) for _ in range(3)]
            return {
                "load s": statistics.median(loads),
                "switch ms": 1e3 * statistics.median(switches),
                "tokens/s with an adapter, of without": sum(bare) / sum(adapted),
                f"{MOST_ROWS} at once by {len(refs)} adapters": self.at_once(worn),
            }

    def _submit(self, ids: list[int], written: int, adapter: Adapter | None = None) -> Request:
        request = _Timed(ids, room=written, ends=frozenset(), adapter=adapter)
        self._backend.scheduler.submit(request)
        return request

    def _ours(self, ids: list[int], written: int, adapter: Adapter | None = None) -> float:
        return _seconds(lambda: list(self._submit(ids, written, adapter).tokens()))

    @torch.inference_mode()
    def _bare_first(self, ids: list[int]) -> None:
        out = self._model(input_ids=torch.tensor([ids]), use_cache=True, logits_to_keep=1)
        int(out.logits[0, -1].argmax())

    def _bare(self, ids: list[int], written: int) -> None:
        prompt = torch.tensor([ids])
        self._model.generate(
            input_ids=prompt,
            attention_mask=torch.ones_like(prompt),
            min_new_tokens=written,
            max_new_tokens=written,
            do_sample=False,
            pad_token_id=0,
        )


def _both(
    one: Callable[[], object], other: Callable[[], object], *, first: int
) -> tuple[float, float]:
    """Seconds of both; which comes first alternates."""
    if first == 0:
        seconds = _seconds(one)
        return seconds, _seconds(other)
    seconds = _seconds(other)
    return _seconds(one), seconds


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _prompts(backend: LocalBackend, count: int, length: int) -> list[list[int]]:
    """Pieces of the standard library, of one length in tokens."""
    found: list[list[int]] = []
    for file in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        ids = backend.vocabulary.encode(file.read_text(encoding="utf-8", errors="replace"))
        found += [ids[at : at + length] for at in range(0, len(ids) - length, length)]
        if len(found) >= count:
            break
    return found[:count]


def half_billion(folder: Path) -> Path:
    """A random model of Qwen2.5-Coder-0.5B's shape, with the seedling's tokenizer."""
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=151_936,
        hidden_size=896,
        intermediate_size=4_864,
        num_hidden_layers=24,
        num_attention_heads=14,
        num_key_value_heads=2,
        max_position_embeddings=32_768,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=0,
        dtype=torch.bfloat16,
    )
    Qwen2ForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(seedling_folder() / name, folder)
    return folder


def make_adapter(base: Path, folder: Path, *, seed: int) -> AdapterRef:
    """A random LoRA of rank 16 on all linear layers, as a run would leave it."""
    torch.manual_seed(seed)
    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype="auto")
    config = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = get_peft_model(model, config)
        for name, weights in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weights, std=0.01)
        model.save_pretrained(str(folder))
    card = Card(
        base=base.name,
        fingerprint=fingerprint(base),
        rank=16,
        alpha=32,
        target_modules="all-linear",
        parent=None,
        run="bench",
        data_digest="",
        created="2026-01-01T00:00:00Z",
    )
    write_card(folder, card)
    return AdapterRef(version=folder.name, folder=str(folder))


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1] if len(sys.argv) > 1 else "seedling"), indent=2))
