"""Every benchmark in one run, against its limit: ``python -m bench [NAME...] [--json]``.

A limit that is missed makes the exit status 1. Figures are ratios in one run, or bytes: absolute
times belong to the machine.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from typing import Any

NAMES = (
    "idle",
    "status_command",
    "save_to_search",
    "first_index",
    "training",
    "overhead",
    "serving",
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], help="default: all")
    parser.add_argument("--json", action="store_true", help="one document")
    arguments = parser.parse_args()
    results: dict[str, dict[str, Any]] = {}
    for name in arguments.names or NAMES:
        began = time.monotonic()
        results[name] = importlib.import_module(f"bench.{name}").measure()
        if not arguments.json:
            figures = "  ".join(f"{key} {_figure(value)}" for key, value in results[name].items())
            print(f"{name:15} {figures}  ({time.monotonic() - began:.0f} s)", flush=True)
    if arguments.json:
        print(json.dumps(results, indent=2))
    sys.exit(0 if all(result.get("within", True) for result in results.values()) else 1)


def _figure(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
