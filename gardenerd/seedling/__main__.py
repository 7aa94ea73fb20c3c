"""``python -m gardenerd.seedling train|evaluate|licences``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from gardenerd.seedling import MODEL_DIR, corpus, evaluate, train
from gardenerd.seedling import tokenizer as vocabulary


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m gardenerd.seedling", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    training = verbs.add_parser("train", help="train a model from nothing")
    training.add_argument("--out", type=Path, required=True, help="folder for the model")
    training.add_argument("--minutes", type=float, default=90)
    training.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    training.add_argument("--threads", type=int, default=torch.get_num_threads())
    judging = verbs.add_parser("evaluate", help="bits per byte on code that was held out")
    judging.add_argument("--model", type=Path, default=MODEL_DIR)
    judging.add_argument("--files", type=int, default=20, help="of each package, at most")
    verbs.add_parser("licences", help="what is learned from, as a table")
    arguments = parser.parse_args()
    match arguments.verb:
        case "train":
            _train(arguments)
        case "evaluate":
            print(json.dumps(evaluate.report(arguments.model, arguments.files), indent=2))
        case _:
            for name, version, licence in corpus.licences():
                print(f"| {name} | {version} | {licence} |")


def _train(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(arguments.threads)
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    texts = [file.text for file in corpus.files()]
    size = sum(len(text.encode()) for text in texts)
    print(f"{len(texts)} files, {size / 1e6:.1f} MB", file=sys.stderr)
    if (out / "tokenizer.json").exists():
        tokenizer = AutoTokenizer.from_pretrained(out)
    else:
        tokenizer = vocabulary.train(texts)
        tokenizer.save_pretrained(out)
    recipe = train.Recipe()
    model = train.build(tokenizer, recipe)
    figures = train.train(
        model,
        tokenizer,
        texts,
        recipe=recipe,
        minutes=arguments.minutes,
        checkpoint=out / "checkpoint.pt",
        device=arguments.device,
    )
    model.bfloat16().cpu().save_pretrained(out)
    checked = AutoModelForCausalLM.from_pretrained(out)
    print(json.dumps(figures | {"parameters": checked.num_parameters()}))


if __name__ == "__main__":
    main()
