"""The seedling: the small code model that gardener carries, and the scripts that train it.

Light to import; ``python -m gardenerd.seedling --help`` trains and evaluates.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

MODEL_DIR: Final = Path(__file__).parent / "model"
"""Weights, configuration and tokenizer, as transformers saves them."""

GENERAL_MODULES: Final = (
    *("textwrap", "heapq", "csv", "shlex", "statistics", "fractions", "zipapp"),
    *("sched", "cmd", "colorsys", "graphlib", "bisect", "configparser"),
)
"""Modules of the standard library that the seedling never saw: what "general code" is judged by."""
