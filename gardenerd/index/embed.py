"""The one seam through which text becomes vectors; used inside the index worker only.

The default is the static embedding of this package (`gardenerd/index/embedding`): a vector for each
piece of a word, and a text is the mean of its pieces, scaled to length one. No network runs, so the
whole of a project is embedded in seconds on one core, without torch. A folder or Hub name chooses
another model: one in model2vec's format, or anything that sentence-transformers loads.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from gardenerd.errors import ModelError
from gardenerd.index.embedding.pieces import Pieces
from gardenerd.index.embedding.words import Words, as_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from gardenerd.index.embedding.tuned import TunedRows

EMBEDDED = "embedded"
"""The name of the default model."""

FOLDER = Path(__file__).parent / "embedding" / "model"

_BLOCK_BYTES = 1 << 17
"""Texts are pooled in blocks of about this size: their arrays (16 bytes a byte) stay in cache."""

_REINSTALL = "reinstall gardener to restore the embedded model"


class Embedder(Protocol):
    """Turns texts into vectors."""

    @property
    def name(self) -> str:
        """``embedded``, or the configured model's name or path."""
        ...

    @property
    def fingerprint(self) -> str:
        """16 hex digits of the weights and tokenizer; vectors of different ones never mix."""
        ...

    @property
    def dimensions(self) -> int:
        """Length of each vector."""
        ...

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(len(texts), dimensions) float32; length one, or all zero for a text without words."""
        ...


def load_embedder(name: str = EMBEDDED) -> Embedder:
    """The embedder called `name`: ``embedded``, a folder, or a name on the Hugging Face Hub.

    Raises `ModelError` when it is missing, damaged, or needs a package that is not installed.
    """
    if name == EMBEDDED:
        return StaticEmbedder(FOLDER)
    folder = Path(name).expanduser()
    if (folder / "config.json").is_file() and _config(folder).get("words") == "gardener-1":
        return StaticEmbedder(folder, name=name)
    return SentenceEmbedder(name)


class StaticEmbedder:
    """The static embedding, with a fast path of its own.

    The same vectors as ``model2vec.StaticModel.from_pretrained(folder).encode`` (tested), four to
    six times faster: since a text's vector is a scaled sum over its words, words are found and
    looked up in numpy (`Words`) and summed as one sparse product; the tokenizer itself is asked
    only for the pieces of a word seen for the first time.
    """

    def __init__(self, folder: Path, *, name: str = EMBEDDED) -> None:
        """Load ``model.safetensors``, ``tokenizer.json``, ``config.json`` from `folder`."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        self.name = name
        self.fingerprint = fingerprint(folder)
        try:
            tensors: dict[str, NDArray[Any]] = load_file(folder / "model.safetensors")
            table: NDArray[np.float32] = tensors["embeddings"].astype(np.float32)
            if "weights" in tensors:
                table *= tensors["weights"].astype(np.float32)[:, None]
            tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            raise _damaged(folder, str(error)) from error
        except Exception as error:  # tokenizers raises bare Exception for a file it cannot read
            if type(error) is not Exception:
                raise
            raise _damaged(folder, str(error)) from error
        if table.ndim != 2 or len(table) != tokenizer.get_vocab_size():
            raise _damaged(folder, f"{table.shape} vectors, {tokenizer.get_vocab_size()} pieces")
        tokenizer.no_truncation()
        self.table = table
        self.dimensions = int(table.shape[1])
        self._pieces = Pieces(tokenizer)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(len(texts), dimensions) float32; see `Embedder.encode`. 25 to 50 MB/s on one core."""
        out = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for first, block in _blocks([as_bytes(text) for text in texts]):
            words = Words(block)
            pieces, bounds = self._pieces.of(words)
            out[first : first + len(block)] = _sums(self.table, pieces, bounds)
        lengths = np.sqrt(np.einsum("nd,nd->n", out, out))
        out /= np.where(lengths > 0, lengths, 1)[:, None]
        return out

    def encode_query(self, text: str, tuned: TunedRows) -> NDArray[np.float32]:
        """(dimensions,) as :meth:`encode` of one text, by rows that were tuned."""
        pieces, _ = self._pieces.of(Words([as_bytes(text)]))
        total = tuned.summed(self.table, pieces)
        return total / max(float(np.linalg.norm(total)), 1e-12)


class SentenceEmbedder:
    """Any model that sentence-transformers loads (an optional install; imports torch)."""

    def __init__(self, name: str) -> None:
        """Load from the folder `name`, or from the Hub or its local cache."""
        try:
            from sentence_transformers import (  # pyright: ignore[reportMissingImports]
                SentenceTransformer,
            )
        except ImportError as error:
            raise ModelError(
                f"embedding model {name!r} needs sentence-transformers, which is not installed",
                hint="pip install 'gardener[sentence-transformers]', or set the embedding model "
                f"to {EMBEDDED!r}",
            ) from error
        try:
            model: Any = SentenceTransformer(name, trust_remote_code=False)
        except (OSError, ValueError, RuntimeError) as error:
            raise ModelError(
                f"embedding model {name!r} cannot be loaded: {error}",
                hint="check the folder or Hub name (a Hub model needs the network once), or set "
                f"the embedding model to {EMBEDDED!r}",
            ) from error
        self._model = model
        self.name = name
        self.dimensions = int(model.get_sentence_embedding_dimension())
        folder = Path(name).expanduser()
        # a Hub model is known by its name and by its answers: other weights would change them
        probe = self.encode(["def parse_header(line):", "where are headers parsed?"])
        rounded = np.round(probe, 3).tobytes()
        self.fingerprint = (
            fingerprint(folder)
            if folder.is_dir()
            else hashlib.sha256(name.encode() + rounded).hexdigest()[:16]
        )

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(len(texts), dimensions) float32; see `Embedder.encode`."""
        vectors: NDArray[np.float32] = self._model.encode(
            list(texts), normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
        )
        return np.ascontiguousarray(vectors, dtype=np.float32)


