"""What is wrong gets a clear, typed error; the daemon lives and goes on answering."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import msgspec
import pytest
import zmq

from gardenerd.wire import messages
from tests.live.garden import Garden, until


@pytest.fixture
def tended(shared: Garden, project: Path) -> Garden:
    shared.ctl("add", str(project), "--name", "shop")
    shared.settle()
    return shared


def test_folders_that_cannot_be_tended(tended: Garden, project: Path, tmp_path: Path) -> None:
    file = tmp_path / "file.txt"
    file.write_text("x")
    outer, inner = project.parent, project / "shop"
    for path, word in [
        (tmp_path / "missing", "does not exist"),
        (file, "not a folder"),
        (Path.home(), "home"),
        (Path("/"), "root folder"),
        (project, "already"),
        (inner, "inside"),
        (outer, "holds"),
        (tended.home.root, "own home"),
    ]:
        error = tended.refusal("add", str(path))
        assert word in error["message"], (path, error)
        assert error["hint"]
    assert len(tended.json("status")["projects"]) == 1


def test_questions_that_are_none(tended: Garden, tmp_path: Path) -> None:
    huge = tmp_path / "huge.txt"
    huge.write_text("why " * 300_000)
    assert "empty" in tended.refusal("ask", "  ")["message"]
    assert "empty" in tended.refusal("search", "")["message"]
    assert "65,536" in tended.refusal("search", "--query-file", str(huge))["message"]
    assert tended.refusal("search", "x", "--project", "nope")["code"] == "not_found"
    assert tended.refusal("feedback", "none", "good")["code"] == "not_found"
    assert tended.refusal("rollback", "v9")["code"] == "not_found"
    assert tended.refusal("complete", f"{tmp_path}/none.py:1")["code"] == "not_found"
    assert tended.refusal("score", f"{tmp_path}/none.py")["message"]
    assert tended.run("search").returncode == 2
    assert tended.run("no-such-verb").returncode == 2


def test_bytes_that_are_no_request(tended: Garden) -> None:
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.linger = 0
    socket.rcvtimeo = 20_000
    socket.connect(tended.home.request_endpoint)
    rng = random.Random(7)

    def reply_to(*frames: bytes) -> dict[str, str]:
        socket.send_multipart(frames)
        reply = msgspec.json.decode(socket.recv())
        assert reply["kind"] == "error"
        assert reply["body"]["hint"]
        return reply["body"]

    for size in (0, 1, 100, 10_000):
        assert reply_to(rng.randbytes(size))["code"] == "protocol"
    assert reply_to(b"a", b"b")["code"] == "protocol"
    assert reply_to(b"[" * 200_000)["code"] == "protocol"
    unknown = {"protocol": messages.PROTOCOL, "id": "1", "op": "dance"}
    assert "dance" in reply_to(msgspec.json.encode(unknown))["message"]
    newer = {"protocol": messages.PROTOCOL + 1, "id": "2", "op": "status"}
    assert "protocol" in reply_to(msgspec.json.encode(newer))["message"]
    wrong = {"protocol": messages.PROTOCOL, "id": "3", "op": "search", "params": {"query": 7}}
    assert "query" in reply_to(msgspec.json.encode(wrong))["message"]
    assert "taken" in reply_to(b"x" * (messages.MAX_REQUEST_BYTES + 1))["message"]
    socket.close()
    context.term()
    assert tended.json("status")["daemon"]["pid"] == tended.pid


def test_files_that_are_odd(tended: Garden, project: Path) -> None:
    (project / "broken.py").write_bytes(b"def broken_bytes():\n    return '\xff\xfe\x00?'[:2]\n")
    (project / "latin.py").write_bytes(b"def latin_name():\n    return 'caf\xe9'\n")
    (project / "loop").symlink_to(project)
    (project / "outside").symlink_to("/etc")
    (project / "dangling.py").symlink_to(project / "nowhere.py")
    os.mkfifo(project / "pipe.py")
    with (project / "large.py").open("wb") as large:
        large.truncate(200_000_000)
    (project / os.fsdecode(b"bad\xff.py")).write_text("def named_badly(): pass\n")
    (project / "nested.py").write_text("(" * 20_000 + ")" * 20_000 + "\n")
    (project / "fine.py").write_text("def found_among_the_odd():\n    return 1\n")
    tended.settle()
    assert "fine.py" in tended.found("found among the odd", 1)
    assert "latin.py" in tended.found("latin name", 3)
    paths = {hit for query in ("passwd", "large", "loop") for hit in tended.found(query, 50)}
    assert not [path for path in paths if path.startswith(("outside", "loop", "large"))]
    assert "not UTF-8" in " ".join(tended.json("status")["projects"][0]["notes"])


def test_files_that_vanish_while_they_are_read(tended: Garden, project: Path) -> None:
    for round_ in range(5):
        for number in range(60):
            (project / f"brief_{number}.py").write_text(f"def brief_{round_}(): return {number}\n")
        for number in range(60):
            (project / f"brief_{number}.py").unlink()
    tended.settle()
    assert tended.json("status")["projects"][0]["files"] == 5


def test_an_unreadable_folder_is_told_and_deletes_nothing(tended: Garden, project: Path) -> None:
    if os.getuid() == 0:
        # root reads everything; a folder replaced by a file in between is the nearest case
        folder = project / "shop"
        folder.rename(project / "kept")
        folder.write_text("now a file")
        tended.settle()
        assert "kept/basket.py" in tended.found("basket total price")
        return
    (project / "shop").chmod(0)
    try:
        tended.ctl("rescan")
        until(lambda: bool(tended.json("status")["projects"][0]["notes"]), 30)
        assert tended.json("status")["projects"][0]["files"] == 5
    finally:
        (project / "shop").chmod(0o700)


def test_what_cannot_be_seen_is_named_and_nothing_is_called_settled(
    tended: Garden, project: Path
) -> None:
    assert tended.json("status")["projects"][0]["settled"] is True
    assert tended.json("wait")["settled"] is True
    here = os.open(project, os.O_RDONLY)
    try:
        for _ in range(20):  # deeper than any path can name: not even root can read it
            os.mkdir("deep" * 60, dir_fd=here)
            here, above = os.open("deep" * 60, os.O_RDONLY, dir_fd=here), here
            os.close(above)
    finally:
        os.close(here)
    waited = tended.json("wait")
    assert waited["settled"] is False
    assert "unreadable, first deepdeep" in waited["not_covered"][0]
    found = tended.json("status")["projects"][0]
    assert (found["settled"], found["files"]) == (False, 5)
    assert "unreadable" in found["not_covered"][0]
    shown = tended.ctl("status")
    assert "half blind" in shown
    assert "not covered" in tended.ctl("wait")
    shutil.rmtree(project / ("deep" * 60))
    tended.settle()
    assert tended.json("wait")["settled"] is True


def test_a_model_that_is_missing_or_damaged(tended: Garden, project: Path, tmp_path: Path) -> None:
    file = f"{project / 'shop' / 'basket.py'}:12"
    for name, content in [("missing", None), ("damaged", b"{}")]:
        folder = tmp_path / name
        if content is not None:
            folder.mkdir()
            (folder / "config.json").write_bytes(content)
            (folder / "model.safetensors").write_bytes(b"\0" * 100)
        tended.stop()
        tended.configure(f'[model]\nbase = "{folder}"\n')
        tended.start()
        error = tended.refusal("complete", file)
        assert error["code"] == "model"
        assert error["hint"]
        assert "shop/basket.py" in tended.found("basket total price")
