"""A history's files that change nearly every week."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from bench.history import History

_WEEK = 7 * 86_400
_END = 1_700_000_000


def test_a_file_churns_that_changed_in_most_of_the_last_six_weeks(tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    repo.mkdir()

    def git(*arguments: str, at: int = _END) -> str:
        environment = {**os.environ, "GIT_COMMITTER_DATE": f"{at} +0000"}
        return subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(repo), *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    git("init", "--quiet")
    changes = {9: ("old.py",), 4: ("busy.py", "calm.py"), 3: ("busy.py",)}
    changes |= {1: ("busy.py", "calm.py", "notes.txt"), 0: ("busy.py", "calm.py")}
    for ago, names in changes.items():
        for name in names:
            (repo / name).write_text(f"{ago}\n")
        git("add", "-A")
        git("commit", "--quiet", "-m", "change", at=_END - ago * _WEEK)
    past = History(repo, tmp_path / "clone")
    assert past.churning(git("rev-parse", "HEAD")) == {"busy.py"}
    assert past.churning(git("rev-parse", "HEAD~1")) == set()
