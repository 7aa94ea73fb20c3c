"""What is forgotten is gone: from search, completion and score, and from every byte of the home."""

from __future__ import annotations

import contextlib
import random
import signal
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from gardenerd.core.holdout import held_out
from gardenerd.errors import GardenerError
from gardenerd.wire.client import Client
from gardenerd.wire.messages import Forget, Reply
from tests.live.conftest import write_library
from tests.live.garden import ONLY_ASKED, TRAIN, Garden, until

# In no other file: where one of them is, something of the file is left.
CANARIES = (b"zanzibarquux", b"Frobnicator7431", b"heliotrope-kestrel-marzipan")
_SYLLABLES = ("ba", "cor", "dil", "fen", "gor", "hal", "jub", "kem", "lor", "mip", "nub", "pel")


def canary(number: int) -> str:
    """A class of canaries unlike the others: of near-duplicates only one is learned from."""
    chance = random.Random(number)

    def word() -> str:
        return "".join(chance.choices(_SYLLABLES, k=3))

    lines = [
        f"        {word()} = self.{word()}({word()}, {chance.randrange(999)}) {sign} {word()}"
        for sign in chance.choices("+-*/", k=8)
    ]
    return "\n".join(
        [
            f"\n\nclass Frobnicator7431_{number}({word().title()}):",
            f'    """The heliotrope-kestrel-marzipan phrase of {word()} and {word()}."""\n',
            f"    def zanzibarquux_{number}(self, {word()}, {word()}):",
            *lines,
            f"        return {word()}.{word()}({word()})",
        ]
    )


def planted(root: Path, folder: str) -> Path:
    """A file of canaries in ``folder`` that is learned from: not one that is held out."""
    there = [path.relative_to(root).as_posix() for path in root.rglob("*.py")]
    name = next(
        path
        for n in range(100)
        if (path := f"{folder}/hidden{n}.py") not in held_out([*there, path])
    )
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_text("".join(map(canary, range(60))))
    return root / name


def holding(home: Path, words: Sequence[bytes] = CANARIES) -> dict[str, list[bytes]]:
    """The files of the home in which one of ``words`` is, with those that are."""
    found: dict[str, list[bytes]] = {}
    for file in home.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            if there := [word for word in words if word in content]:
                found[file.relative_to(home).as_posix()] = there
    return found


@pytest.fixture
def grove(resting: Garden, base: Path) -> Garden:
    resting.configure(ONLY_ASKED + TRAIN.format(base=base, steps=60))
    resting.start()
    return resting


def bits(grove: Garden, file: Path, adapter: str = "current") -> float:
    (score,) = grove.lines("score", str(file), "--adapter", adapter, "--project", "library")
    return score["bits_per_byte"]


