"""A small project's worth of run inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from gardenerd.workers.jobs import AdapterRef, HeldOutText
from gardenerd.workers.train_jobs import Example, Hyperparameters, TrainAdapter

FAST = Hyperparameters(
    rank=4, alpha=8, learning_rate=5e-3, max_length=128, batch_tokens=512, steps=8, warmup_steps=1
)
_NOUNS = ["apple", "birch", "cedar", "daisy", "elder", "fern"]
_NOUNS += ["grass", "hazel", "iris", "juniper", "kale", "lily"]


def example(number: int, **changes: Any) -> Example:
    """A function unlike the others, so that none is taken for a duplicate."""
    one, two = _NOUNS[number % 12], _NOUNS[(number * 5 + 1) % 12]
    text = (
        f"def {one}_{number}({two}_in, limit_{number}):\n"
        f"    {one} = {two}_in * {number + 2}\n"
        f"    while {one} < limit_{number}:\n"
        f"        {one} += {two}_in\n"
        f"    return {one}_{number}_done({one})\n"
    )
    whole = Example(
        id=str(number), path=f"src/{one}.py", kind="function", language="python", text=text
    )
    return msgspec.structs.replace(whole, **changes)


def heldout(count: int = 6) -> list[HeldOutText]:
    return [
        HeldOutText(
            path=f"held/{i}.py",
            slice="recent" if i % 2 else "older",
            text=f"class Held{i}:\n    kind = '{_NOUNS[i]}'\n\n"
            f"    def grow(self, water_{i}):\n        return self.{_NOUNS[i]} + water_{i}\n" * 4,
        )
        for i in range(count)
    ]


def make_run(
    folder: Path,
    base: Path,
    *,
    examples: list[Example] | None = None,
    chosen: Hyperparameters = FAST,
    incumbent: AdapterRef | None = None,
    parent: AdapterRef | None = None,
) -> TrainAdapter:
    """Write the inputs of a run into ``folder`` and give its job."""
    folder.mkdir(parents=True, exist_ok=True)
    found = [example(i) for i in range(40)] if examples is None else examples
    for name, items in (("train.jsonl", found), ("heldout.jsonl", heldout())):
        (folder / name).write_bytes(msgspec.json.Encoder().encode_lines(items))
    return TrainAdapter(
        run="run-1",
        project="garden",
        folder=str(folder),
        base=str(base),
        incumbent=incumbent,
        parent=parent,
        hyperparameters=chosen,
    )
