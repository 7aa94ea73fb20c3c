"""What the replay counts as the code that a week adds."""

from __future__ import annotations

from bench.next_line import places
from bench.nights import added_lines, summary

LINES = {"lines": 10, "lines_base": 1, "lines_serving": 2}

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
    text = "def f(a):\n    if a:\n        return a + 1\n    }\n"
    found = places({"a.py": text}, 10)
    assert sorted(line for _, line in found) == ["        return a + 1"]
    assert found[0][0] == "def f(a):\n    if a:\n"
    assert places({"a.py": text}, 0) == []