@pytest.mark.timeout(600)  # two trainings: minutes where others work too
def test_a_file_that_was_learned_is_gone_from_everywhere(
    grove: Garden, library: Path, tmp_path: Path
) -> None:
    secret = planted(library, "hidden")
    name = secret.relative_to(library).as_posix()
    kept = tmp_path / "canary.py"  # outside of any project: what is scored by
    kept.write_text(secret.read_text())
    grove.ctl("add", str(library), "--name", "library")
    grove.settle()
    outcome = grove.json("train", "--wait")
    assert outcome["outcome"] == "promoted", outcome
    answer = grove.lines("ask", "where is the heliotrope-kestrel-marzipan phrase?")[-1]
    grove.ctl("feedback", answer["answer"], "good", "--correction", "zanzibarquux_3 gives it")
    other = grove.lines("ask", "how is a JSON string decoded?")[-1]["answer"]
    grove.ctl("feedback", other, "good")
    completed = grove.json("complete", f"{secret}:8", "--max-tokens", "8")
    assert completed["adapter"] == "v1"

    assert grove.json("embedding", "tune")["pairs"]["docstring"] > 100

    # It is there, so that its absence can be seen.
    assert name in grove.found("Frobnicator7431_3")
    assert bits(grove, kept) < bits(grove, kept, "base")
    assert "state.db-wal" in holding(grove.home.root)
    # Compaction may have compressed the rows by then: so every file of before must go.
    index = [file for file in (grove.home.index / "lance").rglob("*.lance") if file.is_file()]
    assert index
    files = grove.json("status")["projects"][0]["files"]

    done = grove.json("forget", str(secret))
    removed = done["removed"]
    assert (done["path"], removed["files"], removed["adapters"]) == (name, 1, ["v1"])
    assert removed["embeddings"] == ["v1"]
    assert removed["chunks"] >= 60
    assert removed["examples"] >= 60
    assert (removed["answers"], removed["feedback"]) == (2, 1)
    assert (done["serving"], done["fresh_run"]) == (None, True)

    def gone() -> None:
        assert holding(grove.home.root) == {}
        assert not [file for file in index if file.exists()]
        assert name not in grove.found("Frobnicator7431_3 zanzibarquux", 50)
        assert bits(grove, kept) == bits(grove, kept, "base")
        assert grove.json("complete", f"{secret}:8", "--max-tokens", "8")["adapter"] is None
        assert grove.json("adapters") == []
        assert grove.json("embedding") == []
        assert list(grove.home.embeddings.iterdir()) == []
        status = grove.json("status")
        assert status["projects"][0]["files"] == files - 1
        assert "run from the base is due" in " ".join(status["projects"][0]["notes"])
        assert grove.found("decode a JSON string")
        assert [each["answer"] for each in grove.json("feedback")] == [other]

    gone()
    assert not (grove.home.adapters / "v1").exists()
    assert "weights were deleted" in grove.json("history")[0]["reason"]
    why = grove.json("why", str(secret))
    assert (why["state"], why["chunks"], why["examples"]) == ("excluded", 0, 0)
    assert f"gardenerctl forget --undo {secret}" in why["reason"]
    (place,) = grove.json("forget", "--list")
    assert (place["path"], bool(place["done"])) == (name, True)

    # It stays gone, whatever happens to the file.
    secret.write_text(secret.read_text() + "\n# zanzibarquux again\n")
    grove.settle()
    gone()
    grove.stop()
    grove.start()
    grove.ctl("rescan")
    grove.settle()
    gone()

    # A run from the base learns from all the rest.
    fresh = grove.json("train", "--wait")
    assert fresh["outcome"] in ("promoted", "abstained", "rolled_back"), fresh
    run = grove.json("history", fresh["run"])
    assert run["report"]["learned"]["new"] > 50
    assert run["report"]["learned"]["replayed"] == 0
    assert holding(grove.home.root) == {}

    grove.ctl("forget", "--undo", str(secret))
    grove.settle()
    assert name in grove.found("Frobnicator7431_3")
    assert grove.json("forget", "--list") == []


@pytest.mark.timeout(600)  # fourteen starts
def test_a_kill_at_any_step_is_made_good_at_the_next_start(garden: Garden, project: Path) -> None:
    hidden = project / "hidden"
    hidden.mkdir()
    files = [hidden / f"part{number}.py" for number in range(7)]
    for number, file in enumerate(files):
        file.write_text(f"def zanzibarquux_{number}_z():\n    return 'zanzibarquux_{number}_z'\n")
    garden.ctl("add", str(project), "--name", "shop")
    garden.settle()
    killed_before_the_end = 0
    for number, file in enumerate(files):
        word = f"zanzibarquux_{number}_z"
        assert garden.found(word) & {f"hidden/part{number}.py"}
        garden.stop()
        weights = serve_an_adapter(garden, word)
        garden.start()
        assert garden.json("status")["model"]["adapter"] == "v1"
        with Client(garden.home) as client, contextlib.suppress(GardenerError):
            client.call(
                Forget(path=str(file)),
                on_update=lambda reply, at=number: kill_at(reply, at, garden),
                timeout_s=60,
            )
        garden.wait()
        with sqlite3.connect(garden.home.database) as database:
            query = "SELECT count(*) FROM forgotten WHERE done IS NULL"
            killed_before_the_end += database.execute(query).fetchone()[0]
        database.close()

        garden.start()
        until(lambda: all(place["done"] for place in garden.json("forget", "--list")), 60)
        assert holding(garden.home.root, [word.encode()]) == {}
        assert garden.json("status")["model"]["adapter"] is None
        assert not weights.exists()
        assert garden.json("embedding") == []
        assert list(garden.home.embeddings.iterdir()) == []
        assert garden.json("why", str(file))["state"] == "excluded"
        garden.ctl("rescan")
        garden.settle()
        assert not garden.found(word) & {f"hidden/part{number}.py"}
    assert killed_before_the_end > 4
    assert garden.found("total price of a basket")


