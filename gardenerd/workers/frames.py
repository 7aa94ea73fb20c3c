"""What travels between the supervisor and a child: jobs out, updates and answers back."""

from __future__ import annotations

import msgspec


class Frame(msgspec.Struct, kw_only=True, frozen=True, tag=True):
    pass


class Assign(Frame, kw_only=True, frozen=True):
    id: str
    job: msgspec.Raw


class CancelJob(Frame, kw_only=True, frozen=True):
    id: str


class Ping(Frame, kw_only=True, frozen=True):
    pass


class Leave(Frame, kw_only=True, frozen=True):
    pass


class Ready(Frame, kw_only=True, frozen=True):
    pid: int


class Pong(Frame, kw_only=True, frozen=True):
    jobs: int


class Update(Frame, kw_only=True, frozen=True):
    id: str
    body: msgspec.Raw


class Answer(Frame, kw_only=True, frozen=True):
    id: str
    body: msgspec.Raw


class Failed(Frame, kw_only=True, frozen=True):
    id: str
    code: str
    message: str
    hint: str = ""


ToChild = Assign | CancelJob | Ping | Leave
FromChild = Ready | Pong | Update | Answer | Failed
