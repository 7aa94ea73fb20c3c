"""One short system command, run without holding up the loop."""

from __future__ import annotations

import asyncio
import contextlib

# These tools answer in milliseconds; one that hangs must not stop the pace from being decided.
_TIMEOUT_S = 5.0
_MAX_BYTES = 16_000_000


async def output(*arguments: str, timeout: float = _TIMEOUT_S) -> str | None:
    """What the command prints; None if it is missing, fails, takes longer than ``timeout`` seconds
    or prints more than 16 MB."""
    try:
        process = await asyncio.create_subprocess_exec(
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={
                "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
                "LC_ALL": "C",
                "GIT_ALLOW_PROTOCOL": "none",  # of a partial clone nothing is fetched in the dark
            },
        )
    except OSError:
        return None  # not installed here: the fact stays unknown
    try:
        # Not wait_for: on 3.11 it loses a cancellation that comes as the command ends.
        async with asyncio.timeout(timeout):
            printed = await _printed(process)
    except (TimeoutError, asyncio.CancelledError) as error:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        if isinstance(error, asyncio.CancelledError):
            raise
        return None
    if printed is None or process.returncode != 0:
        return None
    return printed.decode(errors="replace")


async def _printed(process: asyncio.subprocess.Process) -> bytes | None:
    assert process.stdout is not None
    try:
        await process.stdout.readexactly(_MAX_BYTES + 1)
    except asyncio.IncompleteReadError as ended:
        await process.wait()
        return ended.partial
    process.kill()
    await process.wait()
    return None
