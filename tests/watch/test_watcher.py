"""The watcher on real files: what it hears, and when it says that it may have missed something."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

from gardenerd.watch.watcher import Changed, RescanNeeded, Watcher


def watch(root: Path, scenario: Callable[[Watcher], Awaitable[None]]) -> None:
    async def main() -> None:
        watcher = Watcher(step_ms=20)
        try:
            await watcher.add("p", root)
            assert isinstance(await next_notice(watcher), RescanNeeded)  # it is new
            await scenario(watcher)
        finally:
            await watcher.close()

    asyncio.run(main())


async def next_notice(watcher: Watcher) -> Changed | RescanNeeded:
    return await asyncio.wait_for(watcher.notices.get(), 30)


async def heard(watcher: Watcher, path: str) -> None:
    while True:
        notice = await next_notice(watcher)
        if isinstance(notice, Changed) and path in notice.paths:
            return


async def rescan(watcher: Watcher) -> RescanNeeded:
    while True:
        notice = await next_notice(watcher)
        if isinstance(notice, RescanNeeded):
            return notice


def test_writes_renames_and_deletions_are_heard(root: Path) -> None:
    async def scenario(watcher: Watcher) -> None:
        (root / "a.py").write_text("1")
        await heard(watcher, "a.py")
        (root / "a.py").rename(root / "b.py")
        await heard(watcher, "b.py")
        (root / "b.py").unlink()
        await heard(watcher, "b.py")

    watch(root, scenario)


def test_a_change_of_rules_asks_for_a_scan(root: Path) -> None:
    async def scenario(watcher: Watcher) -> None:
        (root / ".gitignore").write_text("*.log\n")
        assert (await rescan(watcher)).project == "p"

    watch(root, scenario)


def test_a_branch_switch_asks_for_a_scan(root: Path) -> None:
    (root / ".git").mkdir()
    (root / ".git" / "HEAD").write_text("ref: refs/heads/main\n")

    async def scenario(watcher: Watcher) -> None:
        (root / ".git" / "HEAD").write_text("ref: refs/heads/other\n")
        assert (await rescan(watcher)).project == "p"

    watch(root, scenario)


def test_a_name_that_is_not_utf8_does_not_deafen_it(root: Path) -> None:
    async def scenario(watcher: Watcher) -> None:
        (root / os.fsdecode(b"bad\xff.py")).write_text("x")
        await rescan(watcher)  # it died of it, and came back
        while watcher.problem:
            await asyncio.sleep(0.05)
        (root / "fine.py").write_text("x")
        await heard(watcher, "fine.py")

    watch(root, scenario)


def test_a_root_made_anew_is_heard_again(root: Path) -> None:
    async def scenario(watcher: Watcher) -> None:
        shutil.rmtree(root)
        root.mkdir()
        await rescan(watcher)
        (root / "again.py").write_text("x")

        async def until_known() -> None:
            while True:
                notice = await next_notice(watcher)
                if isinstance(notice, RescanNeeded) or "again.py" in notice.paths:
                    return
                (root / "again.py").write_text("y")

        await until_known()

    watch(root, scenario)
