"""The real command as a shell runs it: exit statuses, errors, JSON, what it imports."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gardenerctl.arguments import _GROUPS, build
from gardenerd.errors import RefusedError, TimedOutError
from gardenerd.paths import Home
from gardenerd.wire.messages import Ask, Complete, Operation, Pause, Score, Search, Train
from gardenerd.wire.server import Exchange
from tests.gardenerctl.serving import gardenerctl, serving

_STATUS: dict[str, Any] = {
    "daemon": {"pid": 4711, "version": "0.1.0", "uptime_s": 3_723.4, "rss_bytes": 33_000_000},
    "workers": [{"kind": "index", "pid": 4712, "rss_bytes": 310_000_000, "state": "idle"}],
    "projects": [
        {
            "name": "rich",
            "path": "/home/me/src/a/long/way/down/to/where/the/projects/are/rich",
            "files": 78,
            "chunks": 1_204,
            "pending": 2,
            "settled": False,
        }
    ],
    "model": {
        "base": "seedling",
        "adapter": "v3",
        "scores": {"rich": {"recent": {"incumbent": 2.0, "candidate": 1.8}}},
    },
    "loop": {
        "state": "collecting",
        "reason": "12 of 50 new examples; a run starts in the window 02:00-06:00, or when idle",
        "next_window": "2026-11-21T02:00+00:00",
        "new_examples": 12,
        "buffer": 1_204,
    },
    "last_error": "the index worker died",
}
_HIT = {
    "project": "rich",
    "path": "table.py",
    "start_line": 10,
    "end_line": 12,
    "symbol": "Table",
    "kind": "class",
    "score": 0.9,
    "text": "class Table:\n    '''\x1b[31mred\x1b[0m \x1b]0;title\x07'''\n",
    "state": "pending",
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


# --- wrong usage, nobody there ----------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("dance",),
        ("status", "--frobnicate"),
        ("search",),
        ("search", "a", "--query-file", "b"),
        ("search", "a", "-k", "0"),
        ("feedback", "id", "superb"),
        ("feedback", "id"),
        ("complete", "app.py"),
        ("complete", "app.py:0"),
        ("pause", "soon"),
        ("wait", "--timeout", "-1"),
        ("watch", "weather"),
    ],
)
def test_wrong_usage_is_status_2(home: Path, arguments: tuple[str, ...]) -> None:
    done = gardenerctl(home, *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments", [("status",), ("search", "x"), ("train",), ("watch",), ("add", "/")]
)
def test_no_daemon_is_status_3_with_an_error_object(home: Path, arguments: tuple[str, ...]) -> None:
    done = gardenerctl(home, *arguments, "--json")
    assert done.returncode == 3
    assert done.stdout == ""
    error = json.loads(done.stderr)
    assert error["schema"] == 1
    assert error["code"] == "not_running"
    assert "gardenerctl start" in error["hint"]
    assert str(home) in error["message"]


def test_no_daemon_is_told_in_words_too(home: Path) -> None:
    done = gardenerctl(home, "status")
    assert done.returncode == 3
    error, hint = done.stderr.splitlines()
    assert error.startswith("error: ")
    assert hint == "hint: start it: gardenerctl start"


def test_stop_without_a_daemon_is_done(home: Path) -> None:
    done = gardenerctl(home, "stop", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["stopped"] is False


def test_every_command_is_in_the_group_that_its_name_leads_to() -> None:
    named = {name for names, _ in _GROUPS for name in names.split()}
    everything = build().format_help()
    assert named == set(re.findall(r"^    ([a-z]+)(?: |$)", everything, re.MULTILINE))
    for name in named:
        assert build(name).parse_args([name, *_NEEDED.get(name, [])]).command == name


_NEEDED = {
    "add": ["p"],
    "remove": ["p"],
    "ask": ["q"],
    "complete": ["f:1"],
    "score": ["f"],
    "why": ["f"],
    "export": ["v1", "d", "--format", "peft"],
}


# --- answers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [("status", "--json"), ("--json", "status")])
def test_status_is_one_document(home: Path, arguments: tuple[str, ...]) -> None:
    with serving(Home(home), {"status": _STATUS}):
        done = gardenerctl(home, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {"schema": 1, **_STATUS}


def test_status_fits_80_columns_and_says_why(home: Path) -> None:
    with serving(Home(home), {"status": _STATUS}):
        done = gardenerctl(home, "status")
    assert done.returncode == 0
    assert max(len(line) for line in done.stdout.splitlines()) <= 80
    words = " ".join(done.stdout.split())
    for wanted in (
        _STATUS["loop"]["reason"],
        "seedling, adapter v3",
        "recent 2.000 to 1.800 (-10.0 %)",
        "2026-11-21 02:00",
        "rich 78 1,204 2 indexing",
        "supervisor 4711 33 MB",
        "index 4712 310 MB",
        "the index worker died",
    ):
        assert wanted in words


def test_feedback_says_which_of_it_was_read_from_the_code(home: Path) -> None:
    given = {"answer": "a1", "verdict": "good", "correction": None, "weak": False, "reward": 1.0}
    given |= {"created": 1.0, "adapter": "v3", "text": "return price * \x1b[31m amount\n"}
    seen = given | {"answer": "a2", "correction": "x" * 90, "weak": True, "reward": 0.25}
    with serving(Home(home), {"judgements": {"feedback": [given, seen | {"adapter": None}]}}):
        done = gardenerctl(home, "feedback")
        listed = json.loads(gardenerctl(home, "feedback", "--json").stdout)
    _, first, second = done.stdout.splitlines()
    assert first.split()[-8:] == ["a1", "good", "you", "v3", "return", "price", "*", "amount"]
    assert second.split()[-6:] == ["a2", "good,", "corrected", "code", "base", "x" * 21 + "…"]
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert [each["answer"] for each in listed] == ["a1", "a2"]


def test_lists_bear_the_schema_on_each_element(home: Path) -> None:
    adapter = {"version": "v1", "state": "serving", "parent": None, "created": 1.0}
    adapter |= {"scores": {}, "serving": True}
    answers = {
        "projects": {"projects": _STATUS["projects"]},
        "adapters": {"adapters": [adapter]},
        "history": {"runs": []},
    }
    with serving(Home(home), answers):
        projects = json.loads(gardenerctl(home, "projects", "--json").stdout)
        adapters = json.loads(gardenerctl(home, "adapters", "--json").stdout)
        runs = json.loads(gardenerctl(home, "history", "--json").stdout)
    assert projects == [{"schema": 1, **_STATUS["projects"][0]}]
    assert adapters == [{"schema": 1, **adapter}]
    assert runs == []


def test_search_is_one_object_a_line(home: Path) -> None:
    body = {"hits": [_HIT, {**_HIT, "path": "cells.py"}], "complete": False, "note": "indexing"}
    with serving(Home(home), {"search": body}) as server:
        done = gardenerctl(home, "search", "-", "-k", "3", "--json", stdin="what is\na table?")
    assert done.returncode == 0
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["path"] for line in lines] == ["table.py", "cells.py"]
    wanted = {"schema", "project", "path", "start_line", "end_line", "symbol", "kind", "score"}
    assert wanted | {"state"} <= lines[0].keys()
    assert "indexing" in done.stderr
    assert server.asked == [Search(query="what is\na table?", k=3)]


def test_text_of_a_repository_cannot_drive_the_terminal(home: Path) -> None:
    with serving(Home(home), {"search": {"hits": [_HIT], "complete": True, "note": ""}}):
        done = gardenerctl(home, "search", "table")
    assert done.stdout.splitlines()[0] == "table.py:10  Table  class  (pending)"
    assert "red '''" in done.stdout
    assert "\x1b" not in done.stdout
    assert "title" not in done.stdout


def test_nothing_found_yet_is_not_nothing_found(home: Path) -> None:
    answers = {"search": {"hits": [], "complete": False, "note": "the index is still filling"}}
    with serving(Home(home), answers):
        done = gardenerctl(home, "search", "table")
    assert done.stdout == "nothing found so far\n"
    assert "still filling" in done.stderr


def test_query_file_that_is_missing_is_refused(home: Path, tmp_path: Path) -> None:
    done = gardenerctl(home, "search", "--query-file", str(tmp_path / "none"))
    assert done.returncode == 1
    assert "none" in done.stderr


async def _answer_in_pieces(operation: Operation, exchange: Exchange) -> dict[str, Any]:
    for piece in ("A table \x1b[3", "1mhas columns."):
        exchange.chunk({"text": piece})
    sources = [{**_HIT, "state": "gone"}]
    return {"answer": "a1", "text": "A table has columns.", "mode": "chat", "sources": sources}


def test_ask_streams_and_names_its_sources(home: Path) -> None:
    with serving(Home(home), {"ask": _answer_in_pieces}):
        done = gardenerctl(home, "ask", "what has columns?")
        whole = gardenerctl(home, "ask", "what has columns?", "--no-stream")
        scripted = gardenerctl(home, "ask", "what has columns?", "--json")
    assert done.stdout.startswith("A table has columns.\n")
    assert whole.stdout == done.stdout
    assert "[1] table.py:10-12  Table  (gone)" in done.stdout
    assert "gardenerctl feedback a1" in done.stderr
    (line,) = scripted.stdout.splitlines()
    assert json.loads(line)["answer"] == "a1"
    assert json.loads(line)["schema"] == 1


def test_ask_takes_what_there_is_to_choose(home: Path) -> None:
    part = {"tokens": 20, "path": None, "start_line": None, "end_line": None, "turn": None}
    body = {"answer": "a2", "text": "So.", "mode": "chat", "window": 2_048, "tokens": 3}
    body["warning"] = "2 citations were removed: they name nothing that was shown"
    body["sources"] = [{**_HIT, "state": "fresh", "earlier": True}]
    body["context"] = [
        {**part, "kind": "system"},
        {**part, "kind": "source", "path": "a.py", "start_line": 1, "end_line": 9, "turn": 0},
        {**part, "kind": "turn", "turn": 0},
        {**part, "kind": "question", "tokens": 1_000},
    ]
    chosen = ["--continue", "--model", "m", "--adapter", "v2", "--context", "--no-stream"]
    with serving(Home(home), {"ask": body}) as server:
        done = gardenerctl(home, "ask", "and?", *chosen)
    assert server.asked == [Ask(question="and?", continued=True, model="m", adapter="v2")]
    assert done.stdout.startswith("So.\n")
    assert "(from an earlier question)" in done.stdout
    shown = [line.split() for line in done.stdout.splitlines()[-5:]]
    assert shown == [
        ["instructions", "20"],
        ["earlier:", "a.py:1-9", "20"],
        ["earlier:", "answer", "20"],
        ["question", "1,000"],
        ["in", "all", "1,060", "of", "2,048"],
    ]
    assert "warning: 2 citations were removed" in done.stderr


def test_complete_prints_each_variant(home: Path, tmp_path: Path) -> None:
    given = [{"answer": f"c{n}", "text": f"return {n}", "tokens": 2, "stop": "end"} for n in (1, 2)]
    with serving(Home(home), {"complete": {**given[0], "completions": given}}) as server:
        done = gardenerctl(home, "complete", f"{tmp_path}/app.py:3", "--n", "2", "--seed", "7")
    assert server.asked == [Complete(path=f"{tmp_path}/app.py", line=3, n=2, seed=7)]
    first, head, second = done.stdout.splitlines()
    assert (first, second) == ("return 1", "return 2")
    assert head == "--- 2 of 2: gardenerctl feedback c2 good|bad"


def test_complete_sends_the_place_as_the_wire_counts(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "app.py"
    with serving(Home(home), {"complete": {"answer": "c1", "text": "return 1"}}) as server:
        done = gardenerctl(home, "complete", f"{file}:3:5", "--max-tokens", "8")
        gardenerctl(home, "complete", f"{file}:3", "--adapter", "base")
    assert done.stdout == "return 1\n"
    assert server.asked == [
        Complete(path=str(file), line=3, column=4, max_tokens=8),
        Complete(path=str(file), line=3, column=None, adapter="base"),
    ]


def test_score_names_files_as_they_were_given(home: Path, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")

    async def answer(operation: Operation, exchange: Exchange) -> dict[str, Any]:
        assert isinstance(operation, Score)
        scored = [{"path": path, "bytes": 6, "bits_per_byte": 2.5} for path in operation.paths]
        return {"files": scored, "adapter": None, "warning": ""}

    given = os.path.relpath(tmp_path / "a.py")
    with serving(Home(home), {"score": answer}):
        done = gardenerctl(home, "score", given, "--json")
    line = json.loads(done.stdout)
    assert (line["schema"], line["path"], line["bytes"]) == (1, given, 6)
    assert line["bits_per_byte"] == 2.5


# --- exit statuses of what the daemon says ----------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "status"),
    [("promoted", 0), ("rolled_back", 0), ("abstained", 0), ("skipped", 0), ("failed", 1)],
)
def test_train_waits_for_the_outcome(home: Path, outcome: str, status: int) -> None:
    async def answer(operation: Operation, exchange: Exchange) -> dict[str, Any]:
        exchange.progress({"phase": "training", "percent": 100.0, "step": 4, "steps": 4})
        return {"run": "r1", "outcome": outcome, "reason": "so", "version": None, "scores": {}}

    one = {"projects": [{"name": "rich", "path": "/x"}]}
    with serving(Home(home), {"train": answer, "projects": one}) as server:
        done = gardenerctl(home, "train", "--wait", "--json")
    assert done.returncode == status
    assert json.loads(done.stdout)["outcome"] == outcome
    assert done.stderr == ""
    assert server.asked[-1] == Train(project="rich", wait=True)


def test_train_asks_which_project_when_there_are_two(home: Path) -> None:
    two = {"projects": [{"name": "rich", "path": "/x"}, {"name": "poor", "path": "/y"}]}
    with serving(Home(home), {"projects": two}):
        done = gardenerctl(home, "train")
    assert done.returncode == 1
    assert "rich|poor" in done.stderr


def test_pause_takes_a_duration(home: Path) -> None:
    with serving(Home(home), {"pause": {"message": "training is paused"}}) as server:
        done = gardenerctl(home, "pause", "30m")
        gardenerctl(home, "pause")
    assert done.stdout == "training is paused\n"
    assert server.asked == [Pause(seconds=1_800.0), Pause(seconds=None)]


@pytest.mark.parametrize(
    ("error", "status"),
    [(RefusedError("no", hint="do"), 1), (TimedOutError("late", hint="wait"), 4)],
)
def test_errors_of_the_daemon_keep_their_status(home: Path, error: Exception, status: int) -> None:
    async def answer(operation: Operation, exchange: Exchange) -> Any:
        raise error

    with serving(Home(home), {"wait": answer}):
        done = gardenerctl(home, "wait", "--settled", "--timeout", "9", "--json")
    assert done.returncode == status
    assert json.loads(done.stderr)["message"] == str(error)


# --- the terminal -----------------------------------------------------------------------------


def _on_a_terminal(home: Path, *arguments: str, **environment: str) -> str:
    ours, theirs = pty.openpty()
    try:
        subprocess.run(
            [sys.executable, "-m", "gardenerctl", *arguments],
            env={**os.environ, "GARDENER_HOME": str(home), "TERM": "xterm", **environment},
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            timeout=60,
            check=True,
        )
        return os.read(ours, 100_000).decode()
    finally:
        os.close(ours)
        os.close(theirs)


def test_colours_on_a_terminal_unless_no_color(home: Path) -> None:
    with serving(Home(home), {"status": _STATUS}):
        coloured = _on_a_terminal(home, "status", NO_COLOR="")
        plain = _on_a_terminal(home, "status", NO_COLOR="1")
        piped = gardenerctl(home, "status").stdout
    assert "\x1b[" in coloured
    assert "\x1b" not in plain
    assert "\x1b" not in piped
    assert plain.replace("\r\n", "\n") == piped


def test_reader_that_leaves_is_no_error(home: Path) -> None:
    body = {"hits": [{**_HIT, "text": "x" * 1_000}] * 2_000, "complete": True, "note": ""}
    command = f"'{sys.executable}' -m gardenerctl search x --json | head -n 1"
    with serving(Home(home), {"search": body}):
        done = subprocess.run(
            ["bash", "-c", f"set -o pipefail; {command}"],
            env={**os.environ, "GARDENER_HOME": str(home)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["path"] == "table.py"


def test_status_imports_nothing_heavy(home: Path) -> None:
    with serving(Home(home), {"status": _STATUS}):
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "gardenerctl", "status"],
            env={**os.environ, "GARDENER_HOME": str(home)},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "zmq" in imported
    heavy = {"rich", "torch", "transformers", "lancedb", "numpy", "psutil", "asyncio", "watchfiles"}
    assert not imported & (heavy | {"platformdirs", "subprocess", "socket"})
