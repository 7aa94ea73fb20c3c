"""Where a completion ends, decided on its text as it grows. Pure.

A model that fills in the middle ends by itself when it is good and runs on when it is small. What
is cut here was never right at the cursor: the next line of the file written again, code outside
of the block that the cursor is in, a line repeated for ever.
"""

from __future__ import annotations

import re

_OPENERS = re.compile(
    r"\s*((async )?(def|for|with)|class|if|elif|else|while|try|except|finally|match|case)\b|\s*@"
)
_OPENED = re.compile(r":\s*(#.*)?$")
_QUOTES = re.compile(r'"""|\'\'\'')
_CLOSERS = {")": "(", "]": "[", "}": "{"}
# The same line so many times in a row is a loop; three are found in good code.
_SAME = 4
# Cycles of up to this many lines count as repetition.
_LONGEST_CYCLE = 4


class CodeStop:
    """Feed generated text; what comes back may be shown, and will never have to be taken back.

    Args:
        path: of the file, for its language.
        prefix, suffix: the text before and after the cursor.
    """

    def __init__(self, path: str, prefix: str, suffix: str) -> None:
        self._python = path.endswith((".py", ".pyi"))
        self._line = prefix[prefix.rfind("\n") + 1 :]
        rest, _, below = suffix.partition("\n")
        self._rest = rest.strip() if self._line.strip() else ""
        """What follows the cursor in its own line, when the cursor stands inside that line."""
        self._indentation = self._line if rest.strip() and not self._line.strip() else ""
        """Stands before the cursor at the beginning of a line: new lines owe it to that line."""
        self._floor = self._block_indent(prefix)
        """Indentation below which a line is outside of the block; 0 at the top level."""
        self._avoid = self._next_line(rest, below)
        self._current = self._line
        """The line being written, with the part of it that stood before the cursor."""
        self._unshown = ""
        self._lines: list[str] = []
        self._in_string = self._python and len(_QUOTES.findall(prefix)) % 2 == 1
        """Within a string of several lines, whose indentation says nothing."""
        self._finished = False
        self._wrote = False
        """A line with text in it was finished."""
        self.done = False

    def feed(self, text: str) -> str:
        """The part of the text so far that is certain. Sets :attr:`done` at the end."""
        if self.done:
            return ""
        self._unshown += text
        shown = ""
        while not self.done and "\n" in self._unshown:
            head, _, tail = self._unshown.partition("\n")
            if self._ends_before(self._current + head):
                again = self._current + head == self._avoid
                return self._end(shown + (self._indentation if again else ""))
            self._finish(self._current + head)
            if self._rest:
                # The cursor stands inside a line: this line is all that is wanted.
                return self._end(shown + self._without_rest(head))
            shown += head + "\n"
            self._unshown, self._current = tail, ""
        if not self._rest and not self._undecided():
            shown += self._unshown
            self._current += self._unshown
            self._unshown = ""
        return shown

    def close(self) -> str:
        """The rest, when the model ended by itself."""
        if self.done or self._ends_before(self._current + self._unshown):
            return ""
        return self._without_rest(self._unshown)

    def _end(self, shown: str) -> str:
        self.done = True
        self._unshown = ""
        return shown

    def _finish(self, line: str) -> None:
        written = line.removeprefix(self._line) if not self._finished else line
        self._finished = True
        if self._python and len(_QUOTES.findall(written)) % 2 == 1:
            self._in_string = not self._in_string
        if line.strip():
            self._wrote = True
            self._lines.append(line)

    def _undecided(self) -> bool:
        """Whether the unfinished line could still turn out to be one to stop before."""
        line = self._current + self._unshown
        if self._current.strip() and self._current != self._line:
            return False  # its beginning was judged, and shown
        if not line.strip():
            return bool(self._unshown)
        if self._outside(line):
            return True
        candidates = [self._avoid, *self._lines[-_LONGEST_CYCLE:]]
        return any(c is not None and c.startswith(line.rstrip()) for c in candidates)

    def _ends_before(self, line: str) -> bool:
        if self._in_string:
            return self._repeats(line)
        if not line.strip():
            return self._wrote and self._floor == 0 and not self._open_block()
        return self._outside(line) or line.rstrip() == self._avoid or self._repeats(line)

    def _outside(self, line: str) -> bool:
        if not self._wrote and self._current == self._line and self._line.strip():
            return False  # the line of the cursor itself
        if not line.strip() or not self._wrote or self._in_string:
            return False
        if self._python and line.lstrip()[0] in _CLOSERS:
            return False  # the end of a signature or a literal that spans lines
        return _indent(line) < self._floor

    def _open_block(self) -> bool:
        return bool(self._lines) and self._lines[-1].rstrip().endswith((":", "{", "(", "[", ","))

    def _repeats(self, line: str) -> bool:
        if not line.strip():
            return False
        lines = [*self._lines, line]
        if lines[-_SAME:] == [line] * _SAME:
            return True
        return any(
            len(lines) >= 2 * cycle and lines[-cycle:] == lines[-2 * cycle : -cycle]
            for cycle in range(2, _LONGEST_CYCLE + 1)
        )

    def _without_rest(self, text: str) -> str:
        """Leave out the rest of the cursor's line where the model wrote it a second time."""
        if self._rest and text.rstrip().endswith(self._rest) and _closes_too_much(text):
            return text.rstrip().removesuffix(self._rest)
        return text

    def _block_indent(self, prefix: str) -> int:
        line = self._line
        if not line.strip():
            above = [each for each in prefix.split("\n")[:-1] if each.strip()]
            opened = bool(above) and self._python and _OPENED.search(above[-1]) is not None
            if opened:
                return _indent(above[-1]) + 1
            if not line and above and _indent(above[-1]) and prefix.endswith(f"{above[-1]}\n"):
                return 1  # directly below an indented line: within some block
            return len(line)
        opens = self._python and _OPENERS.match(line) is not None
        return _indent(line) + (1 if opens else 0)

    def _next_line(self, rest: str, below: str) -> str | None:
        """The next line of the file with text in it: writing it again is the end."""
        if rest.strip():
            return None if self._line.strip() else (self._line + rest).rstrip()
        return next((each.rstrip() for each in below.split("\n") if each.strip()), None)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _closes_too_much(text: str) -> bool:
    depth = dict.fromkeys(_CLOSERS.values(), 0)
    for character in text:
        if character in depth:
            depth[character] += 1
        elif character in _CLOSERS:
            depth[_CLOSERS[character]] -= 1
    return min(depth.values()) < 0


class TokenLoop:
    """Notices that the last tokens are one short pattern over and over.

    Greedy decoding has no way out of such a loop. Code does repeat itself (``0, 0, 0``), so a
    pattern counts only when it fills 24 tokens and comes at least four times.
    """

    _TOKENS = 24
    _TIMES = 4
    _LONGEST = 16

    def __init__(self) -> None:
        self._ids: list[int] = []

    def feed(self, token: int) -> bool:
        self._ids.append(token)
        return any(self._filled(period) for period in range(1, self._LONGEST + 1))

    def _filled(self, period: int) -> bool:
        times = max(self._TIMES, -(-self._TOKENS // period))
        span = self._ids[-period * times :]
        return len(span) == period * times and span == span[:period] * times
