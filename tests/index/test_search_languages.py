"""Questions in another language over real code: its own words, and those of English code."""

from __future__ import annotations

from pathlib import Path

import pytest

from gardenerd.index.build import index_files
from gardenerd.index.embed import load_embedder
from gardenerd.index.reader import TableReader
from gardenerd.index.search import search
from gardenerd.index.table import ChunkTable
from gardenerd.workers.jobs import IndexFiles, SearchIndex

FILES = {
    "net/dial.py": '''
def dial(address, seconds=30):
    """Open a connection; gives up after the timeout."""
    return Socket(address, connection_timeout=seconds)
''',
    "net/again.py": '''
def pause_before(attempt):
    """How long to wait before the next retry of a request."""
    return min(60, 2**attempt)
''',
    "cli/options.py": '''
def check_arguments(argv):
    """Validate the arguments of the command line."""
    return [word for word in argv if word.startswith("--")]
''',
    "garden/giessen.py": """
def pour(bed):
    # Prüft den Gießkannenstand und bewässert danach das Beet.
    return bed.moisten()
""",
    "garden/harvest.py": '''
def harvest(bed):
    """Pick what is ripe."""
    return [plant for plant in bed if plant.ripe]
''',
    "store/rename.py": '''
def move_file(source, target):
    """Rename a file, across file systems too."""
    return source.replace(target)
''',
}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, folder = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("index")
    for path, text in FILES.items():
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_text(text.lstrip(), encoding="utf-8")
    embedder = load_embedder()
    table = ChunkTable(folder, embedder.fingerprint, embedder.dimensions)
    job = IndexFiles(project="p", root=str(root), paths=sorted(FILES))
    index_files(table, embedder, job, lambda _: None, lambda: None)
    return folder


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("wo wird die Zeitüberschreitung der Verbindung gesetzt", "net/dial.py"),
        ("dónde se validan los argumentos de la línea de órdenes", "cli/options.py"),
        ("où est-ce que les fichiers sont renommés", "store/rename.py"),
        ("リトライの待ち時間はどこで決まるか", "net/again.py"),
        ("где проверяются аргументы командной строки", "cli/options.py"),
        ("重试之前的等待时间在哪里计算", "net/again.py"),
        ("wo wird der Gießkannenstand geprüft", "garden/giessen.py"),
        ("Beet bewässern, danach prüfen", "garden/giessen.py"),
    ],
)
def test_a_question_finds_english_code_and_comments_of_its_own(
    index: Path, query: str, path: str
) -> None:
    embedder = load_embedder()
    reader = TableReader(index, embedder.fingerprint, embedder.dimensions)
    found = search(reader.latest(), embedder, SearchIndex(query=query, k=3)).hits
    assert found[0].path == path