def fingerprint(folder: Path) -> str:
    """16 hex digits of the sha256 over the model files of `folder`, names and bytes.

    Raises `ModelError` if the folder is not there or holds no weights.
    """
    digest = hashlib.sha256()
    try:
        files = sorted(
            path for path in folder.rglob("*") if path.suffix in {".safetensors", ".json", ".bin"}
        )
        if not any(path.suffix != ".json" for path in files):
            raise ModelError(
                f"no embedding model in {folder}", hint=f"{_REINSTALL}, or name another folder"
            )
        for path in files:
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    except OSError as error:
        raise _damaged(folder, str(error)) from error
    return digest.hexdigest()[:16]


def _blocks(texts: Sequence[bytes]) -> Iterator[tuple[int, Sequence[bytes]]]:
    """`texts` in runs of about `_BLOCK_BYTES`, each with the index of its first."""
    first = size = 0
    for index, text in enumerate(texts):
        size += len(text)
        if size >= _BLOCK_BYTES:
            yield first, texts[first : index + 1]
            first, size = index + 1, 0
    if first < len(texts):
        yield first, texts[first:]


def _sums(
    table: NDArray[np.float32], pieces: NDArray[np.int32], bounds: NDArray[np.int64]
) -> NDArray[np.float32]:
    """(texts, dimensions) sum of the rows of `table` that each text's stretch of `pieces` names."""
    from scipy.sparse import csr_array

    ones = np.ones(len(pieces), dtype=np.float32)
    shape = (len(bounds) - 1, len(table))
    matrix = csr_array((ones, pieces, bounds.astype(np.int32)), shape=shape)
    return matrix @ table


def _config(folder: Path) -> dict[str, Any]:
    try:
        config: Any = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(folder, str(error)) from error
    if not isinstance(config, dict):
        raise _damaged(folder, "config.json holds no object")
    return config


def _damaged(folder: Path, cause: str) -> ModelError:
    return ModelError(
        f"the embedding model in {folder} is missing or damaged: {cause}", hint=_REINSTALL
    )
