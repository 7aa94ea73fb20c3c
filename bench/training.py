"""How fast the training loop learns, against the plain recipe: ``python -m bench.training``.

Both train the same LoRA (rank 16, all linear projections) on the same 256 functions of the standard
library, over the same random Llama of 29 million parameters, one after the other, each in a process
of its own, whose memory is told. The plain recipe is transformers' own Trainer as its examples use
it: batches of 4, padded to the longest, float32, dropout 0.1. Counted are real tokens: those whose
loss trains the adapter. Told too: the share of the machine's own bfloat16 matrix rate that the
products of those tokens amount to.
"""

from __future__ import annotations

import ast
import json
import logging
import os
import random
import statistics
import sys
import sysconfig
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from gardenerd.workers.environment import FOR_TORCH

os.environ.setdefault("HF_HUB_OFFLINE", "1")
# As the daemon starts its workers; both recipes run under it.
os.environ.update({**FOR_TORCH, **os.environ})
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import msgspec
import torch
from peft import LoraConfig, get_peft_model
from peft.utils import get_peft_model_state_dict
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.utils.data import Dataset
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
)

from gardenerd.models import adapters, nll
from gardenerd.models.load import Base, load_base, training_dtype
from gardenerd.train import dataset, loop, run
from gardenerd.train import model as adapted
from gardenerd.workers.train_jobs import Example, Hyperparameters

FUNCTIONS = 256
EVALUATED = 64
RATE = 1e-3
LIMIT = 4.0
_AS_GOOD = 1.002  # of the loss: what another seed changes
_WARMUP = 2
# One row a step: about the tokens of four functions, so both recipes take as many steps.
_ROW = 512
_END = "<|endoftext|>"


def functions(count: int) -> list[str]:
    """Whole functions of the standard library, always the same for one Python."""
    root = Path(sysconfig.get_path("stdlib"))
    found: list[str] = []
    for file in sorted(root.glob("*.py")):
        source = file.read_text(encoding="utf-8", errors="replace")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef):
                text = ast.get_source_segment(source, node) or ""
                if 100 <= len(text) <= 2_000:
                    found.append(text + "\n")
    random.Random(0).shuffle(found)
    return found[:count]


def make_base(folder: Path, texts: list[str]) -> None:
    """Save a random Llama of 29 million parameters and a tokenizer trained on ``texts``."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=4_096,
            special_tokens=[_END],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=_END, pad_token=_END)
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=4_096,
        hidden_size=512,
        intermediate_size=1_376,
        num_hidden_layers=8,
        num_attention_heads=8,
        num_key_value_heads=8,
        max_position_embeddings=2_048,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=fast.eos_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)


class _Padded(Dataset[dict[str, Any]]):
    def __init__(self, base: Base, texts: list[str]) -> None:
        self.rows = [[base.start_token, *nll.encode(base, text), base.end_token] for text in texts]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"input_ids": self.rows[index]}


def _pad(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    longest = max(len(row["input_ids"]) for row in rows)
    tokens = torch.zeros((len(rows), longest), dtype=torch.long)
    mask = torch.zeros((len(rows), longest), dtype=torch.long)
    labels = torch.full((len(rows), longest), -100, dtype=torch.long)
    for i, row in enumerate(rows):
        ids = torch.tensor(row["input_ids"])
        tokens[i, : len(ids)], mask[i, : len(ids)], labels[i, : len(ids)] = ids, 1, ids
    return {"input_ids": tokens, "attention_mask": mask, "labels": labels}


def plain(folder: Path, texts: list[str], held: list[str], steps: int) -> dict[str, float]:
    """The plain recipe for ``steps`` steps of 4 functions each."""
    base = load_base(folder)
    torch.manual_seed(0)
    config = LoraConfig(
        r=16, lora_alpha=32, lora_dropout=0.1, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    model = get_peft_model(base.model, config)
    data = _Padded(base, texts)
    with tempfile.TemporaryDirectory() as output:
        arguments = TrainingArguments(
            output_dir=output,
            per_device_train_batch_size=4,
            max_steps=steps,
            learning_rate=RATE,
            lr_scheduler_type="cosine",
            warmup_steps=_WARMUP,
            weight_decay=0.01,
            logging_strategy="no",
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
            remove_unused_columns=False,
            seed=0,
        )
        trainer = Trainer(model=model, args=arguments, train_dataset=data, data_collator=_pad)
        began = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - began
        # The mean length stands for those of the functions that the sampler drew.
        counted = sum(len(row) - 1 for row in data.rows) / len(data.rows) * 4 * steps
    model.eval()
    return {
        "tokens_per_second": counted / seconds,
        "tokens": counted,
        "seconds": seconds,
        "eval_loss": _mean_nats(base, model, held),
    }


def ours(folder: Path, texts: list[str], held: list[str], tokens: float) -> dict[str, float]:
    """Gardener's loop over about as many real tokens."""
    base = load_base(folder, dtype=training_dtype())
    chosen = Hyperparameters(
        learning_rate=RATE,
        max_length=_ROW,
        batch_tokens=_ROW,
        fim_rate=0.0,
        warmup_steps=_WARMUP,
    )
    examples = [
        Example(id=str(i), path="", kind="function", language="python", text=text)
        for i, text in enumerate(texts)
    ]
    model = adapted.prepare(base, chosen, None)
    rows = dataset.rows_of(base, examples, chosen)
    per_step = sum(row.length - len(row.documents) for row in rows.step(0))
    steps = max(2, round(tokens / per_step))
    chosen = msgspec.structs.replace(chosen, steps=steps)
    with tempfile.TemporaryDirectory() as folder_of_run:
        began = time.perf_counter()
        result = loop.train(
            base,
            model,
            rows,
            chosen,
            Path(folder_of_run),
            identity="",
            report=lambda _progress: None,
            leave=lambda: False,
            check=lambda: None,
        )
        seconds = time.perf_counter() - began
    learned = get_peft_model_state_dict(model, adapter_name=adapted.NAME)
    base = load_base(folder)
    model = adapted.prepare(base, chosen, None)
    adapters.put_weights(model, learned, adapted.NAME, where="memory")
    return {
        "tokens_per_second": result.tokens / seconds,
        "tokens": result.tokens,
        "seconds": seconds,
        "eval_loss": _mean_nats(base, model, held),
    }


