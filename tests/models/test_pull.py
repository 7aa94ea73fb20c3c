"""Pulling from a hub on a loopback socket: whole, resumed, or refused before any weights came."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from gardenerd.errors import CancelledError, GardenerError, ModelError, RefusedError, StorageError
from gardenerd.models import info
from gardenerd.models.origin import read_origin
from gardenerd.models.pull import pull
from gardenerd.workers.fetch_jobs import Fetched, FetchModel, FetchProgress
from tests.hub import FakeHub, serving
from tests.tiny_models import make_base

NAME = "garden/tiny"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("source") / "tiny", chat=True)


@pytest.fixture
def hub(source: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    monkeypatch.setattr("gardenerd.models.transfer._FIRST_WAIT_S", 0.001)
    with serving() as found:
        found.add(NAME, source)
        yield found


@pytest.fixture
def job(tmp_path: Path, hub: FakeHub) -> FetchModel:
    return FetchModel(
        repository=NAME,
        revision="main",
        target=str(tmp_path / "models" / NAME),
        partial=str(tmp_path / "models" / ".pulling" / "garden--tiny"),
        endpoint=hub.endpoint,
        largest_bytes=10**12,
        spare_disk_bytes=0,
    )


def fetch(job: FetchModel, said: list[FetchProgress] | None = None) -> Fetched:
    return pull(job, [].append if said is None else said.append, lambda: None)


def cut_off(job: FetchModel, hub: FakeHub, after: int = 100_000) -> Path:
    """Pull until ``after`` bytes of the weights came, as an interrupted command does."""
    seen: list[FetchProgress] = []

    def check() -> None:
        part = next(Path(job.partial).glob("*.safetensors*.part"), None)
        if part is not None and part.stat().st_size >= after:
            raise CancelledError("the request was cancelled")

    hub.break_after = after
    with pytest.raises(CancelledError):
        pull(job, seen.append, check)
    return next(Path(job.partial).glob("*.safetensors*.part"))


def test_a_model_is_pulled_at_a_commit(job: FetchModel, hub: FakeHub, source: Path) -> None:
    said: list[FetchProgress] = []
    fetched = fetch(job, said)
    target = Path(job.target)
    assert info.fingerprint(target) == info.fingerprint(source)
    origin = read_origin(target)
    assert origin is not None
    assert (origin.repository, origin.revision, origin.licence) == (NAME, "a" * 40, "apache-2.0")
    assert {file.name for file in origin.files} >= {"config.json", "model.safetensors"}
    assert fetched.received == fetched.bytes == sum(file.size for file in origin.files)
    assert said[-1].done == said[-1].total == fetched.bytes
    assert [update.done for update in said] == sorted(update.done for update in said)
    assert not Path(job.partial).exists()
    # The same commit again: nothing comes. Another: it takes the place of the first.
    asked = len(hub.asked)
    assert fetch(msgspec.structs.replace(job, held="a" * 40)).received == 0
    assert len(hub.asked) == asked
    hub.repositories[NAME].commit = "b" * 40
    again = msgspec.structs.replace(job, held="a" * 40)
    with pytest.raises(RefusedError, match="serves at aaaaaaaaaaaa"):
        fetch(msgspec.structs.replace(again, keep=True))
    assert fetch(again).replaced == "a" * 40
    found = read_origin(target)
    assert found is not None
    assert found.revision == "b" * 40


def test_what_came_before_an_interruption_is_not_pulled_again(
    job: FetchModel, hub: FakeHub
) -> None:
    part = cut_off(job, hub)
    came = part.stat().st_size
    hub.asked.clear()
    fetched = fetch(job)
    ranges = [wanted for path, wanted in hub.asked if path.endswith("model.safetensors")]
    assert ranges == [f"bytes={came}-"]
    assert fetched.received == fetched.bytes - came - _small(job)
    assert info.inspect(Path(job.target)).parameters > 0


def _small(job: FetchModel) -> int:
    origin = read_origin(Path(job.target))
    assert origin is not None
    return sum(file.size for file in origin.files if not file.sha256)


def test_a_lost_connection_is_taken_up_where_it_broke(job: FetchModel, hub: FakeHub) -> None:
    hub.break_after = 100_000
    fetched = fetch(job)
    ranges = [wanted for path, wanted in hub.asked if path.endswith("model.safetensors")]
    assert ranges == ["", "bytes=100000-"]
    assert fetched.received == fetched.bytes


def test_a_hub_without_ranges_sends_it_all_again(job: FetchModel, hub: FakeHub) -> None:
    cut_off(job, hub)
    hub.ranges = False
    fetch(job)
    assert info.inspect(Path(job.target)).parameters > 0


def test_a_damaged_part_is_thrown_away_once(job: FetchModel, hub: FakeHub) -> None:
    part = cut_off(job, hub)
    part.write_bytes(b"\0" * part.stat().st_size)
    said: list[FetchProgress] = []
    fetched = fetch(job, said)
    assert said[-1].done == fetched.bytes
    assert info.inspect(Path(job.target)).parameters > 0


def test_what_is_not_as_promised_never_stands_in_place(job: FetchModel, hub: FakeHub) -> None:
    hub.corrupt = True
    with pytest.raises(ModelError, match="not what the hub promised"):
        fetch(job)
    assert not Path(job.target).exists()
    assert not list(Path(job.partial).glob("model.safetensors*"))


def edit_config(hub: FakeHub, **values: object) -> None:
    files = hub.repositories[NAME].files
    config = json.loads(files["config.json"])
    files["config.json"] = json.dumps({**config, **values}).encode()


def other_tokenizer(hub: FakeHub) -> None:
    edit_config(hub, vocab_size=50)


def only(hub: FakeHub, name: str) -> None:
    files = hub.repositories[NAME].files
    files[name] = files.pop("model.safetensors")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda hub: only(hub, "pytorch_model.bin"), "can run code"),
        (lambda hub: only(hub, "tiny-q4_0.gguf"), "GGUF"),
        (lambda hub: only(hub, "adapter_model.safetensors"), "no model.safetensors"),
        (lambda hub: hub.repositories[NAME].files.pop("tokenizer.json"), "no tokenizer.json"),
        (lambda hub: edit_config(hub, auto_map={"AutoModel": "evil.Model"}), "code of its own"),
        (lambda hub: edit_config(hub, architectures=["NewForCausalLM"]), "does not have"),
        (lambda hub: edit_config(hub, architectures=["BertForMaskedLM"]), "writes on"),
        (lambda hub: edit_config(hub, quantization_config={"bits": 4}), "packed already"),
        (other_tokenizer, "another model's"),
        (lambda hub: hub.repositories.clear(), "the hub has no garden/tiny"),
        (lambda hub: setattr(hub.repositories[NAME], "gated", True), "not open to everyone"),
    ],
)
def test_what_cannot_serve_is_refused_before_its_weights_come(
    job: FetchModel, hub: FakeHub, spoil, words: str
) -> None:
    spoil(hub)
    with pytest.raises(ModelError, match=words) as caught:
        fetch(job)
    assert caught.value.hint
    assert hub.weights_asked() == 0


def test_what_does_not_fit_is_refused_with_figures(job: FetchModel, hub: FakeHub) -> None:
    with pytest.raises(ModelError, match=r"takes 0\.7 GB of memory .* has 0\.1 GB"):
        fetch(msgspec.structs.replace(job, largest_bytes=100_000_000))
    with pytest.raises(StorageError, match="shall stay free"):
        fetch(msgspec.structs.replace(job, spare_disk_bytes=10**15))
    assert hub.weights_asked() == 0


def test_an_unknown_revision_and_a_hub_that_is_away(job: FetchModel, hub: FakeHub) -> None:
    with pytest.raises(ModelError, match="garden/tiny has no revision v9"):
        fetch(msgspec.structs.replace(job, revision="v9"))
    with pytest.raises(ModelError, match="cannot be reached"):
        fetch(msgspec.structs.replace(job, endpoint="http://127.0.0.1:9"))
    with pytest.raises(GardenerError, match="no address of a hub"):
        fetch(msgspec.structs.replace(job, endpoint="file:///etc"))
    hub.repositories[NAME].gated = True
    assert fetch(msgspec.structs.replace(job, token="mine")).revision == "a" * 40
    assert hub.tokens[-1] == "Bearer mine"


def test_shards_are_those_that_the_index_names(job: FetchModel, hub: FakeHub) -> None:
    files = hub.repositories[NAME].files
    files["model-00001-of-00001.safetensors"] = files.pop("model.safetensors")
    weight_map = {"a": "model-00001-of-00001.safetensors"}
    files["model.safetensors.index.json"] = json.dumps({"weight_map": weight_map}).encode()
    fetch(job)
    assert info.weight_files(Path(job.target))[0].name == "model-00001-of-00001.safetensors"
    weight_map["b"] = "../../evil.safetensors"
    files["model.safetensors.index.json"] = json.dumps({"weight_map": weight_map}).encode()
    with pytest.raises(ModelError, match="lacks"):
        fetch(job)
