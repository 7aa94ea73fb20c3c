from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gardenerd.index.embed import load_embedder
from gardenerd.index.glossary import glossary_for
from gardenerd.index.glossary.translate import Glossary
from gardenerd.index.query import Query

ALL = ("de", "es", "fr", "it", "pt", "ru", "ja", "zh")


def english(text: str) -> str:
    glossary = glossary_for(text)
    assert glossary is not None, "taken for English"
    return glossary.translate(text).english


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("de", "wo wird die Zeitüberschreitung der Verbindung gesetzt", "timeout connection"),
        ("de", "Verbindungsfehler beim Herunterladen der Dateien", "connection error download"),
        ("de", "wann werden die gespeicherten Zugangsdaten gelöscht?", "save credentials delete"),
        ("es", "dónde se validan los argumentos de la línea de órdenes", "validate command line"),
        ("es", "al borrar archivos vacíos se pierde la conexión", "delete file empty connection"),
        ("fr", "où sont fermés les descripteurs de fichiers", "close descriptor file"),
        ("fr", "l'utilisateur n'a pas de mot de passe", "user password"),
        ("it", "dove vengono cancellati i file della cartella", "delete directory"),
        ("pt", "onde são lidas as variáveis de ambiente", "read environment variable"),
        ("ru", "где обрабатываются ошибки подключения", "handle error connection"),
        ("ru", "значение по умолчанию для переменной окружения", "default environment variable"),
        ("ja", "リトライの待ち時間はどこで決まるか", "retry wait delay"),
        ("ja", "設定値検証", "settings value validate"),
        ("zh", "重试延迟在哪里计算", "retry delay calculate"),
        ("zh", "連線逾時的預設值", "connection timeout default value"),
    ],
)
def test_the_words_of_the_field_are_known_in_their_forms(
    language: str, text: str, expected: str
) -> None:
    glossary = glossary_for(text)
    assert glossary is not None
    assert glossary.language == language
    assert set(expected.split()) <= set(glossary.translate(text).english.split())


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("Verbindungsaufbau", "connection"),
        ("Zeitzonenumrechnung", "timezone convert"),
        ("Warteschlangengröße", "queue size"),
        ("Dateinamensfehler", "filename error"),
        ("Pruefsummenfehler", "checksum error"),
    ],
)
def test_a_german_compound_is_its_parts(word: str, expected: str) -> None:
    assert set(expected.split()) <= set(Glossary.load("de").translate(word).english.split())


def test_names_files_and_code_stand_as_they_were() -> None:
    asked = "wo wird `die_datei` in retry_backend.go von HTTPClient.Fehler gelesen?"
    query = Query.of(asked)
    assert query.files == {"retry_backend.go", "httpclient.fehler"}
    assert {"die_datei", "HTTPClient.Fehler", "Fehler"} <= query.names
    assert {"read", "die_datei"} <= set(query.title_words)
    assert Query.of("retry_backend.goの再試行とloadConfigの既定値").files == {"retry_backend.go"}
    assert "loadConfig" in Query.of("loadConfigの既定値").names


def test_words_of_the_query_stay_beside_the_english_ones() -> None:
    words = Query.of("Wo werden Zugangsdaten des Benutzers geprüft?").title_words
    assert {"zugangsdaten", "benutzer"} <= {word.rstrip("s") for word in words} | set(words)
    assert {"credential", "user", "check"} <= set(words)
    assert not {"wo", "werden", "des"} & set(words)


def test_a_report_is_translated_with_its_stack_trace_as_it_was() -> None:
    query = Query.of(
        "Absturz beim Lesen leerer Dateien\n\nWenn die Datei leer ist, kommt dieser Fehler:\n\n"
        'Traceback (most recent call last):\n  File "garden/beds/rows.py", line 12, in water\n'
        "    self.can.pour(die.plants[0])\nIndexError: list index out of range\n"
    )
    assert not query.short
    assert query.title == "crash read empty clear file"
    assert {"crash", "read", "empty", "absturz", "indexerror"} <= set(query.words)
    assert query.files >= {"garden/beds/rows.py"}
    assert {"self.can.pour", "IndexError", "die.plants"} <= query.names


@pytest.mark.parametrize(
    "text",
    [
        "where is the connection timeout set",
        "retry backoff",
        "load_die_datei",
        "DateiLeser.lesen",
        "fix `Verbindung` in the client",
        "Fix handling of die() in the es and de locale",
        "support 漢字 and кириллица in the names of files",
        "fails for a folder called Überprüfung of the user José",
        "à la carte",
        "data table format page date cache index import port lock test",
        "",
        "!?",
        "\x00\ud800",
    ],
)
def test_english_and_code_are_left_as_they_are(text: str) -> None:
    assert glossary_for(text) is None


def test_a_query_in_english_loads_no_glossary() -> None:
    code = (
        "from gardenerd.index.query import Query; from gardenerd.index.glossary import _loaded; "
        "Query.of('where is the timeout of a connection set?'); print(_loaded.cache_info().misses)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"


@pytest.mark.parametrize("language", ALL)
def test_a_glossary_is_well_formed_and_tells_something(language: str) -> None:
    folder = Path(sys.modules["gardenerd.index.glossary"].__file__ or "").parent
    lines = (folder / f"{language}.tsv").read_text("utf-8").splitlines()
    assert len(lines) > 300
    for line in lines:
        stems, _, meaning = line.partition("\t")
        assert all(stem.strip() == stem and stem for stem in stems.split("|")), line
        assert meaning.isascii() and meaning and "\t" not in meaning, line
    embedder = load_embedder()
    assert np.any(embedder.encode([" ".join(Glossary.load(language).words.values())])[0])
