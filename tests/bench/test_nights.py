"""What the replay of a history counts, and how it walks one."""

from __future__ import annotations

import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

from bench import plot
from bench.history import History, added_lines, added_numbers, bounded
from bench.next_line import places
from bench.nights import summary

LINES = {"lines": 10, "lines_base": 1, "lines_serving": 2, "beside": {}}

DIFF = """\
diff --git a/one.py b/one.py
--- a/one.py
+++ b/one.py
@@ -1,0 +2,3 @@ def f():
+a = 1
+b = 2
+c = 3
@@ -9 +12 @@ def g():
-old
+single
diff --git a/two.py b/two.py
--- /dev/null
+++ b/two.py
@@ -0,0 +1,4 @@
+def h():
+    x = 1
+    y = 2
+    return x + y
"""


def test_runs_of_three_lines_and_more_by_file() -> None:
    assert added_lines(DIFF.splitlines()) == {
        "one.py": "a = 1\nb = 2\nc = 3\n",
        "two.py": "def h():\n    x = 1\n    y = 2\n    return x + y\n",
    }


def test_the_gain_is_weighed_by_the_bytes_of_each_week() -> None:
    nights = [
        {"base": 2.0, "serving": 1.0, "week_bytes": 300, "forgotten": 0.0, **LINES}
        | {"outcome": "promoted", "seconds": 5.0},
        {"base": 1.0, "serving": 1.0, "week_bytes": 100, "forgotten": 0.02, **LINES}
        | {"outcome": "abstained", "seconds": 9.0},
        {"base": None, "serving": None, "week_bytes": 0, "forgotten": 0.01, **LINES}
        | {"outcome": "skipped", "seconds": 1.0},
    ]
    found = summary(nights)
    assert (found["lines"], found["lines_base"], found["lines_serving"]) == (30, 3, 6)
    assert found["gain"] == 1 - 400 / 700
    assert (found["most_forgotten"], found["promoted"], found["longest_night_s"]) == (0.02, 1, 9.0)


def test_places_are_lines_that_say_something_with_the_code_above_them() -> None:
    lines = [("def f(a):\n", "    if a:"), ("x" * 3_000, "    return a + 1"), ("\n", "import os")]
    found = places(lines, 10)
    assert found == [("x" * 2_000, "    return a + 1")]
    assert places(lines, 0) == []


def test_gained_lines_are_numbered_as_they_stand_in_the_new_file() -> None:
    assert added_numbers(DIFF.splitlines()) == {"one.py": [2, 3, 4, 12], "two.py": [1, 2, 3, 4]}


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "gc.auto=0")
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_a_history_goes_from_commit_to_commit_and_leaves_out_what_a_mirror_lacks(
    tmp_path: Path,
) -> None:
    repo = tmp_path / "repo"
    repo.mkdir()
    git(repo, "init", "--quiet")
    commits: list[str] = []
    for number in range(2):
        (repo / "a.py").write_text("".join(f"x{i} = {i}\n" for i in range(4 * (number + 1))))
        (repo / "large [1].bin").write_text(f"archive {number}")
        git(repo, "add", ".")
        git(repo, "commit", "--quiet", "-m", "more")
        commits.append(git(repo, "rev-parse", "HEAD"))
    blob = git(repo, "rev-parse", "HEAD:large [1].bin")
    (repo / ".git" / "objects" / blob[:2] / blob[2:]).unlink()

    past = History(repo, tmp_path / "clone")
    past.checkout(commits[0])
    assert sorted(p.name for p in past.root.iterdir()) == [".git", "a.py", "large [1].bin"]
    past.checkout(commits[1])
    assert sorted(p.name for p in past.root.iterdir()) == [".git", "a.py"]
    assert past.added(*commits) == {"a.py": "x4 = 4\nx5 = 5\nx6 = 6\nx7 = 7\n"}
    assert past.added_places(*commits)[-1] == ("".join(f"x{i} = {i}\n" for i in range(7)), "x7 = 7")


def test_texts_are_bounded_by_bytes_and_the_last_is_cut() -> None:
    assert bounded({"b": "öö", "a": "xyz", "c": "no"}, 6) == {"a": "xyz", "b": "ö"}


def test_a_plot_has_a_line_for_each_series_and_a_dot_for_each_mark() -> None:
    lines = {"next <week>": [-1.0, None, -3.5], "old": [0.0, -0.5, -0.25]}
    root = ET.fromstring(plot.svg("% of the base", lines, marks=[1, 2, 3]))
    space = "{http://www.w3.org/2000/svg}"
    points = [len((line.get("points") or "").split()) for line in root.iter(f"{space}polyline")]
    assert points == [2, 3]
    assert len(list(root.iter(f"{space}circle"))) == 2  # the second night has no value
    assert "next <week>" in {text.text for text in root.iter(f"{space}text")}
