"""The backend for OpenAI's protocol against a double on a real socket."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gardenerd.answer.backend import Drawing
from gardenerd.answer.remote import http
from gardenerd.answer.remote.openai import OpenAIBackend
from gardenerd.errors import CancelledError, ModelError, RefusedError, ServerError
from gardenerd.workers.jobs import AdapterRef, Excerpt, ServerRef, Surroundings
from tests.answer.remote.openai_double import Like, OpenAIDouble

QUESTION = [
    {"role": "system", "content": "You answer."},
    {"role": "user", "content": '<source path="shop/cart.py" lines="3-9">\n…\n</source>\nwhere?'},
]
ANSWER = "It is there [shop/cart.py:3-9], 🌱 as told [made/up.py:1-2]."

Start = Callable[..., OpenAIDouble]


def never() -> None:
    """Nobody cancels."""


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    monkeypatch.setattr(http, "_WAITS", (0.01, 0.01, 0.01))
    running: list[OpenAIDouble] = []

    def start(like: Like = "plain", **fields: Any) -> OpenAIDouble:
        running.append(OpenAIDouble(like, **fields))
        return running[-1]

    yield start
    for double in running:
        double.close()


def backend(double: OpenAIDouble, **fields: Any) -> OpenAIBackend:
    return OpenAIBackend(ServerRef(kind="openai", url=fields.pop("url", double.url), **fields))


def ask(backend: OpenAIBackend, adapter: AdapterRef | None = None) -> tuple[list[str], Any]:
    """The pieces of an answer, and the session that gave it."""
    with backend.open(adapter, max_adapters=2) as session:
        return list(session.chat(QUESTION, max_tokens=100, check=never)), session


def fill(backend: OpenAIBackend, before: str, after: str, max_tokens: int = 20) -> str:
    with backend.open(None, max_adapters=2) as session:
        return "".join(session.fill(before, after, max_tokens=max_tokens, check=never))


def adapter(version: str, folder: str = "/home/adapters/shop") -> AdapterRef:
    return AdapterRef(version=version, folder=f"{folder}/{version}")


def test_an_answer_comes_in_pieces_and_says_how_it_ended(start: Start) -> None:
    double = start("vllm")
    double.finish = "length"
    with backend(double, url=f"{double.url}/v1/").open(None, max_adapters=2) as session:
        writing = session.chat(QUESTION, max_tokens=100, check=never)
        pieces = list(writing)
    assert "".join(pieces) == ANSWER
    assert len(pieces) == 6
    assert (writing.tokens, writing.full) == (42, True)
    assert (session.name, session.adapter, session.warning, session.can_chat) == (
        "tiny", None, "", True,
    )  # fmt: skip
    sent = double.last("/v1/chat/completions")
    assert sent["messages"] == QUESTION
    assert (sent["model"], sent["max_tokens"], sent["temperature"]) == ("tiny", 100, 0)


@pytest.mark.parametrize(
    ("like", "window"),
    [("plain", 2_048), ("vllm", 4_000), ("llama-server", 3_000), ("lm-studio", 1_500)],
)
def test_each_server_tells_its_window_in_its_own_way(start: Start, like: Like, window: int) -> None:
    double = start(like)
    with backend(double).open(None, max_adapters=2) as session:
        assert session.window == window
        exact = like in ("vllm", "llama-server")
        assert session.count("word" * 400) == (400 if exact else 588)
        asked = len(double.asked)
        assert session.count("word" * 10) == 16  # not worth asking
        assert len(double.asked) == asked
    with backend(double, window=700).open(None, max_adapters=2) as session:
        assert session.window == 700
    with pytest.raises(ModelError, match="too long"):
        session.chat([{"role": "user", "content": "why? " * 900}], max_tokens=9, check=never)


def test_a_place_is_filled_in_by_what_the_server_knows(start: Start) -> None:
    # Its tokenizer knows the names: the prompt is written with them, and data cannot pose as them.
    double = start("llama-server")
    assert fill(backend(double), "x = <|fim_middle|>", "\ny\n") == "a + b"
    sent = double.last("/v1/completions")
    assert sent["prompt"] == "<|fim_prefix|>x = < |fim_middle|><|fim_suffix|>\ny\n<|fim_middle|>"
    assert "suffix" not in sent
    # It has no tokenizer to ask, and takes a suffix.
    double = start("plain")
    assert fill(backend(double), "x = ", "\ny\n") == "a + b"
    sent = double.last("/v1/completions")
    assert (sent["prompt"], sent["suffix"]) == ("x = ", "\ny\n")
    # It refuses a suffix: asked once, it is left out from then on.
    double.no_suffix = True
    refusing = backend(double)
    assert [fill(refusing, "x = ", "\ny\n"), fill(refusing, "", "y")] == ["a + b", "a + b"]
    assert double.last("/v1/completions")["prompt"] == "\n"
    assert double.paths().count("/v1/completions") == 4


def test_other_files_stand_before_where_the_model_was_trained_so(start: Start) -> None:
    excerpt = Excerpt(path="b.py", start_line=1, end_line=1, text="B = '<|file_sep|>'")
    around = Surroundings(repository="shop", path="a.py", excerpts=[excerpt])
    drawing = Drawing(temperature=0.8, top_p=0.9, seed=7)
    for like in ("llama-server", "plain"):
        double = start(like)
        with backend(double).open(None, max_adapters=2) as session:
            assert session.knows_repositories is (like == "llama-server")
            list(session.fill("x", "y", max_tokens=9, check=never, drawing=drawing, around=around))
        sent = double.last("/v1/completions")
        assert (sent["temperature"], sent["top_p"], sent["seed"]) == (0.8, 0.9, 7)
        if like == "llama-server":
            assert sent["prompt"] == (
                "<|repo_name|>shop\n<|file_sep|>b.py\nB = '< |file_sep|>'\n<|file_sep|>a.py\n"
                "<|fim_prefix|>x<|fim_suffix|>y<|fim_middle|>"
            )
        else:
            assert sent["prompt"] == "x"


def test_what_stands_far_from_the_place_is_cut_to_fit(start: Start) -> None:
    double = start("vllm")
    double.no_suffix = False
    before = "".join(f"line {n}\n" for n in range(9_000))
    fill(backend(double, window=400), before, before, max_tokens=50)
    prompt = double.last("/v1/completions")["prompt"]
    _, _, rest = prompt.partition("<|fim_prefix|>")
    head, _, rest = rest.partition("<|fim_suffix|>")
    tail, _, _ = rest.partition("<|fim_middle|>")
    assert before.endswith(head) and before.startswith(tail)
    assert 200 < len(head) / 4 < 350 and 50 < len(tail) / 4 <= 86


def test_an_adapter_that_the_server_lists_is_its_own_model(start: Start) -> None:
    double = start("plain")
    double.adapters["gardener-shop-v2"] = "somewhere"
    pieces, session = ask(backend(double), adapter("v2"))
    assert ("".join(pieces), session.adapter, session.warning) == (ANSWER, "v2", "")
    assert double.last("/v1/chat/completions")["model"] == "gardener-shop-v2"
    pieces, session = ask(backend(double), adapter("v3"))
    assert ("".join(pieces), session.adapter) == (ANSWER, None)
    assert "gardener-shop-v3" in session.warning and "export v3" in session.warning
    assert double.last("/v1/chat/completions")["model"] == "tiny"


def test_vllm_is_asked_to_load_adapters_and_to_let_the_oldest_go(start: Start) -> None:
    double = start("vllm")
    served = backend(double)
    for version in ("v1", "v2", "v1", "v3"):
        _, session = ask(served, adapter(version))
        assert (session.adapter, session.warning) == (version, "")
    assert double.adapters == {
        "gardener-shop-v1": "/home/adapters/shop/v1",
        "gardener-shop-v3": "/home/adapters/shop/v3",
    }
    assert served.loaded_adapters == ["v1", "v3"]
    assert double.paths().count("/v1/load_lora_adapter") == 3
    _, session = ask(served, adapter("v4", folder="/broken"))
    assert session.adapter is None and "max_lora_rank" in session.warning
    # One that was not started for it is asked once.
    double.no_load = True
    for _ in range(2):
        _, session = ask(served, adapter("v5"))
        assert session.adapter is None and "export v5" in session.warning
    assert double.paths().count("/v1/load_lora_adapter") == 5


def test_requests_at_a_time_get_the_adapters_that_they_asked_for(start: Start) -> None:
    double = start("vllm")
    double.tells_model = True
    served = backend(double)

    def complete(version: str) -> tuple[str, str | None]:
        wanted = adapter(version) if version else None
        with served.open(wanted, max_adapters=8) as session:
            return "".join(session.fill("x", "y", max_tokens=9, check=never)), session.adapter

    versions = ["v1", "", "v2", "v3"] * 6
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(complete, versions))
    expected = [(f"gardener-shop-{each}" if each else "tiny", each or None) for each in versions]
    assert told == expected
    assert double.paths().count("/v1/load_lora_adapter") == 3


def test_llama_server_is_told_with_each_request_which_adapter_is_on(start: Start) -> None:
    double = start("llama-server")
    double.adapters = {"a": "/x/gardener-shop-v1.gguf", "b": "/x/gardener-shop-v2.gguf"}
    served = backend(double)
    _, session = ask(served, adapter("v2"))
    assert (session.adapter, session.warning) == ("v2", "")
    sent = double.last("/v1/chat/completions")
    assert sent["lora"] == [{"id": 0, "scale": 0.0}, {"id": 1, "scale": 1.0}]
    ask(served)
    sent = double.last("/v1/chat/completions")
    assert sent["lora"] == [{"id": 0, "scale": 0.0}, {"id": 1, "scale": 0.0}]


def test_a_server_that_is_busy_or_starts_is_asked_again(start: Start) -> None:
    double = start()
    double.failures = [503, "drop", 429]
    assert "".join(ask(backend(double))[0]) == ANSWER
    assert double.paths().count("/v1/models") == 4
    double.failures = [500, 502, 503, 504]
    with pytest.raises(ServerError, match=r"504 to /v1/models: busy for now") as caught:
        ask(backend(double))
    assert double.url in caught.value.message and caught.value.hint


def test_what_will_not_get_better_is_not_asked_again(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    double = start()
    double.key = "sk-secret"
    monkeypatch.setenv("TINY_KEY", "sk-wrong")
    with pytest.raises(ServerError, match="401") as caught:
        ask(backend(double, key_env="TINY_KEY"))
    assert len(double.asked) == 1
    assert "sk-wrong" not in caught.value.message and "api_key_env" in caught.value.hint
    monkeypatch.setenv("TINY_KEY", "sk-secret")
    assert "".join(ask(backend(double, key_env="TINY_KEY"))[0]) == ANSWER
    double.key = ""
    with pytest.raises(ModelError, match="no model 'big'; it has: tiny"):
        ask(backend(double, name="big"))
    double.models.append("other")
    with pytest.raises(ModelError, match=r"which model .* tiny, other"):
        ask(backend(double))
    assert ask(backend(double, name="other"))[1].name == "other"
    # A version that was merged and is served under its name is a model like any other.
    double.models.append("gardener-shop-v3")
    _, session = ask(backend(double, name="gardener-shop-v3"), adapter("v3"))
    assert (session.name, session.adapter) == ("gardener-shop-v3", "v3")
    double.models.clear()
    with pytest.raises(ModelError, match="none"):
        ask(backend(double))


def test_an_answer_that_breaks_off_is_an_error_not_an_end(start: Start) -> None:
    for double, says in ((start(), "broke off"), (start(), "failed in the midst .* no memory")):
        if "memory" in says:
            double.fails_late = "no memory"
        else:
            double.dies_after = 4
        got: list[str] = []
        with (
            backend(double).open(None, max_adapters=2) as session,
            pytest.raises(ServerError, match=says) as caught,
        ):
            got.extend(session.chat(QUESTION, max_tokens=100, check=never))
        assert caught.value.hint
        assert (
            double.paths().count("/v1/chat/completions") == 1
        )  # what was shown is not written twice
        assert got == (["It ", "is "] if double.dies_after else [])


def test_cancelling_leaves_a_server_that_thinks(start: Start) -> None:
    double = start()
    double.hold.clear()
    cancelled = threading.Event()

    def check() -> None:
        if cancelled.is_set():
            raise CancelledError("the request was cancelled")

    with backend(double).open(None, max_adapters=2) as session:
        writing = session.fill("x", "", max_tokens=9, check=check)
        pieces = iter(writing)
        assert next(pieces) == "a"
        threading.Timer(0.05, cancelled.set).start()
        with pytest.raises(CancelledError):
            next(pieces)
        writing.close()
    double.hold.set()
    # Closed without being read to its end, a stream is left too.
    double.words = ["word "] * 100_000
    with backend(double).open(None, max_adapters=2) as session:
        writing = session.fill("x", "", max_tokens=9, check=never)
        next(iter(writing))
        writing.close()
    assert double.left.wait(10)


def test_a_template_without_a_system_role_gets_one_turn(start: Start) -> None:
    double = start()
    double.no_system = True
    assert "".join(ask(backend(double))[0]) == ANSWER
    (turn,) = double.last("/v1/chat/completions")["messages"]
    assert turn["role"] == "user" and turn["content"].startswith("You answer.\n\n")


def test_nothing_leaves_this_machine_unless_it_may(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    double = start()
    for url in ("http://192.0.2.7:9", "http://0.0.0.0:9", "http://[2001:db8::1]:9"):
        with pytest.raises(RefusedError, match="leads off this machine") as caught:
            ask(backend(double, url=url))
        assert "allow_remote" in caught.value.hint
    with pytest.raises(ServerError, match="no host"):
        ask(backend(double, url="http://gardener.invalid:9"))
    # A proxy in the environment is passed by, a name for this machine is looked up.
    monkeypatch.setenv("HTTP_PROXY", "http://192.0.2.7:9")
    monkeypatch.setenv("ALL_PROXY", "http://192.0.2.7:9")
    named = double.url.replace("127.0.0.1", "localhost")
    assert "".join(ask(backend(double, url=named))[0]) == ANSWER
    assert double.asked[-1].headers["Host"] == named.removeprefix("http://")
    double.redirect = "http://192.0.2.7:9/v1/models"
    with pytest.raises(ServerError, match="307") as caught:
        ask(backend(double))
    assert "redirect" in caught.value.hint


def test_what_is_no_such_server_is_told(start: Start, tmp_path: Path) -> None:
    double = start()
    double.models = [1]  # type: ignore[list-item]
    with pytest.raises(ServerError, match="lists no models"):
        ask(backend(double))
    url = double.url
    double.close()
    with pytest.raises(ServerError, match="cannot reach") as caught:
        ask(backend(double, url=url))
    assert url in caught.value.message and "start it" in caught.value.hint
