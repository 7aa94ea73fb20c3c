"""A child's life, with a real process: answers, cancellation, death, frost, its end."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest
import zmq.asyncio

from gardenerd.errors import ModelError, WorkerError
from gardenerd.paths import Home
from gardenerd.settings import parse_duration
from gardenerd.workers.child import Child
from gardenerd.workers.jobs import Done
from tests.workers.odd_child import Count, Die, Fail, Quick, Spawn

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def drive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[Child], Awaitable[None]]], None]:
    """Run a coroutine with a child of a temporary home; the child is stopped afterwards."""
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    home = Home(tmp_path / "home")
    home.create()

    def run(scenario: Callable[[Child], Awaitable[None]]) -> None:
        async def main() -> None:
            context = zmq.asyncio.Context()
            child = Child(
                "model", "tests.workers.odd_child", home, context, keep_alive=float("inf")
            )
            try:
                await scenario(child)
            finally:
                await child.stop()
                context.destroy(linger=0)

        asyncio.run(main())

    return run


def test_it_starts_on_the_first_request_and_streams_updates(drive) -> None:
    async def scenario(child: Child) -> None:
        assert child.state == "absent"
        updates: list[object] = []
        answer = await child.call(Count(n=5), Done, on_update=updates.append)
        assert (answer.count, len(updates)) == (5, 5)
        assert child.state == "idle"
        assert child.rss_bytes() > 0

    drive(scenario)


def test_lanes_let_a_quick_job_pass_a_long_one(drive) -> None:
    async def scenario(child: Child) -> None:
        long = asyncio.create_task(child.call(Count(n=1_000, pause=0.01), Done))
        assert (await child.call(Quick(), Done)).count == child.pid
        assert not long.done()
        long.cancel()

    drive(scenario)


def test_cancelling_the_caller_cancels_the_job(drive) -> None:
    async def scenario(child: Child) -> None:
        long = asyncio.create_task(child.call(Count(n=100_000, pause=0.01), Done))
        await child.call(Quick(), Done)
        long.cancel()
        with pytest.raises(asyncio.CancelledError):
            await long
        # The same lane is free again, which it would not be for a thousand seconds.
        assert (await asyncio.wait_for(child.call(Count(n=1), Done), 20)).count == 1

    drive(scenario)


def test_errors_keep_their_type_and_defects_are_named(drive) -> None:
    async def scenario(child: Child) -> None:
        with pytest.raises(ModelError, match="damaged") as caught:
            await child.call(Fail(kind="typed"), Done)
        assert caught.value.hint == "pull it again"
        with pytest.raises(WorkerError, match="ValueError: a defect"):
            await child.call(Fail(kind="defect"), Done)
        assert (await child.call(Count(n=1), Done)).count == 1

    drive(scenario)


def test_death_fails_the_request_and_the_next_one_starts_it_again(drive) -> None:
    async def scenario(child: Child) -> None:
        with pytest.raises(WorkerError, match="ended unexpectedly"):
            await child.call(Die(), Done)
        assert (await child.call(Count(n=1), Done)).count == 1

    drive(scenario)


def test_a_crash_loop_is_left_alone(drive) -> None:
    async def scenario(child: Child) -> None:
        for _ in range(4):
            with pytest.raises(WorkerError, match="ended unexpectedly"):
                await child.call(Die(), Done)
        with pytest.raises(WorkerError, match="left alone"):
            await child.call(Count(n=1), Done)

    drive(scenario)


def test_a_frozen_child_uses_no_processor_time_and_goes_on(drive) -> None:
    async def scenario(child: Child) -> None:
        updates: list[object] = []
        job = asyncio.create_task(
            child.call(Count(n=200, pause=0.005), Done, on_update=updates.append)
        )
        while not updates:
            await asyncio.sleep(0.01)
        child.freeze()
        process = psutil.Process(child.pid)
        while process.status() != psutil.STATUS_STOPPED:
            await asyncio.sleep(0.01)
        before = process.cpu_times()
        await asyncio.sleep(0.3)
        assert process.cpu_times() == before
        child.thaw()
        assert (await job).count == 200

    drive(scenario)


def test_its_own_children_freeze_and_go_with_it(drive) -> None:
    async def scenario(child: Child) -> None:
        process = psutil.Process((await child.call(Spawn(), Done)).count)
        for act, status in (
            (child.freeze, psutil.STATUS_STOPPED),
            (child.thaw, psutil.STATUS_SLEEPING),
        ):
            act()
            while process.status() != status:
                await asyncio.sleep(0.01)
        hung = asyncio.create_task(child.call(Count(n=100_000, pause=0.01), Done))
        await child.call(Quick(), Done)
        await child.stop(grace=0.0)
        with pytest.raises(WorkerError):
            await hung
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            await asyncio.sleep(0.01)

    drive(scenario)


def test_it_leaves_when_idle(drive) -> None:
    async def scenario(child: Child) -> None:
        await child.call(Quick(), Done)
        pid = child.pid
        child._keep_alive = 5.0
        await child.reap_when_idle(time.monotonic() + 1)
        assert child.pid == pid
        await child.reap_when_idle(time.monotonic() + 6)
        assert child.state == "absent"
        assert not psutil.pid_exists(pid)

    drive(scenario)


def test_without_keep_alive_it_leaves_after_the_last_request_under_way(drive) -> None:
    async def scenario(child: Child) -> None:
        child._keep_alive = parse_duration("0") or 0.0
        long = asyncio.create_task(child.call(Count(n=10, pause=0.01), Done))
        first = (await child.call(Quick(), Done)).count
        assert child.pid == first  # the other one is still under way
        assert (await long).count == 10
        assert child.state == "absent"
        # Who comes while it leaves gets another process, not an error.
        asked = asyncio.create_task(child.call(Quick(), Done))
        while not child._leaving:
            await asyncio.sleep(0)
        again = (await child.call(Quick(), Done)).count
        assert again != (await asked).count
        child._keep_alive = parse_duration("-1") or 0.0
        await child.call(Quick(), Done)
        await child.reap_when_idle(time.monotonic() + 1e9)
        assert child.state == "idle"

    drive(scenario)


@pytest.mark.parametrize("frozen", [False, True], ids=["running", "frozen"])
def test_no_child_outlives_a_killed_supervisor(tmp_path: Path, frozen: bool) -> None:
    script = f"""
import asyncio, zmq.asyncio, pathlib
from gardenerd.paths import Home
from gardenerd.workers.child import Child
from gardenerd.workers.jobs import Done
from tests.workers.odd_child import Quick
async def main():
    home = Home(pathlib.Path({str(tmp_path / "home")!r})); home.create()
    child = Child("model", "tests.workers.odd_child", home, zmq.asyncio.Context(), keep_alive=60)
    await child.call(Quick(), Done)
    {"child.freeze()" if frozen else ""}
    print(child.pid, flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""
    supervisor = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    assert supervisor.stdout is not None
    child = psutil.Process(int(supervisor.stdout.readline()))
    if frozen:
        while child.status() != psutil.STATUS_STOPPED:
            time.sleep(0.01)
    supervisor.send_signal(signal.SIGKILL)
    supervisor.wait()
    supervisor.stdout.close()
    deadline = time.monotonic() + 10
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the child outlived its supervisor"
        time.sleep(0.02)
