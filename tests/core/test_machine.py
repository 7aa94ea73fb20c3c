"""The loop's states: the ordinary night, every interruption, and any order of events."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gardenerd.core import effects, events
from gardenerd.core.machine import IllegalMove, Loop, step


def walk(*happened: events.Event, loop: Loop | None = None) -> tuple[Loop, list[effects.Effect]]:
    loop, done = loop or Loop(), []
    for event in happened:
        loop, wanted = step(loop, event, new_run="r1")
        done += [effect for effect in wanted if not isinstance(effect, effects.Announce)]
    return loop, done


ALLOWED = events.Considered(allowed=True, reason="idle", project="p", new_examples=60)
STARTED = (ALLOWED, events.Prepared(run="r1"))
BACK = events.Held(by="host", reason="you are back")


def test_a_night_from_start_to_end() -> None:
    loop, done = walk(
        *STARTED,
        events.Advanced(run="r1", phase="validating"),
        events.Ended(run="r1", outcome="promoted", reason="better"),
    )
    assert loop.phase == "watching"
    assert done == [
        effects.Prepare(run="r1", project="p", attended=False),
        effects.Launch(run="r1"),
    ]
    assert "promoted" in loop.reason


def test_new_examples_that_may_not_be_learned_yet_are_collected_with_the_reason() -> None:
    loop, _ = walk(
        events.Considered(allowed=False, reason="12 of 50 new examples", new_examples=12)
    )
    assert (loop.phase, loop.reason) == ("collecting", "12 of 50 new examples")


def test_the_user_comes_back_and_leaves_again() -> None:
    loop, done = walk(*STARTED, events.Advanced(run="r1", phase="validating"), BACK)
    assert loop.phase == "paused"
    assert done[-1] == effects.Freeze()
    loop, done = walk(events.Released(by="host"), loop=loop)
    assert loop.phase == "validating"
    assert done == [effects.Thaw()]


def test_a_long_pause_frees_the_memory_and_resumes_from_the_checkpoint() -> None:
    loop, done = walk(*STARTED, BACK, events.HeldLong(), events.Suspended(run="r1"))
    assert loop.phase == "paused"
    assert loop.on_disk
    assert done[-2:] == [effects.Freeze(), effects.Suspend()]
    loop, done = walk(events.Released(by="host"), loop=loop)
    assert loop.phase == "training"
    assert done == [effects.Launch(run="r1")]


def test_released_while_saving_goes_on_when_saved() -> None:
    loop, _ = walk(*STARTED, BACK, events.HeldLong(), events.Released(by="host"))
    loop, done = walk(events.Suspended(run="r1"), loop=loop)
    assert loop.phase == "training"
    assert done == [effects.Launch(run="r1")]


def test_a_run_that_a_person_asked_for_goes_on_while_they_work() -> None:
    attended = (events.Requested(project="p"), events.Prepared(run="r1"))
    loop, done = walk(*attended, BACK)
    assert loop.phase == "training"
    loop, done = walk(events.Held(by="person", reason="paused by you"), loop=loop)
    assert (loop.phase, done) == ("paused", [effects.Freeze()])


def test_a_hold_before_the_start_keeps_the_run_from_starting() -> None:
    loop, done = walk(ALLOWED, BACK, events.Prepared(run="r1"))
    assert loop.phase == "paused"
    assert effects.Launch(run="r1") not in done
    _, done = walk(events.Released(by="host"), loop=loop)
    assert done == [effects.Launch(run="r1")]


def test_both_holders_must_let_go() -> None:
    loop, _ = walk(*STARTED, BACK, events.Held(by="person", reason="paused by you"))
    loop, done = walk(events.Released(by="host"), loop=loop)
    assert (loop.phase, done) == ("paused", [])


def test_one_run_at_a_time() -> None:
    loop, _ = walk(*STARTED)
    with pytest.raises(IllegalMove):
        step(loop, events.Requested(project="q"), new_run="r2")
    assert step(loop, ALLOWED, new_run="r2") == (loop, [])


def test_a_run_that_began_by_itself_becomes_its_users_when_they_ask_for_it() -> None:
    loop, _ = walk(*STARTED)
    loop, done = step(loop, events.Requested(project=loop.project), new_run="r2")
    assert (loop.run, loop.phase, loop.attended, done) == ("r1", "training", True, [])
    loop, done = walk(BACK, loop=loop)
    assert (loop.phase, done) == ("training", [])  # and yields to them no more


def test_asked_for_while_it_yields_it_goes_on() -> None:
    loop, _ = walk(*STARTED, BACK)
    loop, done = step(loop, events.Requested(project=loop.project), new_run="r2")
    assert loop.phase == "training"
    assert effects.Thaw() in done


def test_news_of_another_run_is_a_defect() -> None:
    loop, _ = walk(*STARTED)
    with pytest.raises(IllegalMove):
        step(loop, events.Ended(run="r0", outcome="failed", reason="x"))


ANY = st.sampled_from(
    [
        ALLOWED,
        events.Considered(allowed=False, reason="on battery", new_examples=3),
        events.Requested(project="p"),
        events.Prepared(run="r1"),
        events.Advanced(run="r1", phase="training"),
        events.Advanced(run="r1", phase="validating"),
        BACK,
        events.Held(by="person", reason="paused by you"),
        events.Released(by="host"),
        events.Released(by="person"),
        events.HeldLong(),
        events.Suspended(run="r1"),
        events.CancelRequested(),
        events.Ended(run="r1", outcome="failed", reason="x"),
    ]
)


@given(st.lists(ANY, max_size=40))
def test_in_any_order_no_process_computes_while_someone_holds_it(order: list[events.Event]) -> None:
    loop, running, frozen = Loop(), False, False
    for event in order:
        try:
            loop, wanted = step(loop, event, new_run="r1")
        except IllegalMove:
            continue
        for effect in wanted:
            match effect:
                case effects.Launch():
                    running, frozen = True, False
                case effects.Freeze():
                    frozen = True
                case effects.Thaw():
                    frozen = False
        if isinstance(event, events.Suspended | events.Ended):
            running = running and any(isinstance(e, effects.Launch) for e in wanted)
        unattended = not loop.attended
        if "person" in loop.held or ("host" in loop.held and unattended):
            assert not (running and not frozen), (loop, event)
