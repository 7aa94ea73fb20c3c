"""The tables by subject, on a real database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gardenerd.errors import NotFoundError, RefusedError
from gardenerd.store.adapters import Adapter
from gardenerd.store.examples import Stored, example_id
from gardenerd.store.feedback import Given
from gardenerd.store.files import Stat
from gardenerd.store.stores import Stores
from gardenerd.workers.jobs import FileResult


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    made = Stores(tmp_path / "state.db")
    made.projects.add("p", "shop", Path("/src/shop"), 1.0)
    yield made
    made.close()


def stat(path: str, mtime: int = 1) -> Stat:
    return Stat(path, 10, mtime, mtime, 7)


def indexed(path: str, **changes: object) -> FileResult:
    values = {"digest": "d1", "chunks": 3, "new_chunks": 3, "size": 10, "mtime_ns": 1}
    return FileResult(path=path, state="indexed", **{**values, **changes})  # pyright: ignore


def example(text: str, *, source: str = "code", path: str = "a.py") -> Stored:
    return Stored(
        id=example_id("p", path, text), project="p", path=path, symbol="f", kind="function",
        language="python", text=text, weight=1.0, source=source, created=1.0, used=0,
    )  # fmt: skip


def adapter(number: int) -> Adapter:
    return Adapter(
        project="p", version=f"v{number}", number=number, state="candidate", parent=None,
        run=f"r{number}", created=1.0, scores={}, fingerprint="f",
    )  # fmt: skip


def test_projects_have_names_and_paths_of_their_own(stores: Stores) -> None:
    with pytest.raises(RefusedError, match="tended already"):
        stores.projects.add("q", "other", Path("/src/shop"), 1.0)
    with pytest.raises(RefusedError, match="named"):
        stores.projects.add("q", "shop", Path("/src/other"), 1.0)
    with pytest.raises(NotFoundError) as caught:
        stores.projects.get("nope")
    assert "shop" in caught.value.hint
    found = stores.projects.containing(Path("/src/shop/a/b.py"))
    assert found is not None
    assert found[1] == "a/b.py"
    assert stores.projects.containing(Path("/src/shopping/a.py")) is None


def test_a_file_goes_from_pending_to_indexed(stores: Stores) -> None:
    stores.files.mark("p", [stat("a.py"), stat("b.py")])
    assert stores.files.counts("p").pending == 2
    claim = stores.files.claim("p", 10)
    assert sorted(claim.paths) == ["a.py", "b.py"]
    assert not stores.files.claim("p", 10)
    stores.files.finish("p", [indexed("a.py"), indexed("b.py")], 5.0)
    counts = stores.files.counts("p")
    assert (counts.files, counts.chunks, counts.pending, counts.new_chunks) == (2, 6, 0, 6)
    assert stores.files.hit_state("p", "a.py", "d1") == "fresh"


def test_a_change_while_it_is_indexed_keeps_it_pending(stores: Stores) -> None:
    stores.files.mark("p", [stat("a.py")])
    stores.files.claim("p", 10)
    stores.files.mark("p", [stat("a.py", 2)])
    stores.files.finish("p", [indexed("a.py")], 5.0)
    assert stores.files.has_pending("p")
    assert stores.files.hit_state("p", "a.py", "d1") == "pending"
    assert stores.files.claim("p", 10).paths == ["a.py"]


def test_what_a_dead_worker_had_claimed_is_given_back(stores: Stores) -> None:
    stores.files.mark("p", [stat("a.py")])
    stores.files.claim("p", 10)
    stores.files.release("p")
    assert stores.files.claim("p", 10).paths == ["a.py"]


def test_what_is_gone_leaves_the_table_only_when_the_index_has_followed(stores: Stores) -> None:
    stores.files.mark("p", [stat("a.py")])
    stores.files.claim("p", 10)
    stores.files.finish("p", [indexed("a.py")], 5.0)
    stores.files.mark("p", [], ["a.py"])
    assert stores.files.hit_state("p", "a.py") == "gone"
    assert stores.files.claim("p", 10).remove == ["a.py"]
    stores.files.finish("p", [FileResult(path="a.py", state="gone")], 6.0)
    assert stores.files.counts("p").files == 0


def test_harvested_chunks_are_not_new_again(stores: Stores) -> None:
    stores.files.mark("p", [stat("a.py")])
    stores.files.claim("p", 10)
    stores.files.finish("p", [indexed("a.py")], 5.0)
    assert stores.files.unharvested("p") == ["a.py"]
    stores.files.harvested("p", ["a.py"])
    assert stores.files.unharvested("p") == []


def test_examples_are_kept_once_and_retire(stores: Stores) -> None:
    one, two = example("x = 1"), example("y = 2")
    assert stores.examples.add([one, two]) == 2
    assert stores.examples.add([one]) == 0
    assert stores.examples.count_new("p") == 2
    stores.examples.mark_used({one.id: 1.5})
    assert [item.id for item in stores.examples.old("p")] == [one.id]
    assert [item.id for item in stores.examples.new("p")] == [two.id]
    stores.examples.retire_path("p", "a.py", [two.id])
    assert stores.examples.count("p") == 1
    stores.examples.add([one])  # the code came back
    assert stores.examples.count("p") == 2
    assert [found.text for found in stores.examples.get([two.id, "none", one.id])] == [
        "y = 2",
        "x = 1",
    ]
    stores.examples.delete([one.id])
    assert stores.examples.count("p") == 1


def test_runs_are_numbered_within_their_project(stores: Stores) -> None:
    stores.projects.add("q", "other", Path("/elsewhere"), 1.0)
    for number, (run, project) in enumerate((("r1", "p"), ("r2", "q"), ("r3", "p"))):
        stores.runs.begin(run, project, float(number), {})
    assert [stores.runs.number(run) for run in ("r1", "r2", "r3")] == [0, 0, 1]


def test_feedback_never_retires_with_code(stores: Stores) -> None:
    kept = example("because", source="feedback", path="feedback/1")
    stores.examples.add([kept])
    stores.examples.retire_path("p", "feedback/1")
    assert stores.examples.count("p") == 1


def test_feedback_takes_effect_once_for_a_key(stores: Stores) -> None:
    stores.feedback.record_answer(
        Given(id="a1", project="p", op="ask", question="q", text="t", sources=[{"path": "a.py"}],
              adapter=None, base="seedling", created=1.0)
    )  # fmt: skip
    assert stores.feedback.record("a1", "bad", "better", "k1", 2.0)
    assert not stores.feedback.record("a1", "bad", "better", "k1", 3.0)
    with pytest.raises(NotFoundError):
        stores.feedback.record("none", "good", None, None, 2.0)
    (judged,) = stores.feedback.judgements("p")
    assert (judged.question, judged.correction) == ("q", "better")
    stores.feedback.mark_harvested([judged.id])
    assert stores.feedback.count_unharvested("p") == 0


def test_what_serves_is_flipped_and_flipped_back(stores: Stores) -> None:
    assert stores.adapters.serving("p") is None
    stores.adapters.promote(adapter(1), 1.0)
    stores.adapters.promote(adapter(2), 2.0)
    assert stores.adapters.next_number("p") == 3
    assert (stores.adapters.serving("p"), stores.adapters.previous("p")) == ("v2", "v1")
    assert [a.state for a in stores.adapters.all("p")] == ["retired", "serving"]
    assert stores.adapters.serve("p", "v1", 3.0) == "v2"
    assert stores.adapters.serve("p", None, 4.0) == "v1"
    assert stores.adapters.serving("p") is None
    assert {a.state for a in stores.adapters.all("p")} == {"retired"}
    stores.adapters.mark_damaged("p", "v2")
    with pytest.raises(RefusedError, match="damaged"):
        stores.adapters.serve("p", "v2", 5.0)
    with pytest.raises(NotFoundError):
        stores.adapters.serve("p", "v9", 5.0)


def test_the_ledger_of_runs(stores: Stores) -> None:
    stores.runs.begin("r1", "p", 1.0, {"attended": True})
    assert [run.id for run in stores.runs.unfinished()] == ["r1"]
    stores.runs.frozen("r1")
    stores.runs.end("r1", outcome="promoted", reason="better", now=2.0, version="v1",
                    scores={"recent": {"incumbent": 2.0}})  # fmt: skip
    assert stores.runs.unfinished() == []
    (run,) = stores.runs.history("p", 5)
    assert (run.outcome, run.version, run.scores) == (
        "promoted",
        "v1",
        {"recent": {"incumbent": 2.0}},
    )
    assert stores.runs.last_ended("p") == run
    assert stores.runs.get("none") is None


def test_meta_values(stores: Stores) -> None:
    stores.meta.set("k", "v")
    stores.meta.set("k", "w")
    assert stores.meta.get("k") == "w"
    stores.meta.set("k", None)
    assert stores.meta.get("k") is None


def test_removing_a_project_takes_all_of_it(stores: Stores) -> None:
    stores.files.mark("p", [stat("a.py")])
    stores.examples.add([example("x = 1")])
    stores.adapters.promote(adapter(1), 1.0)
    stores.projects.remove("p")
    for table in ("files", "examples", "adapters", "serving"):
        assert stores.database.value(f"SELECT count(*) FROM {table}") == 0


def test_activity_counts_minutes_by_hour_for_four_weeks(stores: Stores) -> None:
    for minute in (1, 1, 2, 3):
        stores.activity.note("2026-11-01", 9, minute)
    stores.activity.note("2026-11-01", 23, 59)
    counts, days = stores.activity.by_hour()
    assert (counts[9], counts[23], sum(counts), days) == (3, 1, 4, 1)
    for day in range(1, 31):
        stores.activity.note(f"2026-12-{day:02}", 10, 0)
    counts, days = stores.activity.by_hour()
    assert (counts[9], counts[10], days) == (0, 28, 28)
