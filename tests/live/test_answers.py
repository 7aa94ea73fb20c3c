"""Questions and completions as people use them: a conversation, another model, other adapters."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

from gardenerd.models.info import fingerprint
from gardenerd.paths import Home
from gardenerd.store.adapters import Adapter
from gardenerd.store.stores import Stores
from tests.live.garden import ONLY_ASKED, Garden, until
from tests.tiny_models import make_adapter, make_base

CONFIG = """
[model]
base = "{base}"
max_new_tokens = 24
"""


def publish(home: Home, project: str, base: Path, *versions: str) -> None:
    """Adapters as training runs would have left them; the last one serves."""
    stores = Stores(home.database)
    for number, version in enumerate(versions, 1):
        make_adapter(base, home.adapter(project, version), seed=number)
        stores.adapters.promote(
            Adapter(
                project=project, version=version, number=number, state="candidate", parent=None,
                run=None, created=float(number), scores={}, fingerprint=fingerprint(base),
            ),
            float(number),
        )  # fmt: skip
    stores.close()


def test_a_conversation_with_a_choice_of_models_and_adapters(
    home_folder: Path, project: Path, tmp_path: Path
) -> None:
    base = make_base(tmp_path / "base", chat=True, window=2_048)
    other = make_base(tmp_path / "other", chat=True, window=2_048, seed=5)
    garden = Garden(home_folder)
    garden.configure(ONLY_ASKED + CONFIG.format(base=base))
    garden.start()
    try:
        id = garden.json("add", str(project))["id"]
        garden.settle()
    finally:
        garden.stop()
    publish(garden.home, id, base, "v1", "v2")
    garden.start()
    try:
        talk(garden)
        choose(garden, other)
        swap(garden)
        complete(garden, project)
        refuse(garden, id)
        forget(garden, project)
    finally:
        garden.stop()


def ask(garden: Garden, *arguments: str) -> dict[str, Any]:
    (answer,) = garden.lines("ask", "how is the total price computed?", *arguments)
    return answer


def talk(garden: Garden) -> None:
    first = ask(garden)
    assert first["mode"] == "chat"
    assert first["conversation"]["turn"] == 1
    assert {"shop/basket.py"} <= {source["path"] for source in first["sources"]}
    kinds = [part["kind"] for part in first["context"]]
    assert kinds == ["system", *["source"] * len(first["sources"]), "question"]
    assert 0 < sum(part["tokens"] for part in first["context"]) < first["window"] == 2_048
    second = ask(garden, "--continue")
    assert second["conversation"] == {**first["conversation"], "turn": 2}
    again = [part for part in second["context"] if part["turn"] == 0]
    assert [part["kind"] for part in again] == [*kinds[1:], "turn"]
    assert again[0]["path"] == first["context"][1]["path"]
    third = garden.run("ask", "why?", "--no-stream", "--context")
    assert "instructions" in third.stdout and "of 2,048" in third.stdout
    talk = ask(garden, "--continue")["conversation"]
    assert talk["turn"] == 2
    assert talk["id"] != first["conversation"]["id"]


def choose(garden: Garden, other: Path) -> None:
    assert ask(garden)["adapter"] == "v2"
    texts = {}
    for named, version in (("v1", "v1"), ("none", None), ("current", "v2")):
        answer = ask(garden, "--adapter", named)
        assert (answer["adapter"], answer["warning"]) == (version, "")
        texts[named] = answer["text"]
    assert len(set(texts.values())) == 3
    assert garden.refusal("ask", "why?", "--adapter", "v12")["code"] == "not_found"
    # Another base serves bare: what serves otherwise was not trained on it, and nobody erred.
    answer = ask(garden, "--model", str(other))
    assert (answer["base"], answer["adapter"], answer["warning"]) == (str(other), None, "")
    answer = ask(garden, "--model", str(other), "--adapter", "v1")
    assert answer["adapter"] is None
    assert "the base in use is another" in answer["warning"]
    error = garden.refusal("ask", "why?", "--model", "nowhere")
    assert error["code"] == "model" and "nowhere" in error["message"]
    assert ask(garden)["text"] == texts["current"]
    assert garden.json("status")["warnings"] == []


def swap(garden: Garden) -> None:
    """What serves changes while questions are under way: each is answered, by one or the other."""
    asked = [garden.begin("ask", f"how does it work? {n}", "--json") for n in range(3)]
    garden.ctl("rollback", "v1")
    assert [each.wait(120) for each in asked] == [0, 0, 0]
    assert ask(garden)["adapter"] == "v1"
    garden.ctl("rollback", "v2")


def complete(garden: Garden, project: Path) -> None:
    place = f"{project / 'shop' / 'shipping.py'}:6"
    known = garden.json("complete", place, "--n", "3", "--seed", "1", "--max-tokens", "12")
    texts = [each["text"].strip() for each in known["completions"]]
    assert len(set(texts)) == len(texts) == 3
    assert known["text"] == known["completions"][0]["text"]
    for each in known["completions"]:
        garden.ctl("feedback", each["answer"], "good")
    # Other files are shown when they are found in time, which a busy machine may delay.
    found: list[dict[str, Any]] = []

    def shows_others() -> bool:
        found[:] = garden.json("complete", place, "--max-tokens", "2")["context"]
        return bool(found)

    until(shows_others, 60)
    assert all(part["path"] != "shop/shipping.py" and part["tokens"] > 0 for part in found)
    (search,) = [each["pid"] for each in garden.json("ps")["workers"] if each["kind"] == "search"]
    os.kill(search, signal.SIGSTOP)
    try:  # none are waited for
        assert garden.json("complete", place, "--max-tokens", "2")["context"] == []
    finally:
        os.kill(search, signal.SIGCONT)


def refuse(garden: Garden, id: str) -> None:
    """An adapter that cannot be loaded: the base answers, and that is told until it can."""
    folder = garden.home.adapter(id, "v2")
    aside = folder.with_name("aside")
    garden.ctl("unload")
    shutil.move(folder, aside)
    answer = ask(garden)
    assert answer["adapter"] is None
    assert "without an adapter" in answer["warning"]
    (warning,) = garden.json("status")["warnings"]
    assert "shop" in warning and answer["warning"] in warning
    shutil.move(aside, folder)
    assert ask(garden)["adapter"] == "v2"
    assert garden.json("status")["warnings"] == []


def forget(garden: Garden, project: Path) -> None:
    before = ask(garden)
    assert "basket.py" in json.dumps(before)
    garden.ctl("forget", str(project / "shop" / "basket.py"), "--yes")
    # That conversation is gone whole; one that never saw the file may go on.
    answer = ask(garden, "--continue")
    assert answer["conversation"]["id"] != before["conversation"]["id"]
    assert "basket.py" not in json.dumps(answer)
    assert b"Put ``count`` pieces" not in garden.home.database.read_bytes()
