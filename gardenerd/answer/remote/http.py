"""Requests to a model server: tried again while nothing was answered, left as soon as cancelled.

A request runs in an event loop of its own, in the thread that waits for it: between two looks at
the socket the caller is asked whether to go on, so that a server which thinks for a minute can be
left at once. Redirects are not followed, and neither proxies nor passwords are taken from the
environment: the text of a project goes to the server that was named, and nowhere else.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

import httpx2
import msgspec

from gardenerd.answer.remote.address import Address, allowed
from gardenerd.errors import ServerError

T = TypeVar("T")
Check = Callable[[], None]
"""Called while waiting; raises to break off."""

_LOOK_SECONDS = 0.1
_CONNECT_SECONDS = 5.0
# A long prompt is read for minutes on a processor before the first token comes.
_READ_SECONDS = 600.0
# Waits between tries: a server that starts or is busy for a moment is worth a second and a half.
_WAITS = (0.1, 0.4, 1.0)
_LONGEST_WAIT = 5.0
# Too many requests, and what a proxy or a server says while it cannot answer for now.
_AGAIN = frozenset((429, 500, 502, 503, 504))
# Nothing of an answer came, so that nothing was shown: it may be asked again.
_NOT_ANSWERED = (httpx2.NetworkError, httpx2.ConnectTimeout, httpx2.RemoteProtocolError)
_MAX_BYTES = 16_000_000
_MAX_SAID = 300


class Http:
    """Requests to one server.

    Args:
        url: as in the settings.
        key: sent as a bearer token; it stands in no message.
        allow_remote: the server may be another machine.
    """

    def __init__(self, url: str, *, key: str | None, allow_remote: bool) -> None:
        self.url = url
        self._key = key
        self._allow_remote = allow_remote

    def get(self, path: str, check: Check = lambda: None) -> Any:
        """The JSON that the server answers.

        Raises:
            RefusedError: the server is not on this machine, and must be.
            ServerError: it cannot be reached, refuses, or answers something else than JSON.
        """
        return self._json(path, self.send("GET", path, None, check))

    def post(self, path: str, body: Any, check: Check = lambda: None) -> Any:
        return self._json(path, self.send("POST", path, msgspec.json.encode(body), check))

    def lines(self, path: str, body: Any, check: Check) -> Generator[bytes]:
        """The lines of an answer as they come, without their ends; empty ones are left out.

        Raises:
            ServerError: as above, or the connection broke off in the midst.
        """
        with asyncio.Runner() as runner:
            pump = _Pump(runner.get_loop(), check)
            request = _Request(self, allowed(self.url, allow_remote=self._allow_remote))
            try:
                response = pump.wait(request.open("POST", path, msgspec.json.encode(body)))
                chunks = response.aiter_bytes()
                held = b""
                while True:
                    chunk = pump.wait(request.next(chunks))
                    held += chunk if chunk is not None else b"\n"
                    *whole, held = held.split(b"\n")
                    for line in whole:
                        if line := line.strip():
                            yield line
                    if chunk is None:
                        return
                    if len(held) > _MAX_BYTES:
                        raise ServerError(f"{self.url} answers without end", hint=_HINT)
            finally:
                runner.run(request.close())

    def send(
        self, method: str, path: str, content: bytes | None, check: Check = lambda: None
    ) -> bytes:
        """Whatever the server answers, whole."""
        with asyncio.Runner() as runner:
            pump = _Pump(runner.get_loop(), check)
            request = _Request(self, allowed(self.url, allow_remote=self._allow_remote))
            try:
                return pump.wait(request.whole(method, path, content))
            finally:
                runner.run(request.close())

    def _json(self, path: str, body: bytes) -> Any:
        try:
            return msgspec.json.decode(body)
        except msgspec.DecodeError as error:
            raise ServerError(
                f"{self.url} does not answer JSON to {path}",
                hint=f"is it the right server? {_HINT}",
            ) from error

    def headers(self, host: str) -> dict[str, str]:
        found = {"Host": host, "Content-Type": "application/json"}
        return found | ({"Authorization": f"Bearer {self._key}"} if self._key else {})

    def said(self, body: bytes) -> str:
        """What a server says of an error, cut short, without the key."""
        text = _said(body)
        return text.replace(self._key, "…") if self._key else text


_HINT = "see model.url in config.toml, and docs/backends.md"


class _Pump:
    """Runs coroutines to their end in this thread, asking ``check`` meanwhile."""

    def __init__(self, loop: asyncio.AbstractEventLoop, check: Check) -> None:
        self._loop = loop
        self._check = check

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        task = self._loop.create_task(work)
        try:
            while True:
                self._check()
                self._loop.run_until_complete(asyncio.wait({task}, timeout=_LOOK_SECONDS))
                if task.done():
                    return task.result()
        finally:
            if not task.done():
                task.cancel()
                self._loop.run_until_complete(asyncio.wait({task}))


class _Request:
    """One request and its answer; all of it belongs to one event loop."""

    def __init__(self, http: Http, address: Address) -> None:
        self._http = http
        self._address = address
        self._client = httpx2.AsyncClient(
            # To read the system's certificates takes longer than a request, and http has none.
            verify=address.root.startswith("https"),
            trust_env=False,
            follow_redirects=False,
            timeout=httpx2.Timeout(_READ_SECONDS, connect=_CONNECT_SECONDS),
        )
        self._response: httpx2.Response | None = None

    async def open(self, method: str, path: str, content: bytes | None) -> httpx2.Response:
        """Send it until there is an answer that is not to be tried again."""
        for wait in (*_WAITS, None):
            request = self._client.build_request(
                method,
                self._address.root + path,
                content=content,
                headers=self._http.headers(self._address.host),
                extensions={"sni_hostname": self._address.name},
            )
            try:
                response = await self._client.send(request, stream=True)
            except _NOT_ANSWERED as error:
                if wait is None:
                    raise self._unreachable(error) from error
                await asyncio.sleep(wait * random.uniform(0.5, 1.0))
                continue
            except httpx2.HTTPError as error:
                raise self._unreachable(error) from error
            self._response = response
            if response.status_code < 300:
                return response
            body = await self._read(response)
            if response.status_code not in _AGAIN or wait is None:
                raise self._refused(path, response.status_code, body)
            await response.aclose()
            asked = response.headers.get("retry-after", "")
            least = min(float(asked), _LONGEST_WAIT) if asked.isdecimal() else 0.0
            await asyncio.sleep(max(least, wait * random.uniform(0.5, 1.0)))
        raise AssertionError("the last try returns or raises")

    async def next(self, chunks: Any) -> bytes | None:
        """The next bytes of the answer; None at its end."""
        try:
            return await anext(chunks, None)
        except httpx2.HTTPError as error:
            raise ServerError(
                f"{self._http.url} broke off in the midst of its answer ({_cause(error)})",
                hint="ask again; the server's own log tells more",
            ) from error

    async def whole(self, method: str, path: str, content: bytes | None) -> bytes:
        return await self._read(await self.open(method, path, content))

    async def close(self) -> None:
        if self._response is not None:
            await self._response.aclose()
        await self._client.aclose()

    async def _read(self, response: httpx2.Response) -> bytes:
        body = b""
        chunks = response.aiter_bytes()
        while (chunk := await self.next(chunks)) is not None:
            body += chunk
            if len(body) > _MAX_BYTES:
                raise ServerError(f"{self._http.url} answers without end", hint=_HINT)
        return body

    def _unreachable(self, error: httpx2.HTTPError) -> ServerError:
        return ServerError(
            f"cannot reach the model server at {self._http.url}: {_cause(error)}",
            hint="start it, or mend model.url in config.toml; docs/backends.md tells how",
        )

    def _refused(self, path: str, status: int, body: bytes) -> ServerError:
        said = self._http.said(body)
        where = f"{self._http.url} answered {status} to {path}"
        message = f"{where}: {said}" if said else where
        if status in (401, 403):
            hint = "name the environment variable that holds its key: model.api_key_env"
        elif status < 400:
            hint = "a redirect is not followed: set model.url to where the server really is"
        elif status == 404:
            hint = "see model.url and model.name in config.toml"
        elif status in _AGAIN:
            hint = "try again in a moment; the server's own log tells more"
        else:
            hint = "the server's own log tells more"
        return ServerError(message, hint=hint, status=status)


def _cause(error: Exception) -> str:
    return str(error) or type(error).__name__


def _said(body: bytes) -> str:
    """What a server says of an error: OpenAI's form, ollama's, FastAPI's, or plain text."""
    try:
        found = msgspec.json.decode(body)
    except msgspec.DecodeError:
        found = body.decode(errors="replace")
    for name in ("error", "detail", "message"):
        if isinstance(found, dict) and name in found:
            found = found[name]
    text = found if isinstance(found, str) else msgspec.json.encode(found).decode()
    return " ".join(text.split())[:_MAX_SAID]
