"""Bytes to messages and back; everything that can be wrong with bytes is found here."""

from __future__ import annotations

from typing import Any

import msgspec

from gardenerd.errors import GardenerError, ProtocolError, from_code
from gardenerd.wire.messages import (
    MAX_REQUEST_BYTES,
    OPERATIONS,
    PROTOCOL,
    ErrorBody,
    Event,
    Operation,
    Reply,
    Request,
)

_encoder = msgspec.json.Encoder()
_request = msgspec.json.Decoder(Request)
_reply = msgspec.json.Decoder(Reply)
_event = msgspec.json.Decoder(Event)
_error = msgspec.json.Decoder(ErrorBody)


def encode(message: Any) -> bytes:
    return _encoder.encode(message)


def encode_request(request_id: str, operation: Operation) -> bytes:
    return _encoder.encode(
        Request(
            protocol=PROTOCOL,
            id=request_id,
            op=operation.op,
            params=msgspec.Raw(_encoder.encode(operation)),
        )
    )


def decode_request(data: bytes) -> Request:
    """The envelope; its parameters stay raw, so that an error can name the request.

    Raises:
        ProtocolError: too large, not JSON, or not a request.
    """
    if len(data) > MAX_REQUEST_BYTES:
        raise ProtocolError(
            f"the request has {len(data)} bytes; at most {MAX_REQUEST_BYTES} are taken",
            hint="send less at once",
        )
    try:
        return _request.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ProtocolError(
            f"this is not a request: {error}", hint="see docs/architecture.md for the protocol"
        ) from error


def decode_operation(request: Request) -> Operation:
    """The typed parameters of ``request``.

    Raises:
        ProtocolError: another protocol, an unknown operation, or wrong parameters.
    """
    if request.protocol != PROTOCOL:
        newer = request.protocol > PROTOCOL
        raise ProtocolError(
            f"the request speaks protocol {request.protocol}, this daemon speaks {PROTOCOL}",
            hint="run `gardenerctl restart`" if newer else "upgrade the client",
        )
    kind = OPERATIONS.get(request.op)
    if kind is None:
        raise ProtocolError(
            f"unknown operation {request.op[:80]!r}",
            hint=f"this daemon knows: {', '.join(sorted(OPERATIONS))}",
        )
    try:
        return msgspec.json.decode(request.params, type=kind)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ProtocolError(
            f"wrong parameters for {request.op}: {error}",
            hint="see docs/architecture.md for the protocol",
        ) from error


def decode_reply(data: bytes) -> Reply:
    return _reply.decode(data)


def decode_event(data: bytes) -> Event:
    return _event.decode(data)


def error_body(error: GardenerError) -> ErrorBody:
    return ErrorBody(code=error.code, message=error.message, hint=error.hint)


def raise_error(body: Any) -> None:
    """Raise the error that a reply of kind ``error`` carries."""
    decoded = msgspec.convert(body, ErrorBody)
    raise from_code(decoded.code, decoded.message, decoded.hint)
