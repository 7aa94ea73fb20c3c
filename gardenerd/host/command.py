"""One short system command, run without holding up the loop."""

from __future__ import annotations

import asyncio
import contextlib

# These tools answer in milliseconds; one that hangs must not stop the pace from being decided.
_TIMEOUT_S = 5.0


async def output(*arguments: str) -> str | None:
    """What the command prints; None if it is missing, fails or takes longer than 5 s."""
    try:
        process = await asyncio.create_subprocess_exec(
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C"},
        )
    except OSError:
        return None  # not installed here: the fact stays unknown
    try:
        printed, _ = await asyncio.wait_for(process.communicate(), _TIMEOUT_S)
    except (TimeoutError, asyncio.CancelledError) as error:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        if isinstance(error, asyncio.CancelledError):
            raise
        return None
    return printed.decode(errors="replace") if process.returncode == 0 else None
