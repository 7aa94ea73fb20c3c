"""How the tour looks: rules, tables and panels by rich, which writes plain lines into a pipe."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console as RichConsole
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from gardenerctl.console import Console, clean

# A pipe has no width of its own.
_PIPE_WIDTH = 100


class Screen:
    """Where the tour writes; silent with ``--json``. All texts are taken literally."""

    def __init__(self, console: Console) -> None:
        self._rich = RichConsole(
            quiet=console.as_json,
            width=None if sys.stdout.isatty() else _PIPE_WIDTH,
            highlight=False,
            markup=False,
            emoji=False,
        )

    def scene(self, title: str) -> None:
        self._rich.print()
        self._rich.rule(Text(title, style="bold"), align="left", style="green")

    def say(self, text: str, style: str = "") -> None:
        self._rich.print(Text(clean(text), style=style))

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """The first column holds names, the others figures."""
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for at, name in enumerate(header):
            table.add_column(name, justify="left" if at == 0 else "right", no_wrap=True)
        for row in rows:
            table.add_row(*(Text(clean(cell)) for cell in row))
        self._rich.print(table)

    def code(self, title: str, text: str, style: str = "") -> None:
        if self._rich.is_terminal:
            self._rich.print(Panel(Text(clean(text)), title=title, title_align="left", style=style))
            return
        self._rich.print(f"{title}:")
        for line in clean(text).splitlines():
            self._rich.print(f"  | {line}", soft_wrap=True)

    def hits(self, hits: Sequence[dict[str, Any]]) -> None:
        for number, hit in enumerate(hits, 1):
            place = Text(f"  [{number}] ", style="dim")
            place.append(clean(f"{hit['path']}:{hit['start_line']}"), style="cyan")
            place.append(clean(f"  {hit.get('symbol') or ''}"), style="bold")
            self._rich.print(place)
