from __future__ import annotations

import os
from pathlib import Path

from gardenerd.index.text import digest_bytes, read_file

LIMIT = 10_000


def test_a_file_is_read_once_with_its_digest_and_size(tmp_path: Path) -> None:
    data = "x = 1\r\ny = 'é'\n".encode()
    (tmp_path / "a.py").write_bytes(data)
    found = read_file(tmp_path, "a.py", LIMIT)
    assert found.state == "read"
    assert found.text == "x = 1\ny = 'é'\n"
    assert (found.size, found.digest) == (len(data), digest_bytes(data))
    assert found.mtime_ns == (tmp_path / "a.py").stat().st_mtime_ns


def test_other_encodings_are_read(tmp_path: Path) -> None:
    texts = {
        "old.py": "name = 'für'\n".encode("cp1252"),
        "mixed.py": "name = 'größe'\n".encode() + "other = 'größe'\n".encode("latin-1"),
        "wide.py": "name = 'größe'\r\n".encode("utf-16"),
        "broken.py": b"name = '\xe2\x82' + '\x81'\n",
    }
    for name, data in texts.items():
        (tmp_path / name).write_bytes(data)
    found = {name: read_file(tmp_path, name, LIMIT).text for name in texts}
    assert found == {
        "old.py": "name = 'für'\n",
        "mixed.py": "name = 'größe'\nother = 'größe'\n",
        "wide.py": "name = 'größe'\n",
        "broken.py": "name = 'â‚' + '\ufffd'\n",
    }


def test_what_is_left_out_has_a_reason(tmp_path: Path) -> None:
    (tmp_path / "big.txt").write_bytes(b"a\n" * LIMIT)
    (tmp_path / "image.png").write_bytes(b"\x89PNG\0\0")
    (tmp_path / "min.js").write_text("var a=1;" * 1_200)
    (tmp_path / "link.py").symlink_to(tmp_path / "big.txt")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    reasons = {
        name: (found.state, found.reason)
        for name in ("big.txt", "image.png", "min.js", "link.py", "pipe", "folder")
        for found in [read_file(tmp_path, name, LIMIT)]
    }
    assert all(state == "skipped" for state, _ in reasons.values())
    assert reasons["big.txt"][1] == "larger than 10000 bytes"
    assert reasons["image.png"][1] == "binary"
    assert "minified" in reasons["min.js"][1]
    assert reasons["link.py"][1] == "a symbolic link"
    assert reasons["pipe"][1] == "not a regular file"


def test_a_file_of_one_endless_line_is_left_out_even_if_prose(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("intro\n" + "word " * 8_000 + "\nend\n")
    assert read_file(tmp_path, "a.md", 1_000_000).state == "skipped"
    (tmp_path / "b.md").write_text(("word " * 300 + "\n") * 20)
    assert read_file(tmp_path, "b.md", 1_000_000).state == "read"


def test_what_is_not_there_is_gone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert read_file(tmp_path, "missing.py", LIMIT).state == "gone"
    assert read_file(tmp_path, "file/below.py", LIMIT).state == "gone"


def test_what_cannot_be_opened_failed_with_the_reason(tmp_path: Path) -> None:
    name = "n" * 300
    found = read_file(tmp_path, name, LIMIT)
    assert found.state == "failed"
    assert found.reason


def test_secrets_are_masked_on_reading(tmp_path: Path) -> None:
    key = "AKIA" + "Q3EXAMPLE7KEYAAB"[:16]
    (tmp_path / "a.py").write_text(f"KEY = '{key}'\n")
    found = read_file(tmp_path, "a.py", LIMIT)
    assert key not in found.text
    assert found.text == f"KEY = '{'*' * len(key)}'\n"
