"""The buffer that the mixes draw from: what is gone leaves it, what was learned is replayed."""

from __future__ import annotations

from bench.learner import Buffer, Mix, Week
from gardenerd.workers.train_jobs import Example


def week(path: str, *names: str) -> Week:
    examples = [
        Example(id=f"{path}/{name}", path=path, kind="function", language="python", text=name)
        for name in names
    ]
    return Week(examples=examples, changed={path}, churning=set(), next={})


def test_code_that_a_file_lost_leaves_and_other_files_stay() -> None:
    buffer = Buffer()
    buffer.take(week("a.py", "one", "two"), 0.0)
    buffer.take(week("b.py", "three"), 0.0)
    buffer.learned({"a.py/two": 2.0})
    buffer.take(week("a.py", "two", "four"), 1.0)
    assert set(buffer.held) == set(buffer.items) == {"a.py/two", "a.py/four", "b.py/three"}
    assert buffer.items["a.py/two"].cost == 2.0


def test_a_mix_replays_its_share_of_what_was_learned() -> None:
    buffer = Buffer()
    buffer.take(week("a.py", *map(str, range(40))), 0.0)
    buffer.learned({f"a.py/{i}": i / 10 for i in range(20)})
    for share, replayed in ((0.0, 0), (0.25, 5), (0.5, 10)):
        chosen = buffer.compose(Mix("", share), 20, night=1)
        assert len(chosen) == 20
        assert sum(int(example.text) < 20 for example in chosen) == replayed


def test_what_churns_waits_until_it_rests() -> None:
    buffer = Buffer()
    buffer.take(week("a.py", "one", "two"), 0.0)
    busy = week("b.py", "three")
    busy.churning.add("b.py")
    buffer.take(busy, 0.0)
    resting = Mix("", 0.5, resting=True)
    assert {each.path for each in buffer.compose(resting, 10, night=1)} == {"a.py"}
    assert len(buffer.compose(Mix("", 0.5), 10, night=1)) == 3
    buffer.take(week("a.py", "one", "two"), 1.0)
    assert len(buffer.compose(resting, 10, night=2)) == 3
