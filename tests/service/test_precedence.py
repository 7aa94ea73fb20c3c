"""A search holds up indexing: for moments, and never for good. With a real process that is held."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Generator

import psutil
import pytest

from gardenerd.service.precedence import Allowance, Precedence


class Worker:
    """A process that is always at work."""

    def __init__(self) -> None:
        self.popen = subprocess.Popen([sys.executable, "-c", "while True: pass"])

    def freeze(self) -> None:
        self.popen.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.popen.send_signal(signal.SIGCONT)

    async def until(self, *, stands: bool) -> None:
        process = psutil.Process(self.popen.pid)
        while (process.status() == psutil.STATUS_STOPPED) is not stands:
            await asyncio.sleep(0.002)


@pytest.fixture
def worker() -> Generator[Worker]:
    found = Worker()
    yield found
    found.popen.kill()
    found.popen.wait()


def test_it_stands_still_while_a_search_runs_and_goes_on_after(worker: Worker) -> None:
    async def scenario() -> None:
        precedence = Precedence(worker)
        with precedence.taken():
            await worker.until(stands=True)
            with precedence.taken():  # another one meanwhile
                pass
            await worker.until(stands=True)
        await worker.until(stands=False)

    asyncio.run(scenario())


def test_a_search_that_fails_lets_it_go_on(worker: Worker) -> None:
    async def scenario() -> None:
        with pytest.raises(ValueError, match="broken"), Precedence(worker).taken():
            await worker.until(stands=True)
            raise ValueError("broken")
        await worker.until(stands=False)

    asyncio.run(scenario())


def test_a_search_that_takes_long_does_not_hold_it_up_for_as_long(worker: Worker) -> None:
    async def scenario() -> None:
        with Precedence(worker).taken():
            await worker.until(stands=True)
            await worker.until(stands=False)  # the search has not ended

    asyncio.run(scenario())


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_searches_without_a_pause_leave_a_fifth_of_the_time() -> None:
    clock = Clock()
    allowance = Allowance(clock)
    held = 0.0
    for _ in range(10_000):
        if seconds := allowance.begin():
            clock.now += min(0.02, seconds)
            held += min(0.02, seconds)
            allowance.end()
        else:
            clock.now += 0.02
    assert 0.75 < held / clock.now < 0.81


def test_now_and_then_all_of_a_search_is_held() -> None:
    clock = Clock()
    allowance = Allowance(clock)
    for _ in range(1_000):
        assert allowance.begin() == 0.25
        clock.now += 0.05
        allowance.end()
        clock.now += 0.05
