"""The process of a further device: it takes its part of each step until the run is over.

    python -m gardenerd.train.follower FOLDER SIZE RANK

See :mod:`gardenerd.train.ranks`. It ends when its standard input closes, as it does with the run.
"""

from __future__ import annotations

import os
import sys
import threading
import warnings
from pathlib import Path

import torch

from gardenerd.models.load import load_base, training_dtype
from gardenerd.train import dataset, loop, ranks
from gardenerd.train import model as adapted


def main() -> None:
    """Follow the run in the folder that the command line names."""
    folder, size, rank = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    warnings.filterwarnings("ignore", category=FutureWarning)
    threading.Thread(target=_end_with_the_run, daemon=True).start()
    shared, examples = ranks.read(folder)
    device = torch.device("cpu")
    if torch.cuda.is_available():
        device = torch.device("cuda", rank)
        torch.cuda.set_device(device)
    base = load_base(Path(shared.base), dtype=training_dtype(), device=device)
    model = adapted.prepare(base, shared.hyperparameters, shared.parent)
    rows = dataset.rows_of(base, examples, shared.hyperparameters)
    ranks.join(folder, rank, size)
    loop.follow(base, model, rows, shared.hyperparameters, folder, identity=shared.identity)


def _end_with_the_run() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main()
