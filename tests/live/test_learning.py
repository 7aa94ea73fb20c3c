"""A night: examples, a real training, the gate, promotion, rollback, completion, feedback.

The base is a small random model, so that a night takes seconds; everything else is what serves.
"""

from __future__ import annotations

import contextlib
import hashlib
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from gardenerd.core.holdout import held_out
from tests.conftest import new_home
from tests.live.conftest import write_library
from tests.live.garden import ONLY_ASKED, TRAIN, Garden, moved_in, until
from tests.tiny_models import make_base

# Trainings have the lowest priority: minutes where others work too, as other files of tests do.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_library(tmp_path_factory.mktemp("code") / "library")


@pytest.fixture(scope="module")
def indexed(base: Path, library: Path) -> Iterator[Path]:
    """A home on the small base in which the library is indexed; nobody is at home."""
    with new_home() as home:
        garden = Garden(home)
        garden.configure(ONLY_ASKED + TRAIN.format(base=base, steps=30))
        garden.start()
        garden.ctl("add", str(library), "--name", "library")
        garden.settle()
        garden.stop()
        yield home


class Night(NamedTuple):
    home: Path
    outcome: dict[str, Any]
    base_before: dict[str, str]


@pytest.fixture(scope="module")
def night(indexed: Path, base: Path) -> Iterator[Night]:
    """The home after its first night."""
    with new_home() as home:
        garden = moved_in(home, indexed)
        garden.start()
        before = digest(base)
        outcome = garden.json("train", "--wait")
        garden.stop()
        yield Night(home, outcome, before)


@pytest.fixture
def grove(home_folder: Path, indexed: Path) -> Iterator[Garden]:
    """A garden on the small base, with the library indexed."""
    garden = moved_in(home_folder, indexed)
    garden.start()
    yield garden
    garden.stop()


@pytest.fixture
def learned(home_folder: Path, night: Night) -> Iterator[Garden]:
    """The same after the night: ``v1`` serves. It has to be started."""
    garden = moved_in(home_folder, night.home)
    yield garden
    garden.stop()


