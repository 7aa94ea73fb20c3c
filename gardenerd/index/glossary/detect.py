"""Which language a query is in: by its script, else by its small words. English comes first."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from gardenerd.index.glossary.inflection import without_accents

_LOOKED_AT = 2_000
_WORDS = 80

_CYRILLIC = re.compile(r"[\u0400-\u052f]")
_KANA = re.compile(r"[\u3040-\u30ff]")
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")
_LETTERS = re.compile(r"[^\W\d_]+")
_LATIN = re.compile(r"[A-Za-z]+")
# Simplified as in Japanese alone: a query may have no kana.
_JAPANESE_HAN = re.compile("[続検変処圧読込択覧権徴値総単発帰録戻払様図証済]")
# What is spelled like code, or stands between quotes for code, is in no language.
QUOTED = re.compile(r"`[^`\n]*`")
CODE = re.compile(r"[_./\\:@=+#<>{}()\[\]$]|\d|[a-z][A-Z]")
AROUND = "\"',;:!?.()[]«»„“”‘’¿¡…"

_ENOUGH = 4
"""For a language: a small word of its own counts 2, as does an accent; one that others have 1."""
_NEAR = 2
_ACCENTS = {
    "de": frozenset("äöüß"), "es": frozenset("áéíóúñ"), "fr": frozenset("àâçéèêëîïôùûœ"),
    "it": frozenset("àèéìòù"), "pt": frozenset("áàâãçéêíóôõú"),
}  # fmt: skip

_ENGLISH = frozenset(
    "the of to is are and for with from when not be this that it its by if should add added adds "  # noqa: SIM905
    "adding fix fixed fixes fixing use used uses using make makes remove removed removes removing "
    "support supports allow allows set get update updated updates don't doesn't can cannot where "
    "which what how who why does do did has have was were will into only instead all no more after "
    "before between while during without at or as an you your we our i my they there then than "
    "also too some any each every other same new old but improve improved change changed handle "
    "ensure avoid prevent check return returns test tests check checks merge move moved rename "
    "replace revert refactor drop show hide raise call calls bug issue error errors wrong missing "
    "in on by out up off over under about so such just still again would could may might must "
    "support using via per like way need needs want work works working doc docs version bump "
    "release typo cleanup clean introduce implement enable disable correct correctly create skip "
    "ignore print pass run simplify minor small better first last next build don doesn cleanup "
    "backport pull request branch commit".split()
)

# Small words that English does not have, and that no two of these languages mean differently
# often: two of a language tell it, unless as many are English.
_SMALL = {
    "de": "der das den dem des ein eine einen einem einer eines und oder nicht kein keine keinen "
    "ist sind wird werden wurde wurden wo wie wer wann warum wenn falls bei beim mit von vom zum "
    "zur zu für auf aus auch nur noch nach vor über unter zwischen ohne durch gegen um im ins "
    "sich er wir ich soll sollte sollen kann können muss müssen darf dass damit obwohl weil "
    "haben hatte schon mehr immer wieder nie welche welcher welches dieser diese dieses gibt "
    "geht zwei datei",
    "es": "el los las una unos unas del al y que qué cuál cuales cuándo cuando dónde donde "
    "cómo como por para con sin sobre entre hasta desde sí es está están ser estar "
    "se lo le les su sus ya más muy hay debe deben puede pueden aunque porque esto este esta "
    "ese esa quién cada otro otra todos todas también solo sólo haya en la de un",
    "fr": "le les des du au aux une un et ou où qui que quoi quel quelle quand pourquoi "
    "dans sur sous avec sans pour par chez entre vers est sont être été ne pas jamais "
    "ce cet cette ces il elle ils elles se sa ses leur leurs si déjà aussi même doit "
    "doivent peut peuvent fait lors lorsque depuis après avant alors la de en",
    "it": "il lo gli le uno una un del dello della dei degli delle al allo alla ai agli alle dal "
    "dalla dai nel nella nei nelle sul sulla sui sulle con tra fra che chi cosa quale quali "
    "quando dove perché è sono viene vengono essere più già anche se di da deve "
    "devono può possono questo questa quello si la ci sia dell all nell sull dall",
    "pt": "os um uma uns umas da dos das na nos nas ao aos à às pelo pela ou que "
    "quem qual quais quando onde como porque por para com sem sobre entre até desde se é são "
    "está estão ser não já mais muito há deve devem pode podem este esta essa esse isso cada "
    "também só de em houver estiver seu sua",
}
# Those that stand in English sentences too, or alone for much else.
_SMALL_TOO = {
    "de": "die in an am so also was war hat will man es sie sein als ab da dort hier er seinen",
    "es": "a o e no si son falta me antes todavía aún",
    "fr": "a à on son y plus comment l d c n j s t m qu encore toujours ainsi",
    "it": "a e i o in non per come ma l d un ancora sempre prima senza lo",
    "pt": "a o e as do no ainda antes depois",
    "ru": "и в во не на с со к ко у о об от из за для по до при под над без через между что как "
    "где когда если то же ли бы был была было были есть это этот эта эти его её их он она они "
    "мы я вы ты а но или чтобы который которая которые уже ещё только все всё там тут так также "
    "хотя даже нет нужно надо должен должна должны можно перед после каждой каждый каждого",
}

# Beginnings of words that English does not have; without accents, which many leave out.
_TELLING = {
    "de": "fehler dateien dateiname dateipfad dateisystem dateiformat "
    "verzeichnis ordner verbindung zeituberschreitung zeitueberschreitung "
    "einstellung umgebung befehl aufgabe warteschlange speicher schlussel schluessel benutzer "
    "anfrage antwort abfrage ausgabe eingabe prufen pruefen prufung pruefung loschen loescht "
    "losche umbenenn hochlad hochgeladen herunterlad verschlussel entschlussel wiederhol "
    "wiederherstell sicherung sortieren umwandl zeile zeichen warnung absturz gesperrt sperre "
    "berechtigung kennwort passwort zwischenspeicher nachricht ereignis",
    "es": "archivo fichero carpeta directorio conexion contrasena usuario ajuste configuracion "
    "cadena borrar eliminar ordenar consulta peticion respuesta mensaje advertencia reintent "
    "descarga busqueda validacion cifrado hilos tarea",
    "fr": "fichier dossier repertoire connexion erreur utilisateur parametre supprim renomm "
    "requete reponse telecharg sauvegard avertissement verrou journaux chiffrement renvoy",
    "it": "cartella connessione errore utente impostazion stringa cancellar rinominar "
    "richiest rispost messaggio scaricar caricar cifratura avviso percors",
    "pt": "arquivo conexao usuario senha configurac diretorio excluir renomear requisic "
    "resposta mensagem ordenacao aviso tentativa credenciais",
}


def languages_of_query(text: str) -> list[str]:
    """Those that it may be in, of ``de``, ``es``, ``fr``, ``it``, ``pt``, ``ru``, ``ja``, ``zh``.

    None for English, or when nothing tells. A long text is judged by its first line, then by its
    beginning.
    """
    first = text.strip().split("\n", 1)[0][:_LOOKED_AT]
    return _languages(first) or (_languages(text[:_LOOKED_AT]) if "\n" in text else [])


def is_small(word: str, language: str) -> bool:
    """Whether a lower-case word is one that a language's sentences are held together by."""
    return language in _small_of.get(word, ()) or word in _small_too.get(language, ())


