"""The server on real sockets: replies in order, cancellation, clients that vanish."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import zmq
import zmq.asyncio

from gardenerd.errors import RefusedError
from gardenerd.paths import find_home
from gardenerd.wire import codec
from gardenerd.wire.messages import CancelRequest, Operation, Ps, Search, Status, Unload
from gardenerd.wire.server import Exchange, Server


class Script:
    """What the operations of these tests do."""

    def __init__(self) -> None:
        self.cancelled = asyncio.Event()

    async def __call__(self, operation: Operation, exchange: Exchange) -> Any:
        match operation:
            case Search(query="stream", k=n):
                for number in range(n):
                    exchange.chunk(number)
                    await asyncio.sleep(0)
                return "done"
            case Search(query="flood"):
                while True:
                    exchange.chunk("x" * 100_000)
                    await asyncio.sleep(0.001)
            case Status():
                try:
                    await asyncio.sleep(600)
                except asyncio.CancelledError:
                    self.cancelled.set()
                    raise
            case Unload():
                raise RefusedError("no", hint="ask nicely")
            case Ps():
                raise ZeroDivisionError("a defect")
            case _:
                return {"echo": operation.op}


class Peer:
    def __init__(self, context: zmq.asyncio.Context) -> None:
        self.socket = context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.connect(find_home().request_endpoint)

    async def send(self, request_id: str, operation: Operation) -> None:
        await self.socket.send(codec.encode_request(request_id, operation))

    async def reply(self) -> Any:
        return msgspec.json.decode(await asyncio.wait_for(self.socket.recv(), 20))


def serve(scenario: Callable[[Peer, Script, zmq.asyncio.Context], Awaitable[None]]) -> None:
    async def main() -> None:
        home = find_home()
        home.create()
        context = zmq.asyncio.Context()
        script = Script()
        server = Server(home, context, script)
        server.bind()
        serving = asyncio.create_task(server.serve())
        try:
            await scenario(Peer(context), script, context)
        finally:
            serving.cancel()
            await server.close()
            context.destroy(linger=0)

    asyncio.run(main())


def test_chunks_come_in_order_before_the_result() -> None:
    async def scenario(peer: Peer, _: Script, __: zmq.asyncio.Context) -> None:
        await peer.send("a", Search(query="stream", k=50))
        replies = [await peer.reply() for _ in range(51)]
        assert [reply["body"] for reply in replies[:-1]] == list(range(50))
        assert (replies[-1]["kind"], replies[-1]["body"]) == ("result", "done")
        assert {reply["id"] for reply in replies} == {"a"}

    serve(scenario)


def test_a_long_request_holds_nobody_up_and_can_be_cancelled() -> None:
    async def scenario(peer: Peer, script: Script, _: zmq.asyncio.Context) -> None:
        await peer.send("slow", Status())
        await peer.send("quick", Search(query="x"))
        assert (await peer.reply())["id"] == "quick"
        await peer.send("stop", CancelRequest(target="slow"))
        replies = {reply["id"]: reply for reply in [await peer.reply(), await peer.reply()]}
        assert replies["stop"]["body"] == {"cancelled": True}
        assert replies["slow"]["body"]["code"] == "cancelled"
        assert script.cancelled.is_set()

    serve(scenario)


def test_errors_are_typed_and_defects_are_told() -> None:
    async def scenario(peer: Peer, _: Script, __: zmq.asyncio.Context) -> None:
        await peer.send("1", Unload())
        assert (await peer.reply())["body"] == {
            "code": "refused",
            "message": "no",
            "hint": "ask nicely",
        }
        await peer.send("2", Ps())
        body = (await peer.reply())["body"]
        assert "ZeroDivisionError" in body["message"]
        assert body["hint"]

    serve(scenario)


def test_the_same_id_twice_is_refused() -> None:
    async def scenario(peer: Peer, _: Script, __: zmq.asyncio.Context) -> None:
        await peer.send("same", Status())
        await peer.send("same", Status())
        assert (await peer.reply())["body"]["code"] == "protocol"

    serve(scenario)


def test_too_many_requests_are_refused_and_the_rest_answered() -> None:
    async def scenario(peer: Peer, _: Script, __: zmq.asyncio.Context) -> None:
        for number in range(300):
            await peer.send(str(number), Status())
        refused = [await peer.reply() for _ in range(300 - 256)]
        assert {reply["body"]["code"] for reply in refused} == {"refused"}

    serve(scenario)


def test_a_client_that_vanishes_ends_its_request() -> None:
    async def scenario(peer: Peer, _: Script, context: zmq.asyncio.Context) -> None:
        gone = Peer(context)
        await gone.send("flood", Search(query="flood"))
        await gone.reply()
        gone.socket.close(linger=0)

        def flooding() -> bool:
            return any(task.get_name() == "request-search" for task in asyncio.all_tasks())

        async def ended() -> None:
            while flooding():
                await asyncio.sleep(0.02)

        await asyncio.wait_for(ended(), 20)
        await peer.send("after", Search(query="x"))
        assert (await peer.reply())["kind"] == "result"

    serve(scenario)


def test_events_reach_who_follows() -> None:
    async def main() -> None:
        home = find_home()
        home.create()
        context = zmq.asyncio.Context()
        server = Server(home, context, Script())
        server.bind()
        follower = context.socket(zmq.SUB)
        follower.linger = 0
        follower.connect(home.event_endpoint)
        follower.subscribe(b"loop")
        received = asyncio.ensure_future(follower.recv_multipart())
        while not received.done():
            server.publish("index", "progress", {"n": 1})
            server.publish("loop", "training", {"run": "r1"})
            await asyncio.sleep(0.02)
        topic, data = received.result()
        event = codec.decode_event(data)
        assert (topic, event.name, event.body) == (b"loop", "training", {"run": "r1"})
        await server.close()
        context.destroy(linger=0)

    asyncio.run(main())
