"""Structured logs: one JSON object a line, rotated, never with a user's code in it."""

from __future__ import annotations

import json
import logging
import logging.handlers
import sys
import time
from pathlib import Path

# Six files of 5 MB bound the logs to 30 MB.
_MAX_BYTES = 5_000_000
_BACKUPS = 5

# What an earlier call installed; other handlers of the process are not ours to touch.
_installed: list[logging.Handler] = []

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(record.created))
            + f".{int(record.msecs):03d}",
            "level": record.levelname.lower(),
            "part": record.name.removeprefix("gardenerd."),
            "event": record.getMessage(),
        }
        line.update({k: v for k, v in vars(record).items() if k not in _STANDARD})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


class _Plain(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        extra = {k: v for k, v in vars(record).items() if k not in _STANDARD}
        fields = "".join(f" {k}={v}" for k, v in extra.items())
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        part = record.name.removeprefix("gardenerd.")
        text = f"{clock} {record.levelname.lower():7} {part}: {record.getMessage()}{fields}"
        return text + (f"\n{self.formatException(record.exc_info)}" if record.exc_info else "")


def configure(file: Path, *, level: str = "info", terminal: bool = False) -> None:
    """Send our loggers, and the warnings of all others, to ``file``.

    Args:
        terminal: to stderr too.
    """
    ours, others = logging.getLogger("gardenerd"), logging.getLogger()
    ours.setLevel(level.upper())
    others.setLevel(logging.WARNING)
    while _installed:
        handler = _installed.pop()
        others.removeHandler(handler)
        handler.close()
    rotating = logging.handlers.RotatingFileHandler(
        file, maxBytes=_MAX_BYTES, backupCount=_BACKUPS, encoding="utf-8", errors="backslashreplace"
    )
    rotating.setFormatter(_JsonLines())
    _installed.append(rotating)
    if terminal:
        stream = logging.StreamHandler(sys.stderr)
        stream.setFormatter(_Plain())
        _installed.append(stream)
    for handler in _installed:
        others.addHandler(handler)
