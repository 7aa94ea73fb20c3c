"""The client against the real server, on real sockets."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import zmq

from gardenerd.errors import (
    DaemonNotRunningError,
    GardenerError,
    NotFoundError,
    ProtocolError,
    TimedOutError,
)
from gardenerd.paths import Home
from gardenerd.wire.client import Client
from gardenerd.wire.messages import Ask, Hello, Operation, Remove, Reply, Status
from gardenerd.wire.server import Exchange
from tests.gardenerctl.serving import serving


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def test_no_socket_means_not_running(home: Home) -> None:
    with Client(home) as client, pytest.raises(DaemonNotRunningError) as caught:
        client.call(Hello())
    assert "gardenerctl start" in caught.value.hint


def test_socket_that_a_killed_daemon_left_means_not_running(home: Home) -> None:
    home.create()
    left = home.request_endpoint.removeprefix("ipc://")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(left)
        listener.listen()
    assert Path(left).is_socket()
    with Client(home) as client, pytest.raises(DaemonNotRunningError):
        client.call(Hello())


def test_answer_comes_back(home: Home) -> None:
    with serving(home, {"hello": {"pid": 7}}), Client(home) as client:
        assert client.call(Hello()) == {"pid": 7}
        assert client.call(Hello()) == {"pid": 7}


def test_updates_come_in_order_before_the_result(home: Home) -> None:
    async def answer(operation: Operation, exchange: Exchange) -> Any:
        assert isinstance(operation, Ask)
        exchange.progress({"percent": 50})
        for piece in ("one ", "two"):
            exchange.chunk({"text": piece})
        return {"text": operation.question}

    seen: list[Reply] = []
    with serving(home, {"ask": answer}), Client(home) as client:
        body = client.call(Ask(question="why?"), on_update=seen.append)
    assert body == {"text": "why?"}
    assert [(reply.kind, reply.body) for reply in seen] == [
        ("progress", {"percent": 50}),
        ("chunk", {"text": "one "}),
        ("chunk", {"text": "two"}),
    ]


def test_error_is_raised_as_its_own_type(home: Home) -> None:
    async def answer(operation: Operation, exchange: Exchange) -> Any:
        raise NotFoundError("no project 'x'", hint="gardenerctl projects")

    with serving(home, {"remove": answer, "hello": {}}), Client(home) as client:
        with pytest.raises(NotFoundError) as caught:
            client.call(Remove(project="x"))
        assert caught.value.hint == "gardenerctl projects"
        assert client.call(Hello()) == {}


def test_error_of_a_newer_daemon_is_still_an_error(home: Home) -> None:
    class StrangeError(GardenerError):
        code = "strange_code_of_tomorrow"

    async def answer(operation: Operation, exchange: Exchange) -> Any:
        raise StrangeError("something new")

    raises = pytest.raises(GardenerError, match="something new")
    with serving(home, {"hello": answer}), Client(home) as client, raises:
        client.call(Hello())


def test_silence_times_out_and_a_late_answer_meets_no_other_call(home: Home) -> None:
    release = threading.Event()

    async def slow(operation: Operation, exchange: Exchange) -> Any:
        await asyncio.get_running_loop().run_in_executor(None, release.wait, 20)
        return {"late": True}

    with serving(home, {"status": slow, "hello": {"pid": 7}}), Client(home) as client:
        with pytest.raises(TimedOutError):
            client.call(Status(), timeout_s=0.05)
        release.set()
        assert client.call(Hello()) == {"pid": 7}


def test_daemon_that_ends_while_asked_is_noticed(home: Home) -> None:
    async def never(operation: Operation, exchange: Exchange) -> Any:
        asyncio.get_running_loop().call_soon(stop.start)
        await asyncio.Event().wait()

    with serving(home, {"status": never}) as server, Client(home) as client:
        stop = threading.Thread(target=server.stop)
        with pytest.raises(DaemonNotRunningError):
            client.call(Status(), timeout_s=None)
        stop.join(10)


def test_exception_in_an_update_cancels_the_request(home: Home) -> None:
    cancelled = threading.Event()

    async def answer(operation: Operation, exchange: Exchange) -> Any:
        exchange.chunk({"text": "one"})
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    def fail(reply: Reply) -> None:
        raise BrokenPipeError

    with serving(home, {"ask": answer, "hello": {"pid": 7}}), Client(home) as client:
        with pytest.raises(BrokenPipeError):
            client.call(Ask(question="why?"), on_update=fail)
        assert cancelled.wait(10)
        assert client.call(Hello()) == {"pid": 7}


def test_interrupt_cancels_the_request(home: Home) -> None:
    begun, cancelled = threading.Event(), threading.Event()

    async def answer(operation: Operation, exchange: Exchange) -> Any:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with serving(home, {"ask": answer}):
        asking = subprocess.Popen(
            [sys.executable, "-m", "gardenerctl", "ask", "why?"],
            env={**os.environ, "GARDENER_HOME": str(home.root)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert begun.wait(20)
        asking.send_signal(signal.SIGINT)
        _, errors = asking.communicate(timeout=20)
        assert cancelled.wait(10)
    assert asking.returncode == 130
    assert errors == b""


def test_interrupt_while_a_socket_is_made_leaves_a_client_that_closes(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[zmq.Socket[bytes]] = []
    create = zmq.Context.socket

    def interrupted(context: zmq.Context[zmq.Socket[bytes]], kind: int) -> zmq.Socket[bytes]:
        made.append(create(zmq.Context.shadow(context.underlying), kind))  # context knows it not
        raise KeyboardInterrupt

    with serving(home, {"hello": {}}):
        monkeypatch.setattr(zmq.Context, "socket", interrupted)
        with pytest.raises(KeyboardInterrupt), Client(home) as client:
            client.call(Hello())
    assert len(made) == 1
    made[0].close(linger=0)


def test_request_that_is_too_large_is_refused_here(home: Home) -> None:
    with serving(home, {}) as server, Client(home) as client:
        with pytest.raises(ProtocolError, match="at most"):
            client.call(Ask(question="x" * (5 * 1024 * 1024)))
        assert server.asked == []


def test_events_of_the_topics_asked_for_arrive(home: Home) -> None:
    with serving(home, {}) as server, Client(home) as client:
        ended = threading.Event()

        def publish() -> None:
            # A subscription takes a moment to reach the publisher, who keeps nothing.
            while not ended.wait(0.01):
                server.publish("index", "settled", {"project": "a"})
                server.publish("train", "started", {"run": "r1"})

        publisher = threading.Thread(target=publish)
        publisher.start()
        try:
            events = client.events(["train"])
            first, second = next(events), next(events)
            events.close()  # type: ignore[attr-defined]
        finally:
            ended.set()
            publisher.join()
    assert {first.topic, second.topic} == {"train"}
    assert first.name == "started"
    assert first.body == {"run": "r1"}


def test_following_nobody_is_an_error(home: Home) -> None:
    with Client(home) as client, pytest.raises(DaemonNotRunningError):
        next(client.events())
