"""``gardenerctl``: read the arguments, run one command, turn its outcome into an exit status."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from gardenerctl.arguments import parse
from gardenerctl.console import Console
from gardenerd.errors import GardenerError

Command = Callable[[argparse.Namespace, Console], int]
"""Runs one command and gives its exit status."""

# What a shell expects of a process that an interrupt ended.
_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """The entry point; see ``gardenerctl --help``."""
    arguments = parse(argv)
    console = Console(as_json=arguments.json)
    try:
        status = _find(arguments.run)(arguments, console)
        sys.stdout.flush()
    except GardenerError as error:
        console.error(error)
        return error.exit_status
    except BrokenPipeError:
        # The reader (head, less) left. Python flushes stdout once more at exit: let it go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Exception as error:
        if os.environ.get("GARDENER_DEBUG"):
            raise
        console.error(
            GardenerError(
                f"{type(error).__name__}: {error}",
                hint="set GARDENER_DEBUG=1 to see where, and please report it",
            )
        )
        return 1
    return status


def _find(name: str) -> Command:
    module, function = name.split(":")
    return getattr(import_module(f"gardenerctl.{module}"), function)
