"""A short command: what it prints, and that whoever waits for it can be cancelled at any moment."""

from __future__ import annotations

import asyncio

import pytest

from gardenerd.host import command


def test_what_it_prints_or_none() -> None:
    async def asked() -> list[str | None]:
        return [
            await command.output("echo", "a plant"),
            await command.output("false"),
            await command.output("no-such-command"),
            await command.output("sleep", "60", timeout=0.1),
        ]

    assert asyncio.run(asked()) == ["a plant\n", None, None, None]


@pytest.mark.parametrize("turns", range(5))
def test_a_cancellation_as_it_ends_is_not_lost(turns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """``turns`` of the loop after its end. A part of the daemon that loses one never ends."""

    async def scenario() -> None:
        reached, ended = asyncio.Event(), asyncio.Event()

        async def printed(process: asyncio.subprocess.Process) -> bytes:
            await process.wait()
            reached.set()
            await ended.wait()
            return b""

        monkeypatch.setattr(command, "_printed", printed)
        task = asyncio.create_task(command.output("true"))
        await reached.wait()
        ended.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        was_pending = task.cancel()
        await asyncio.wait({task})
        assert task.cancelled() == was_pending

    asyncio.run(scenario())
