"""A server with OpenAI's protocol, written after what these say of theirs:

- OpenAI, API reference: chat completions, completions, models, streaming by server-sent events;
- vLLM, "OpenAI-Compatible Server" and "LoRA Adapters": ``max_model_len`` and ``parent`` in the
  list, ``/tokenize``, ``/v1/load_lora_adapter``, no ``suffix``;
- llama.cpp, tools/server/README.md: ``/props``, ``/tokenize``, ``/lora-adapters``, ``lora``;
- LM Studio, REST API: ``/api/v0/models``, and 200 with an error for a path that it has not.
"""

from __future__ import annotations

import json
import re
from http.server import BaseHTTPRequestHandler
from typing import Any, Literal

from tests.answer.remote.double import Asked, Double

Like = Literal["plain", "vllm", "llama-server", "lm-studio"]
CONTROLS = (
    *("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
    *("<|repo_name|>", "<|file_sep|>"),
)


class OpenAIDouble(Double):
    """Writes ``words``; by default an answer that cites the first source, and one made up."""

    def __init__(self, like: Like = "plain", *, models: tuple[str, ...] = ("tiny",)) -> None:
        self.like = like
        self.models = list(models)
        self.adapters: dict[str, str] = {}
        """By name the folder or file."""
        self.words: list[str] | None = None
        self.tells_model = False
        """Writes which model was asked for, and nothing else."""
        self.finish = "stop"
        self.fails_late = ""
        self.no_suffix = like == "vllm"
        self.no_system = False
        self.no_load = like != "vllm"
        super().__init__()

    def answer(self, handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        body = asked.body
        match asked.method, asked.path:
            case "GET", "/v1/models":
                self.json(handler, {"object": "list", "data": self._list()})
            case "GET", "/props" if self.like == "llama-server":
                self.json(handler, {"default_generation_settings": {"n_ctx": 3_000}})
            case "GET", "/lora-adapters" if self.like == "llama-server":
                loaded = enumerate(self.adapters.values())
                self.json(handler, [{"id": n, "path": p, "scale": 1.0} for n, p in loaded])
            case "GET", "/api/v0/models" if self.like == "lm-studio":
                entry = {"id": "tiny", "max_context_length": 8_000, "loaded_context_length": 1_500}
                self.json(handler, {"object": "list", "data": [entry]})
            case "POST", "/tokenize" if self.like in ("vllm", "llama-server"):
                text = body["prompt" if self.like == "vllm" else "content"]
                tokens = list(range(_tokens(text)))
                count = {"count": len(tokens)} if self.like == "vllm" else {}
                self.json(handler, {"tokens": tokens, **count})
            case "POST", "/v1/load_lora_adapter" if not self.no_load:
                if "broken" in body["lora_path"]:
                    self.error(handler, 400, "LoRA rank 64 is greater than max_lora_rank 16")
                    return
                self.adapters[body["lora_name"]] = body["lora_path"]
                self.text(handler, f"Success: LoRA adapter '{body['lora_name']}' added.")
            case "POST", "/v1/unload_lora_adapter" if not self.no_load:
                del self.adapters[body["lora_name"]]
                self.text(handler, "Success: removed.")
            case "POST", "/v1/chat/completions":
                if self._knows(handler, body):
                    self._chat(handler, body)
            case "POST", "/v1/completions":
                if self._knows(handler, body):
                    self._complete(handler, body)
            case _ if self.like == "lm-studio":
                self.json(handler, {"error": f"Unexpected endpoint ({asked.path})"})
            case _:
                self.json(handler, {"detail": "Not Found"}, 404)

    def _list(self) -> list[dict[str, Any]]:
        room = {"max_model_len": 4_000} if self.like == "vllm" else {}
        found: list[dict[str, Any]] = [
            {"id": each, "object": "model", **room} for each in self.models
        ]
        if self.like != "llama-server":
            parent = {"parent": self.models[0]} if self.like == "vllm" else {}
            found += [{"id": name, **parent} for name in self.adapters]
        return found

    def _knows(self, handler: BaseHTTPRequestHandler, body: Any) -> bool:
        if body["model"] in self.models or body["model"] in self.adapters:
            return True
        self.error(handler, 404, f"The model `{body['model']}` does not exist.")
        return False

    def _chat(self, handler: BaseHTTPRequestHandler, body: Any) -> None:
        if self.no_system and body["messages"][0]["role"] == "system":
            self.error(handler, 400, "System role not supported")
            return
        source = re.search(r'path="(.+?)" lines="(.+?)"', body["messages"][-1]["content"])
        place = f"{source[1]}:{source[2]}" if source else "nowhere:1"
        words = self.words or [
            "It ",
            "is ",
            f"there [{place}]",
            ", 🌱 as told",
            " [made/up.py:1-2]",
            ".",
        ]
        first = [{"delta": {"role": "assistant", "content": None}}]
        self._send(handler, first + [{"delta": {"content": word}} for word in words], {"delta": {}})

    def _complete(self, handler: BaseHTTPRequestHandler, body: Any) -> None:
        if self.no_suffix and body.get("suffix"):
            self.error(handler, 400, "suffix is not currently supported")
            return
        words = [body["model"]] if self.tells_model else self.words or ["a", " + ", "b"]
        self._send(handler, [{"text": word} for word in words], {"text": ""})

    def _send(
        self, handler: BaseHTTPRequestHandler, choices: list[dict[str, Any]], last: dict[str, Any]
    ) -> None:
        events: list[Any] = [{"choices": [{"index": 0, **each}]} for each in choices]
        if self.fails_late:
            events = [events[0], {"error": {"message": self.fails_late, "code": 500}}]
        else:
            events.append({"choices": [{"index": 0, **last, "finish_reason": self.finish}]})
            if self.like != "plain":
                events.append({"choices": [], "usage": {"completion_tokens": 42}})
        # Bytes outside ASCII come as they are, and a comment keeps the connection alive.
        parts = [f"data: {json.dumps(event, ensure_ascii=False)}\n\n" for event in events]
        self.stream(
            handler, "text/event-stream", [*parts[:1], ": ping\n\n", *parts[1:], "data: [DONE]\n\n"]
        )


def _tokens(text: str) -> int:
    """A vocabulary of four letters a token that knows the names of control tokens."""
    for name in CONTROLS:
        text = text.replace(name, "....")
    return -(-len(text) // 4)
