"""The citations in an answer: those that name nothing that was shown are taken out, as it streams.

Pure. A citation is ``path:line`` or ``path:line-line`` within brackets, several of them separated
by commas, or one of them within backquotes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from gardenerd.workers.jobs import Hit

_CITATION = re.compile(
    r"(?P<path>[^\s\[\]`:,;()]+):L?(?P<start>\d+)(?:\s*[-–]\s*L?(?P<end>\d+))?(?::\d+)?(?![\w:])"
)
_OPEN = re.compile(r"[ \t]*(?:\[|`+)")
_CLOSES = {"[": "]", "`": "`"}
# A bracket that is still open after this many characters is not a citation.
_LONGEST = 240
# `example.com:8080` is a place on a network, not in a file.
_HOST = re.compile(
    r"(?:\d+\.){3}\d+|[\w.-]+\.(?:com|org|net|io|dev|local|localhost)", re.IGNORECASE
)


class CitationFilter:
    """Feed an answer as it is written; citations of anything but ``sources`` are left out."""

    def __init__(self, sources: Sequence[Hit]) -> None:
        self._sources = sources
        self._held = ""
        self._last = ""
        self._fenced = False
        """Within a block of code, where brackets and backquotes are the code's own."""
        self.done = False
        self.removed = 0
        """Citations that were left out."""

    def feed(self, text: str) -> str:
        """The part of the text so far that is certain."""
        self._held += text
        shown = ""
        while self._held:
            opening = _OPEN.search(self._held)
            if opening is None:
                keep = len(self._held) - len(self._held.rstrip(" \t"))
                return shown + self._take(len(self._held) - keep)
            shown += self._take(opening.start())
            mark = opening[0].lstrip(" \t")
            start = len(opening[0])
            if mark.startswith("`"):
                if start == len(self._held):
                    return shown  # there may be more of them
                if len(mark) >= 3:
                    self._fenced = not self._fenced
                if len(mark) > 1:
                    shown += self._take(start)
                    continue
            # Right after a name, a bracket is a subscript and no citation.
            subscript = mark == "[" and start == 1 and self._after_a_name()
            if self._fenced or subscript:
                shown += self._take(start)
                continue
            closing = self._held.find(_CLOSES[mark], start)
            inside = self._held[start : closing if closing >= 0 else None]
            if closing < 0 and "\n" not in inside and len(inside) < _LONGEST:
                return shown  # wait for the rest
            if closing < 0 or "\n" in inside:
                shown += self._take(start)
            elif made_up := self._made_up(inside, whole=mark == "`"):
                self._held = self._held[closing + 1 :]
                self.removed += made_up
            else:
                shown += self._take(closing + 1)
        return shown

    def close(self) -> str:
        """What was held back; an unfinished citation is dropped."""
        opening = _OPEN.search(self._held)
        if opening is None or not self._cited(self._held[opening.end() :]):
            return self._held.rstrip()
        self.removed += 1
        return self._held[: opening.start()].rstrip()

    def _take(self, length: int) -> str:
        taken, self._held = self._held[:length], self._held[length:]
        self._last = taken[-1:] or self._last
        return taken

    def _after_a_name(self) -> bool:
        return self._last.isalnum() or self._last in ("_", ")", "]")

    def _made_up(self, inside: str, *, whole: bool) -> int:
        """How many citations go with what stands ``inside``; 0 when it may stay.

        Args:
            whole: it counts only if it is nothing but a citation.
        """
        cited = self._cited(inside)
        if not cited or (whole and cited[0][0] != inside.strip()):
            return 0
        return sum(not self._known(each) for each in cited)

    def _cited(self, text: str) -> list[re.Match[str]]:
        return [each for each in _CITATION.finditer(text) if self._names_a_file(each["path"])]

    def _names_a_file(self, path: str) -> bool:
        """``[0:3]`` and ``[a:1]`` are code, no citations."""
        if any(path == source.path for source in self._sources):
            return True
        if "://" in path or path.startswith("//") or _HOST.fullmatch(path):
            return False
        return re.search(r"[/\\]|\.[A-Za-z_]", path) is not None

    def _known(self, citation: re.Match[str]) -> bool:
        start = int(citation["start"])
        end = int(citation["end"] or start)
        return start <= end and any(
            citation["path"] == source.path
            and source.start_line <= start
            and end <= source.end_line
            for source in self._sources
        )
