"""ollama, written after its docs/api.md: tags, show, chat, generate, blobs, create, delete."""

from __future__ import annotations

import hashlib
import json
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.answer.remote.double import Asked, Double

CHATS = "{{ if .System }}<|im_start|>system\n{{ .System }}{{ end }}{{ .Prompt }}"
FILLS = "{{ if .Suffix }}<|fim_prefix|>{{ .Prompt }}<|fim_suffix|>{{ .Suffix }}{{ end }}"


class OllamaDouble(Double):
    """Has the models of ``shown``, by name what ``/api/show`` says of them."""

    def __init__(self) -> None:
        self.shown: dict[str, dict[str, Any]] = {
            "coder:1.5b": {
                "template": CHATS + FILLS,
                "parameters": 'stop   "<|im_end|>"',
                "capabilities": ["completion", "insert"],
                "model_info": {
                    "general.architecture": "qwen2",
                    "qwen2.context_length": 32_768,
                    "qwen2.block_count": 2,
                    "qwen2.embedding_length": 64,
                    "qwen2.attention.head_count": 4,
                    "qwen2.attention.head_count_kv": 2,
                },
            }
        }
        self.parents: dict[str, str] = {}
        self.blobs: dict[str, bytes] = {}
        self.adapters: dict[str, bytes] = {}
        """By model the file that it wears."""
        self.words = ["It ", "is ", "there, 🌱\u2028", "as told."]
        self.reason = "stop"
        self.fails_late = ""
        super().__init__()

    def answer(self, handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        body = asked.body
        match asked.method, asked.path:
            case "GET", "/api/tags":
                models = [
                    {"name": name, "details": {"parent_model": self.parents.get(name, "")}}
                    for name in self.shown
                ]
                self.json(handler, {"models": models})
            case "POST", "/api/show":
                self.json(handler, self.shown[body["model"]])
            case "POST", "/api/chat" | "/api/generate":
                self._write(handler, asked)
            case "POST", path if path.startswith("/api/blobs/sha256:"):
                self.blobs[path.rpartition("/")[2]] = body
                good = path.endswith(hashlib.sha256(body).hexdigest())
                self.text(handler, "", 201 if good else 400)
            case "POST", "/api/create":
                self._create(handler, body)
            case "DELETE", "/api/delete":
                name = self._full(body["model"])
                del self.shown[name], self.adapters[name]
                self.text(handler, "")
            case _:
                self.json(handler, {"error": "not found"}, 404)

    def error(self, handler: BaseHTTPRequestHandler, status: int, message: str) -> None:
        self.json(handler, {"error": message}, status)

    def _create(self, handler: BaseHTTPRequestHandler, body: Any) -> None:
        (digest,) = body["adapters"].values()
        name = self._full(body["model"])
        self.shown[name] = self.shown[body["from"]]
        self.parents[name] = body["from"]
        self.adapters[name] = self.blobs[digest]
        self.json(handler, {"status": "success"})

    def _full(self, name: str) -> str:
        return name if ":" in name else f"{name}:latest"

    def _write(self, handler: BaseHTTPRequestHandler, asked: Asked) -> None:
        if self._full(asked.body["model"]) not in self.shown:
            self.error(handler, 404, f"model '{asked.body['model']}' not found")
            return
        chats = asked.path == "/api/chat"
        events: list[dict[str, Any]] = [
            {"message": {"role": "assistant", "content": word}} if chats else {"response": word}
            for word in self.words
        ]
        for event in events:
            event["done"] = False
        last = {"message": {"content": ""}} if chats else {"response": ""}
        events.append({**last, "done": True, "done_reason": self.reason, "eval_count": 17})
        if self.fails_late:
            events[2:] = [{"error": self.fails_late}]
        # Bytes outside ASCII come as they are, and so does a line separator within a word.
        parts = [json.dumps(event, ensure_ascii=False) + "\n" for event in events]
        self.stream(handler, "application/x-ndjson", parts)
