"""``python -m gardenerd.index.embedding train|evaluate``: makes the embedded model, measures it."""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from gardenerd.index.embed import EMBEDDED, FOLDER, load_embedder
from gardenerd.index.embedding import evaluation, sources
from gardenerd.index.embedding.pairs import Example, examples

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

log = logging.getLogger("gardenerd.index.embedding")


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse `arguments` and run the verb; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m gardenerd.index.embedding")
    verbs = parser.add_subparsers(dest="verb", required=True)
    train = verbs.add_parser("train", help="train the model anew")
    train.add_argument("--out", type=Path, default=FOLDER, help="folder to write the model to")
    train.add_argument("--minutes", type=float, default=60.0, help="end earlier, if need be")
    train.add_argument("--threads", type=int, default=1, help="threads of the matrix products")
    evaluate = verbs.add_parser("evaluate", help="docstring to code on held-out packages")
    evaluate.add_argument("--model", default=EMBEDDED, help="as in load_embedder")
    for verb in (train, evaluate):
        verb.add_argument("--more", type=Path, help="folder of further unpacked packages")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if chosen.verb == "train":
        _train(chosen.more, chosen.out, chosen.minutes, chosen.threads)
    else:
        _evaluate(chosen.more, chosen.model)
    return 0


def _train(more: Path | None, out: Path, minutes: float, threads: int) -> None:
    import torch

    from gardenerd.index.embedding import training

    torch.set_num_threads(threads)
    kept = list(examples(sources.files(more)))
    log.info("%d examples, %d of them documented", len(kept), sum(e.documented for e in kept))
    tokenizer = training.train_tokenizer(_texts(kept[::2]))
    log.info("%d pieces", tokenizer.get_vocab_size())
    pairs = training.Pairs(kept, tokenizer)
    table = training.train(pairs, training.Recipe(seconds=60 * minutes))
    training.save(table, tokenizer, out)
    log.info("wrote %s; now: python -m gardenerd.index.embedding evaluate", out)


def _texts(kept: Sequence[Example]) -> Iterator[str]:
    for example in kept:
        yield from (example.place, example.signature, example.body, *example.questions)


def _evaluate(more: Path | None, model: str) -> None:
    held_out = list(examples(sources.held_out(more)))
    embedder = load_embedder(model)
    for bare in (True, False):
        task = evaluation.task(held_out, bare=bare)
        size = {"questions": len(task.questions), "candidates": len(task.candidates)}
        rows = {
            f"{embedder.name} {embedder.fingerprint}": evaluation.of_vectors(task, embedder.encode),
            "bm25": evaluation.bm25_of(task),
            "random vectors": evaluation.random_of(task),
        }
        for name, row in rows.items():
            rounded = {k: round(v, 1) for k, v in dataclasses.asdict(row).items()}
            print(json.dumps({"model": name, "bare": bare, **size, **rounded}))


if __name__ == "__main__":
    raise SystemExit(main())