def matrix_rate() -> float:
    """Operations a second of bfloat16 matrix products, large ones, on the threads that train."""
    a, b = (torch.randn(2_048, 2_048).bfloat16() for _ in range(2))
    seconds: list[float] = []
    for _ in range(20):
        began = time.perf_counter()
        torch.mm(a, b.t())
        seconds.append(time.perf_counter() - began)
    return 2 * 2_048**3 / statistics.median(seconds)


def operations(folder: Path) -> int:
    """Of a token's matrix products: 2 forward and 2 backward for each frozen weight of a linear
    layer, which has no gradient of its own, and 6 for each of the adapter's. Attention is left out.
    """
    base = load_base(folder)
    frozen = sum(m.weight.numel() for m in base.model.modules() if type(m) is torch.nn.Linear)
    model = adapted.prepare(base, Hyperparameters(), None)
    return 4 * frozen + 6 * sum(p.numel() for p in adapted.trainable(model).values())


def _apart(recipe: Callable[..., dict[str, float]], *arguments: Any) -> dict[str, float]:
    """What a recipe found in a new process, with the memory that the process took at most."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measured, recipe, *arguments).result()


def _measured(recipe: Callable[..., dict[str, float]], *arguments: Any) -> dict[str, float]:
    warnings.simplefilter("ignore", FutureWarning)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    found = recipe(*arguments)
    return {**found, "peak_mb": run.peak_memory() / 1e6}


def _mean_nats(base: Base, model: Any, held: list[str]) -> float:
    model.eval()
    scores = nll.score(base, held, model=model)
    return sum(score.nats for score in scores) / sum(score.tokens for score in scores)


def measure(steps: int = 64) -> dict[str, Any]:
    """Both recipes; ``speedup`` is the ratio of real tokens a second and must be at least 4."""
    texts = functions(FUNCTIONS + EVALUATED)
    train, held = texts[:FUNCTIONS], texts[FUNCTIONS:]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "base"
        make_base(folder, texts)
        slow = _apart(plain, folder, train, held, steps)
        fast = _apart(ours, folder, train, held, slow["tokens"])
        share = fast["tokens_per_second"] * operations(folder) / matrix_rate()
    speedup = fast["tokens_per_second"] / slow["tokens_per_second"]
    return {
        "plain_tokens_per_s": slow["tokens_per_second"],
        "ours_tokens_per_s": fast["tokens_per_second"],
        "tokens": fast["tokens"],
        "plain_eval_loss": slow["eval_loss"],
        "ours_eval_loss": fast["eval_loss"],
        "plain_peak_mb": slow["peak_mb"],
        "ours_peak_mb": fast["peak_mb"],
        "share_of_matrix_rate": share,
        "speedup": speedup,
        "limit": LIMIT,
        "within": speedup >= LIMIT
        and fast["eval_loss"] <= slow["eval_loss"] * _AS_GOOD
        and fast["peak_mb"] <= slow["peak_mb"],
    }


if __name__ == "__main__":
    print(json.dumps(measure(*map(int, sys.argv[1:])), indent=2))