def serve_an_adapter(garden: Garden, word: str) -> Path:
    """Have ``v1`` serve, of which nobody knows what it learned, beside a run's folder."""
    with sqlite3.connect(garden.home.database) as database:
        (project,) = database.execute("SELECT id FROM projects").fetchone()
        database.execute("DELETE FROM adapters")
        database.execute(
            "INSERT INTO adapters (project, version, number, state, created) "
            "VALUES (?, 'v1', 1, 'serving', 1)",
            (project,),
        )
        database.execute("INSERT OR REPLACE INTO serving VALUES (?, 'v1', NULL, 1)", (project,))
        database.execute("INSERT OR REPLACE INTO lessons VALUES (?, '', 0)", (project,))
        database.execute("DELETE FROM embeddings")
        database.execute(
            "INSERT INTO embeddings (project, version, number, state, created, reason) "
            "VALUES (?, 'v1', 1, 'serving', 1, ?)",
            (project, word),
        )
        database.execute(
            "INSERT OR REPLACE INTO embedding_serving VALUES (?, 'v1', NULL, 1)", (project,)
        )
    database.close()
    tuned = garden.home.embedding(project, "v1")
    tuned.parent.mkdir(exist_ok=True)
    tuned.write_text(word)
    weights = garden.home.adapter(project, "v1")
    weights.mkdir(parents=True)
    for name in ("adapter_model.safetensors", "card.json"):
        (weights / name).write_text(word)
    run = garden.home.run_folder("20260101-000000-abcd")
    run.mkdir()
    (run / "fresh.jsonl").write_text(word)
    return weights


def kill_at(reply: Reply, step: int, garden: Garden) -> None:
    if reply.body["done"] == step:
        garden.signal(signal.SIGKILL)


def test_folders_missing_files_and_what_is_refused(garden: Garden, project: Path) -> None:
    words = [f"zanzibarquux_{name}_z" for name in ("one", "two", "gone", "else")]
    for word, name in zip(words, ("old/one.py", "old/deep/two.py", "gone.py", "e.py"), strict=True):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(f"def {word}():\n    return '{word}'\n")
    garden.ctl("add", str(project), "--name", "shop")
    garden.settle()
    (project / "gone.py").unlink()
    garden.settle()
    assert b"zanzibarquux_gone_z" in holding_words(garden, words)  # deleted, but not forgotten

    assert garden.json("forget", str(project / "gone.py"))["removed"]["files"] == 0
    assert garden.json("forget", str(project / "old"))["removed"]["files"] == 2
    assert holding_words(garden, words) == {b"zanzibarquux_else_z"}
    (project / "gone.py").write_text("def zanzibarquux_gone_z(): ...\n")
    (project / "old/new.py").write_text("def zanzibarquux_two_z(): ...\n")
    garden.settle()
    assert holding_words(garden, words) == {b"zanzibarquux_else_z"}
    assert garden.found("zanzibarquux_else_z") >= {"e.py", "shop/basket.py"}

    assert "gardenerctl remove shop" in garden.refusal("forget", str(project))["hint"]
    assert garden.refusal("forget", str(project.parent / "x.py"))["code"] == "not_found"
    inside = garden.refusal("forget", "--undo", str(project / "old/one.py"))
    assert str(project / "old") in inside["hint"]
    assert garden.refusal("forget", "--undo", str(project / "e.py"))["code"] == "not_found"
    garden.ctl("forget", "--undo", str(project / "old"))
    garden.settle()
    assert garden.found("zanzibarquux_two_z") >= {"old/new.py", "old/deep/two.py"}


def holding_words(garden: Garden, words: Sequence[str]) -> set[bytes]:
    found = holding(garden.home.root, [word.encode() for word in words])
    return {word for there in found.values() for word in there}


@pytest.mark.parametrize("killed", [False, True])
def test_a_run_under_way_is_ended(
    resting: Garden, base: Path, tmp_path: Path, killed: bool
) -> None:
    library = write_library(tmp_path / "library", ("json", "html", "email"))
    secret = planted(library, "hidden")
    grove = resting
    grove.configure(ONLY_ASKED + TRAIN.format(base=base, steps=100_000))
    grove.start()
    grove.ctl("add", str(library), "--name", "library")
    grove.settle()
    run = grove.json("train")["run"]
    until(lambda: grove.json("status")["loop"]["state"] == "training", 90)
    assert any(place.startswith("runs/") for place in holding(grove.home.root))
    if killed:  # the next start must not take it up again
        with Client(grove.home) as client, contextlib.suppress(GardenerError):
            client.call(
                Forget(path=str(secret)),
                on_update=lambda reply: kill_at(reply, 0, grove),
                timeout_s=60,
            )
        grove.wait()
        grove.start()
        until(lambda: all(place["done"] for place in grove.json("forget", "--list")), 60)
    else:
        done = grove.json("forget", str(secret))
        assert (done["ended_run"], done["removed"]["adapters"]) == (run, [])
    assert holding(grove.home.root) == {}
    ended = grove.json("history", run)
    assert (ended["outcome"], "forgot" in ended["reason"]) == ("failed", True)
    assert [w for w in grove.json("ps")["workers"] if w["kind"] == "train"] == []