def _languages(text: str) -> list[str]:
    if not text.isascii() and (script := _by_script(text)):
        return [script]
    spelled = set(_plain_words(text))
    words = {word.lower() for word in spelled}
    sure: Counter[str] = Counter()
    for word in words:
        for language in _small_of.get(word, ()):
            sure[language] += 2
        bare = word if word.isascii() else without_accents(word)
        for n in range(_SHORTEST_TELLING, len(bare) + 1):
            for language in _telling_of.get(bare[:n], ()):
                sure[language] += 4
    for language, accents in _ACCENTS.items():  # counted once, and not in names of persons
        nouns = language == "de"
        if any(not accents.isdisjoint(w) for w in spelled if len(w) > 1 and (nouns or w.islower())):
            sure[language] += 2
    english = words & _ENGLISH
    scores: dict[str, int] = {}
    for language, value in sure.items():
        score = value + len(words & _small_too[language])
        if score >= _ENOUGH and score > 4 * len(english - _small_too[language]):
            scores[language] = score
    best = max(scores.values(), default=0)
    return [language for language, score in scores.items() if score >= best - _NEAR]


def _by_script(text: str) -> str | None:
    """One of a language that Latin letters do not write, if more of it is in them than in others.

    What Latin words there are may be names, but not an English sentence's.
    """
    text = QUOTED.sub(" ", text)
    han, kana = len(_HAN.findall(text)), len(_KANA.findall(text))
    cyrillic = sum(1 for word in _LETTERS.findall(text) if _CYRILLIC.match(word))
    words = list(_plain_words(text, ascii_only=True))
    foreign = max(cyrillic, (han + kana) / 2)
    english = sum(word.lower() in _ENGLISH for word in words)
    if foreign <= len(words) or foreign <= 4 * english:
        return None
    if cyrillic == foreign:
        return "ru"
    return "ja" if kana or _JAPANESE_HAN.search(text) else "zh"


def _plain_words(text: str, *, ascii_only: bool = False) -> Iterator[str]:
    taken, letters = 0, _LATIN if ascii_only else _LETTERS
    for run in QUOTED.sub(" ", text).split():
        if CODE.search(run.strip(AROUND)):
            continue
        for word in letters.findall(run):
            taken += 1
            yield word
        if taken > _WORDS:
            return


def _by_word(words_of: Mapping[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for language, words in words_of.items():
        for word in words.split():
            found.setdefault(word, []).append(language)
    return found


_small_of = _by_word(_SMALL)
_telling_of = _by_word(_TELLING)
_small_too = {language: frozenset(words.split()) for language, words in _SMALL_TOO.items()}
_SHORTEST_TELLING = min(map(len, _telling_of))
