"""Bytes to messages: everything that can be wrong is a typed error, never another exception."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gardenerd.errors import GardenerError, ModelError, ProtocolError
from gardenerd.wire import codec
from gardenerd.wire.messages import MAX_REQUEST_BYTES, OPERATIONS, PROTOCOL, Search


def test_an_operation_survives_the_wire() -> None:
    request = codec.decode_request(codec.encode_request("7", Search(query="naïve 🌱", k=3)))
    assert request.id == "7"
    assert codec.decode_operation(request) == Search(query="naïve 🌱", k=3)


def test_unknown_fields_are_ignored() -> None:
    data = {"protocol": PROTOCOL, "id": "1", "op": "status", "params": {"later": 1}, "new": 2}
    assert codec.decode_operation(codec.decode_request(msgspec.json.encode(data))).op == "status"


@given(st.binary(max_size=300))
def test_random_bytes_are_a_protocol_error(data: bytes) -> None:
    try:
        codec.decode_operation(codec.decode_request(data))
    except ProtocolError as error:
        assert error.hint


@given(st.sampled_from(sorted(OPERATIONS)), st.dictionaries(st.text(max_size=9), st.integers()))
def test_random_parameters_are_taken_or_refused(op: str, params: dict[str, int]) -> None:
    data = {"protocol": PROTOCOL, "id": "1", "op": op, "params": params}
    try:
        codec.decode_operation(codec.decode_request(msgspec.json.encode(data)))
    except ProtocolError as error:
        assert op in error.message


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"x" * (MAX_REQUEST_BYTES + 1), "bytes"),
        (b"[" * 100_000, "not a request"),
        (b"\xff\xfe", "not a request"),
    ],
)
def test_what_is_no_request(data: bytes, word: str) -> None:
    with pytest.raises(ProtocolError, match=word):
        codec.decode_request(data)


def test_another_protocol_names_the_way_out() -> None:
    for protocol, word in ((PROTOCOL + 1, "restart"), (PROTOCOL - 1, "upgrade")):
        data = msgspec.json.encode({"protocol": protocol, "id": "1", "op": "status"})
        with pytest.raises(ProtocolError) as caught:
            codec.decode_operation(codec.decode_request(data))
        assert word in caught.value.hint


def test_errors_keep_their_type_code_and_hint() -> None:
    body = msgspec.to_builtins(codec.error_body(ModelError("damaged", hint="pull it")))
    with pytest.raises(ModelError, match="damaged") as caught:
        codec.raise_error(body)
    assert caught.value.hint == "pull it"
    with pytest.raises(GardenerError, match="odd"):
        codec.raise_error({"code": "from-the-future", "message": "odd"})
