"""Which commits are asked for, and what is found of them, in a small history."""

from __future__ import annotations

from pathlib import Path

from bench.locate import Asked, measure, questions
from tests.host.test_commits import commit, git


def test_only_commits_that_say_what_they_did_to_some_code_are_asked_for(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "main")
    commit(tmp_path, "Begin with two beds that are dry", bed="x = 1\n", tree="y = 1\n")
    before = git_head(tmp_path)
    commit(
        tmp_path,
        "fix(bed): let the rain reach beds too (#12)\n\nSee https://x.example/1 for it.\n\n"
        "Signed-off-by: Rosa <r@x.example>",
        bed="x = 2\n",
        test_bed="z = 1\n",
    )
    commit(tmp_path, "Too short", bed="x = 3\n")
    commit(tmp_path, "Bump the version of everything in here", bed="x = 4\n")
    commit(tmp_path, "Only tests are changed by this commit", test_bed="z = 2\n")
    (found,) = questions(tmp_path, 10, 0)
    assert found == Asked(before, "let the rain reach beds too", ["bed.py"])


def test_what_earlier_commits_said_is_counted(tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    repo.mkdir()
    git(repo, "init", "-q", "-b", "main")
    commit(repo, "Begin", **{f"f{n}": f"def f{n}():\n    return {n}\n" for n in range(4)})
    commit(repo, "Handle zanzibarquux", f2="def f2():\n    return 5\n")
    commit(repo, "Again handle zanzibarquux when it rains", f2="def f2():\n    return 6\n")
    found = measure(repo, 5)
    assert found["commits"] == 1
    assert found["with history"]["mrr"] > found["without"]["mrr"] > 0


def git_head(root: Path) -> str:
    return (root / ".git" / "refs" / "heads" / "main").read_text().strip()