def digest(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def test_a_night_from_code_to_service(
    learned: Garden, night: Night, base: Path, library: Path
) -> None:
    outcome = night.outcome
    assert outcome["outcome"] == "promoted", outcome
    assert outcome["version"] == "v1"
    assert outcome["run"]
    for slice_ in ("recent", "older"):
        assert outcome["scores"][slice_]["candidate"] < outcome["scores"][slice_]["incumbent"]
    assert digest(base) == night.base_before

    learned.start()
    (adapter,) = learned.json("adapters")
    assert (adapter["version"], adapter["serving"], adapter["parent"]) == ("v1", True, None)
    status = learned.json("status")
    assert status["model"] == {**status["model"], "base": str(base), "adapter": "v1"}
    assert status["loop"]["buffer"] > 50
    assert status["loop"]["new_examples"] == 0

    file = str(library / "json" / "encoder.py")
    scores = {
        which: learned.lines("score", file, "--adapter", which)[0]["bits_per_byte"]
        for which in ("base", "current", "v1")
    }
    assert scores["current"] == scores["v1"] < scores["base"]

    learned.ctl("rollback")
    assert learned.json("status")["model"]["adapter"] is None
    assert learned.lines("score", file)[0]["bits_per_byte"] == scores["base"]
    learned.ctl("rollback", "v1")
    learned.stop()
    learned.start()
    assert learned.json("status")["model"]["adapter"] == "v1"
    (run,) = learned.json("history")
    assert (run["outcome"], run["version"]) == ("promoted", "v1")
    learned.ctl("adapters", "pin", "v1")
    assert learned.json("adapters")[0]["pinned"] is True
    assert "pinned" in learned.ctl("adapters")
    assert "serves" in learned.refusal("adapters", "rm", "v1")["message"]
    assert learned.refusal("adapters", "pin", "v9")["code"] == "not_found"
    assert learned.run("adapters", "rm").returncode == 2


def test_completion_and_answers_name_what_served(grove: Garden, library: Path) -> None:
    done = grove.json("complete", f"{library}/json/decoder.py:40", "--max-tokens", "8")
    assert done["adapter"] is None
    assert done["tokens"] <= 8
    answer = grove.lines("ask", "how is a JSON string decoded?")[-1]
    assert answer["mode"] == "extractive"
    assert any(source["path"] == "json/decoder.py" for source in answer["sources"])
    assert "model.base" in answer["text"]


def test_feedback_survives_a_kill(grove: Garden, base: Path) -> None:
    grove.configure(ONLY_ASKED + TRAIN.format(base=base, steps=5))  # from the next start on
    answer = grove.lines("ask", "how is a JSON string decoded?")[-1]["answer"]
    grove.ctl(
        "feedback",
        answer,
        "bad",
        "--correction",
        "call py_scanstring with the text and the index after the quote",
    )
    grove.kill()
    rows = sqlite3.connect(grove.home.database).execute(
        "SELECT answer, verdict, correction FROM feedback"
    )
    assert rows.fetchall() == [
        (answer, "bad", "call py_scanstring with the text and the index after the quote")
    ]
    grove.start()
    (kept,) = grove.json("feedback")
    assert (kept["answer"], kept["verdict"], kept["weak"]) == (answer, "bad", False)
    assert -1 <= kept["reward"] <= 0
    assert grove.json("train", "--wait")["outcome"] in ("promoted", "rolled_back")


def test_held_out_files_are_never_trained_on(night: Night, library: Path) -> None:
    paths = [path.relative_to(library).as_posix() for path in library.rglob("*.py")]
    with contextlib.closing(sqlite3.connect(night.home / "state.db")) as database:
        trained = {row[0] for row in database.execute("SELECT path FROM examples")}
    assert trained
    assert trained.isdisjoint(held_out(paths))


def test_too_little_to_learn_from_is_skipped_with_the_reason(grove: Garden, project: Path) -> None:
    grove.ctl("add", str(project), "--name", "shop")
    grove.settle()
    outcome = grove.json("train", "--wait", "--project", "shop")
    assert outcome["outcome"] == "skipped"
    assert "examples" in outcome["reason"]


def test_a_run_is_paused_resumed_stopped_and_cancelled(grove: Garden, base: Path) -> None:
    grove.stop()
    grove.configure(ONLY_ASKED + TRAIN.format(base=base, steps=100_000))
    grove.start()
    run = grove.json("train")["run"]
    until(lambda: grove.json("status")["loop"]["state"] == "training", 60)
    grove.ctl("pause")
    assert grove.json("status")["loop"]["state"] == "paused"
    worker = next(w for w in grove.json("ps")["workers"] if w["kind"] == "train")
    assert worker["state"] == "frozen"
    assert grove.refusal("train")["code"] == "refused"
    grove.ctl("resume")
    assert grove.json("status")["loop"]["state"] == "training"

    # Stopping while it trains is prompt, and saves.
    grove.signal(signal.SIGTERM)
    assert grove.wait() == 0
    grove.start()
    until(lambda: grove.json("status")["loop"]["state"] == "training", 60)
    assert grove.json("status")["loop"]["run"] == run

    grove.ctl("cancel")
    until(lambda: grove.json("status")["loop"]["state"] in ("watching", "collecting"), 30)
    assert grove.json("adapters") == []
    assert grove.json("history")[0]["outcome"] == "failed"
    assert [w for w in grove.json("ps")["workers"] if w["kind"] == "train"] == []


def test_a_run_goes_on_after_a_kill(grove: Garden, base: Path) -> None:
    grove.stop()
    grove.configure(ONLY_ASKED + TRAIN.format(base=base, steps=120))
    grove.start()
    run = grove.json("train")["run"]
    until(lambda: (grove.json("status")["loop"]["progress"] or 0) > 5, 90)
    grove.kill()
    grove.start()
    until(lambda: grove.json("history")[0]["state"] == "ended", 120)
    (ended,) = grove.json("history")
    assert (ended["run"], ended["outcome"]) == (run, "promoted"), ended["reason"]


def test_another_base_serves_at_once_and_the_adapters_of_each_wait_for_it(
    learned: Garden, base: Path, library: Path, tmp_path: Path
) -> None:
    grove = learned
    grove.start()
    place = (f"{library}/json/decoder.py:40", "--max-tokens", "4")
    assert grove.json("complete", *place)["adapter"] == "v1"
    other = make_base(tmp_path / "other", architecture="llama", seed=9)
    daemon, config = grove.pid, grove.home.config.read_text()
    grove.ctl("train")
    until(lambda: grove.json("status")["loop"]["state"] == "training", 60)

    told = grove.json("model", "use", str(other))
    assert (told["changed"], told["before"]) == (True, str(base))
    assert grove.home.config.read_text() == config.replace(str(base), str(other))
    run = grove.json("history")[0]
    assert (run["run"], run["outcome"]) == (told["ended"][0], "failed")
    assert "the base model was changed" in run["reason"]
    done = grove.json("complete", *place)
    assert (done["base"], done["adapter"], done["warning"]) == (str(other), None, "")
    (waiting,) = grove.json("adapters")
    assert (waiting["waits"], waiting["serving"]) == (True, False)
    assert "of another base" in grove.ctl("adapters")
    assert "another base" in grove.refusal("rollback", "v1")["message"]
    (project,) = grove.json("status")["projects"]
    assert project["new_examples"] > 50
    assert "a run from the base is due" in " ".join(project["notes"])
    assert [a["version"] for a in grove.json("model", "show", str(base))["adapters"]] == ["v1"]

    # Changed by hand while no daemon ran: the same comes of it.
    grove.stop()
    grove.configure(config)
    grove.start()
    assert grove.pid != daemon
    assert grove.json("status")["model"]["adapter"] == "v1"
    assert grove.json("complete", *place)["adapter"] == "v1"
    assert grove.json("model", "use", str(base))["changed"] is False


def test_it_learns_by_itself_and_yields_to_its_user(
    grove: Garden, base: Path, library: Path
) -> None:
    """Inside the window a run starts unasked; a question of its user freezes it at once."""
    grove.stop()
    grove.configure(
        TRAIN.format(base=base, steps=100_000)
        + '[loop]\nwindow = "00:00-23:59"\nbatch_size = 20\nmin_free_memory_mb = 0\n'
    )
    grove.start()
    # Asked rarely: a machine that is busy with asking is not one to train on.
    until(
        lambda: grove.json("status")["loop"]["state"] == "training",
        150,
        lambda: grove.json("status")["loop"]["reason"],
        every=3.0,
    )
    assert grove.lines("search", "decode a JSON string", "-k", "1")
    assert grove.json("status")["loop"]["state"] == "paused"
    worker = next(w for w in grove.json("ps")["workers"] if w["kind"] == "train")
    assert psutil.Process(worker["pid"]).status() == psutil.STATUS_STOPPED
    assert "back" in grove.json("status")["loop"]["reason"]
    # Asked for, the run that began by itself goes on as theirs.
    assert grove.json("train")["run"] == grove.json("history")[0]["run"]
    assert grove.json("status")["loop"]["state"] == "training"
    assert grove.lines("search", "decode a JSON string", "-k", "1")
    assert grove.json("status")["loop"]["state"] == "training"
    grove.ctl("cancel")
    until(lambda: grove.json("history")[0]["state"] == "ended", 30)
