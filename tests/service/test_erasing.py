"""What is found of a file that shall be forgotten, and what is left when it is."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from gardenerd.paths import Home
from gardenerd.service import backlog, erasing
from gardenerd.service.erasing import Traces, trace
from gardenerd.store.adapters import Adapter
from gardenerd.store.conversations import Conversation, Seen
from gardenerd.store.embeddings import Embedding
from gardenerd.store.examples import Stored, example_id
from gardenerd.store.feedback import Given
from gardenerd.store.files import Stat
from gardenerd.store.projects import Project
from gardenerd.store.stores import Stores
from tests.service.conftest import PROJECT

SECRET = "def zanzibarquux(order):\n    return frobnicate(order, 'heliotrope')\n"
OTHER = "def compute_price(order):\n    return sum(item.price for item in order)\n"


@pytest.fixture
def project(stores: Stores) -> Project:
    return stores.projects.get(PROJECT)


def add(stores: Stores, path: str, text: str, *, retired: bool = False) -> str:
    id = example_id(PROJECT, path, text)
    stores.examples.add(
        [
            Stored(
                id=id, project=PROJECT, path=path, symbol="", kind="function", language="python",
                text=text, weight=1.0, source="code", created=1.0, used=0,
            )
        ]
    )  # fmt: skip
    if retired:
        stores.examples.retire_path(PROJECT, path)
    return id


def say(stores: Stores, id: str, text: str, *paths: str, project: str | None = PROJECT) -> None:
    stores.feedback.record_answer(
        Given(
            id=id, project=project, op="ask", question="what is it?", text=text,
            sources=[{"path": path} for path in paths], adapter=None, base="seedling", created=1.0,
        )
    )  # fmt: skip


def run(stores: Stores, number: int, *, learned: list[str]) -> None:
    """A run that learned from ``learned`` and whose adapter serves."""
    started = 100.0 * number
    stores.runs.begin(f"r{number}", PROJECT, started, {})
    version = f"v{number}"
    stores.adapters.promote(
        Adapter(
            project=PROJECT, version=version, number=number, state="candidate", parent=None,
            run=f"r{number}", created=started + 50, scores={}, fingerprint="f",
        ),
        started + 50,
    )  # fmt: skip
    stores.lessons.add(PROJECT, learned, number)
    report = {"scores": [{"path": "secret/s.py"}, {"path": "b.py"}], "learned": {"folders": []}}
    stores.runs.end(
        f"r{number}", outcome="promoted", reason="better", now=started + 50, version=version,
        report=report,
    )  # fmt: skip


def found(stores: Stores, project: Project, place: str = "secret") -> Traces:
    return trace(project, place, stores, 1_000_000)


def erase(stores: Stores, project: Project, place: str = "secret") -> None:
    stores.forgotten.record(PROJECT, place, 900.0)
    erasing.erase(project, place, found(stores, project, place), stores, 1_000.0)


def test_examples_are_found_by_their_path_and_under_an_earlier_name(
    stores: Stores, project: Project
) -> None:
    ours = {
        add(stores, "secret/s.py", SECRET),
        add(stores, "secret/s.py", "x = zanzibarquux\n", retired=True),
        add(stores, "was/here.py", SECRET, retired=True),
    }
    add(stores, "a.py", OTHER)
    add(stores, "gone.py", OTHER, retired=True)
    add(stores, "copy.py", SECRET)  # another file's today
    add(stores, "secretary.py", "def other_one(): ...\n")
    assert set(found(stores, project).examples) == ours
    erase(stores, project)
    assert found(stores, project) == Traces(
        examples=[], answers=[], versions=[], embeddings=[], serving=None, files=0
    )
    assert stores.examples.count(PROJECT) == 3


def test_answers_are_found_by_their_sources_and_by_words_that_nothing_else_has(
    stores: Stores, project: Project
) -> None:
    add(stores, "secret/s.py", SECRET)
    add(stores, "a.py", OTHER)
    stores.projects.add("q", "other", Path("/somewhere/other"), 1.0)
    stores.files.mark("q", [Stat("secret/t.py", 1, 1, 1, 1)])
    say(stores, "quoted", "see there", "a.py", "secret/s.py")
    say(stores, "worded", "call frobnicate first", "a.py")
    say(stores, "nobody's", "zanzibarquux", project=None)
    say(stores, "corrected", "see there", "a.py")
    stores.feedback.record("corrected", "bad", "zanzibarquux it is", None, 2.0)
    say(stores, "common", "compute_price returns it", "a.py")
    say(stores, "theirs", "zanzibarquux", "secret/t.py", project="q")
    add(stores, "feedback/worded", "call frobnicate first")  # it was learned from
    gone = {"quoted", "worded", "nobody's", "corrected"}
    assert set(found(stores, project).answers) == gone
    erase(stores, project)
    assert {given.id for given in stores.feedback.each_answer()} == {"common", "theirs"}
    assert stores.feedback.judgements(PROJECT) == []


def test_what_was_said_after_it_in_a_conversation_goes_too(
    stores: Stores, project: Project
) -> None:
    for talk in (["before", "quoted", "after"], ["another"]):
        conversation = Conversation.begin()
        for length, id in enumerate(talk):
            say(stores, id, "see there", "secret/s.py" if id == "quoted" else "a.py")
            now = msgspec.structs.replace(conversation, length=length)
            seen = Seen(
                project=PROJECT, path="a.py", start_line=1, end_line=1, digest="", text="heliotrope"
            )
            stores.conversations.record(now, id, PROJECT, [seen])
    assert set(found(stores, project).answers) == {"quoted", "after"}
    erase(stores, project)
    left = stores.database.rows("SELECT answer FROM turns")
    assert {row[0] for row in left} == {"before", "another"}


def test_words_are_also_those_of_the_file_on_the_disk(stores: Stores, tmp_path: Path) -> None:
    (tmp_path / "held.py").write_text(SECRET)  # held out: no example is made of it
    project = stores.projects.add("d", "disk", tmp_path, 1.0)
    stores.files.mark("d", [Stat("held.py", 1, 1, 1, 1)])
    say(stores, "worded", "call frobnicate first", project="d")
    assert found(stores, project, "held.py").answers == ["worded"]
    assert found(stores, project, "held.py").files == 1


def test_adapters_since_the_run_that_learned_from_it_are_deleted(
    stores: Stores, project: Project
) -> None:
    run(stores, 1, learned=["a.py"])
    run(stores, 2, learned=["a.py", "secret/s.py"])
    run(stores, 3, learned=["a.py"])  # grew from v2
    stores.adapters.pin(PROJECT, "v2", pinned=True)
    a = add(stores, "a.py", OTHER)
    stores.examples.mark_used({a: 1.0})
    traces = found(stores, project)
    assert (traces.versions, traces.serving) == (["v2", "v3"], "v3")
    erase(stores, project)
    assert [each.version for each in stores.adapters.all(PROJECT)] == ["v1"]
    assert stores.adapters.serving(PROJECT) is None
    assert stores.adapters.previous(PROJECT) is None
    # All the rest is to be learned again, from the base.
    assert [item.id for item in stores.examples.new(PROJECT)] == [a]
    stores.forgotten.undo(PROJECT, "secret")
    assert backlog.new_examples(PROJECT, stores) == 1
    assert any("run from the base" in note for note in backlog.notes(PROJECT, stores))
    reasons = {each.id: each.reason for each in stores.runs.all(PROJECT)}
    assert reasons["r1"] == "better"
    assert "weights were deleted" in reasons["r2"]
    assert all(each.report["scores"] == [{"path": "b.py"}] for each in stores.runs.all(PROJECT))


def test_adapters_that_never_learned_from_it_stay(stores: Stores, project: Project) -> None:
    run(stores, 1, learned=["a.py", "secretary.py"])
    a = add(stores, "a.py", OTHER)
    stores.examples.mark_used({a: 1.0})
    add(stores, "secret/s.py", SECRET)
    erase(stores, project)
    assert stores.adapters.serving(PROJECT) == "v1"
    assert stores.examples.new(PROJECT) == []
    assert backlog.notes(PROJECT, stores) == ["1 being forgotten"]
    assert backlog.new_examples(PROJECT, stores) == 0


@pytest.mark.parametrize("from_feedback", [False, True])
def test_what_was_learned_is_known_after_the_examples_went(
    stores: Stores, project: Project, from_feedback: bool
) -> None:
    """By another name that the file had, or by an answer about it."""
    run(stores, 1, learned=["feedback/quoted" if from_feedback else "was/here.py"])
    add(stores, "secret/s.py", SECRET)
    add(stores, "was/here.py", SECRET, retired=True)
    say(stores, "quoted", "see there", "secret/s.py")
    assert found(stores, project).versions == ["v1"]


def test_of_adapters_before_the_record_nobody_knows(stores: Stores, project: Project) -> None:
    run(stores, 1, learned=[""])  # as the migration writes it
    assert found(stores, project).versions == ["v1"]
    erase(stores, project)
    run(stores, 2, learned=["a.py"])
    assert found(stores, project, "b.py").versions == []


def test_folders_of_runs_and_weights_go(home: Home, stores: Stores, project: Project) -> None:
    run(stores, 1, learned=["a.py"])
    run(stores, 2, learned=["secret/s.py"])
    stores.projects.add("q", "other", Path("/somewhere/other"), 1.0)
    stores.runs.begin("theirs", "q", 1.0, {})
    for name in ("r1", "r2", "theirs", "of-no-ledger"):
        (home.run_folder(name)).mkdir()
        (home.run_folder(name) / "fresh.jsonl").write_text(SECRET)
    for version in ("v1", "v2"):
        home.adapter(PROJECT, version).mkdir(parents=True)
    for owner in (PROJECT, "q"):
        home.embedding(owner, "v1").parent.mkdir()
        home.embedding(owner, "v1").write_text(SECRET)
        stores.embeddings.add(
            Embedding(
                project=owner, version="v1", number=1, state="serving", created=1.0, reason="",
                fingerprint="f", report={},
            )
        )  # fmt: skip
    assert found(stores, project).embeddings == ["v1"]
    erase(stores, project)
    erasing.delete_weights(project, home, stores)
    assert [each.project for each in stores.embeddings.in_service()] == ["q"]
    assert list(home.embeddings.glob("*/*")) == [home.embedding("q", "v1")]
    assert erasing.delete_runs(project, home, stores) == 3
    assert [path.name for path in home.runs.iterdir()] == ["theirs"]
    assert [path.name for path in (home.adapters / PROJECT).iterdir()] == ["v1"]


def test_lines_of_logs_go_and_their_writers_go_on(home: Home) -> None:
    with home.log_file.open("a") as writer:
        writer.write('{"cause": "cannot read /x/secret/s.py"}\n{"cause": "secret/s.pyi"}\nplain\n')
        writer.flush()
        assert erasing.erase_log_lines("secret/s.py", home) == 1
        writer.write("later\n")
    assert home.log_file.read_text() == '{"cause": "secret/s.pyi"}\nplain\nlater\n'
    assert erasing.erase_log_lines("secret/s.py", home) == 0
