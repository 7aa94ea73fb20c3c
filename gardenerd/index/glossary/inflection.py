"""How words end in the languages of the glossaries, and how they are spelled for a look-up."""

from __future__ import annotations

import re
import unicodedata

_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})

_ENDINGS = {
    "de": "e en er ern es em n ns s t te ten test tet est st et ete eten end ende enden ender "
    "endes ung ungen lich liche lichen bar bare baren ig ige igen tes tem",
    "es": "o a e os as es s an en on ar er ir ado ada ados adas ido ida idos idas ando endo iendo "
    "amos emos imos aron ieron aba aban ia ian ara aran era eran ase aria se arse erse irse "
    "arlo arla arlos arlas io ion iones cion ones ciones acion aciones icion iciones ador "
    "adora adores cio",
    "fr": "e es s x ent er ier ie iee les le lle lles el els elle elles ez ons ee ees ant ante "
    "ants antes ait aient a ai era eront erait ir is it issent issant i ies re ation ations tion "
    "tions ement ements ment ments age ages eur eurs euse ure ures al ale ales aux u ue us "
    "ues oir oire",
    "it": "o a e i are ere ire ato ata ati ate uto uta uti ute ito ita iti ite ando endo ano ono "
    "ava avano eva evano era azione azioni zione zioni ione ioni amento amenti imento imenti "
    "arlo arla arli arle arsi ersi irsi io ia ie hi he tore tori tura ture isce iscono iamo",
    "pt": "o a e os as es s am em ou ar er ir ado ada ados adas ido ida idos idas ando endo iendo "
    "indo amos emos aram eram iram ava avam ia iam asse esse isse cao coes acao acoes icao "
    "icoes sao soes mento mentos amento amentos imento imentos ao oes ador adora adores l is "
    "r res vel veis",
    "ru": "а я ы и у ю е о ом ем ой ей ою ею ам ям ами ями ах ях ов ев ь ью ья ьев ие ия ию ием ии "
    "ий иям иями иях ый ая ое ые ого его ому ему ым им ых их ую юю ыми ими ть ти л ла ло ли "
    "лся лась лось лись ет ит ют ут ат ят ете ешь ишь ется ится ются утся атся ятся ться тся "
    "ал ала ало али ил ила ило или ать ять ить еть ывать ивать овать ываем ывает ывают ывал ование "
    "ования ованию ованием овании ывание ывания ание ания анию анием ании ение ения ению "
    "ением ении ка ки ке ку кой кою ан ана ано аны ен ена ено ены анный анная анное анные "
    "анного анной анных енный енная енное енные енного енной енных нный нная нное нные нного "
    "нной нных ный ная ное ные ного ной ных ному ными ся сь те в вший вшие ясь ировать ирует "
    "ируется ируются ирования ирование ировании ированный ированные ированных ован ована "
    "овано ованы уется ует уют уются ается аются ает ают яется яются яет яют алась ались "
    "алось ился илась илось ились",
}
ENDINGS = {name: frozenset({"", *endings.split()}) for name, endings in _ENDINGS.items()}
ENDINGS["ru"] |= {ending + reflexive for ending in ENDINGS["ru"] for reflexive in ("ся", "сь")}
"""Of nouns, adjectives and verbs alike, as they are spelled for a look-up."""

LINKS = ("", "s", "n", "en", "es", "e", "er", "ns", "ung", "ungs")
"""Between the parts of a German compound."""

_SEPARABLE = re.compile(
    r"(ab|an|auf|aus|bei|ein|durch|fort|frei|heraus|herunter|hinein|hinzu|hoch|los|mit|nach|runter|"
    r"um|vor|weg|weiter|wieder|zu|zurueck|zusammen|zwischen)(?:ge|zu)(?=.{3})"
)


def folded(word: str, language: str) -> str:
    """In lower case and as those write who leave accents out; of German ä, ae."""
    word = unicodedata.normalize("NFC", word).lower()
    if language == "de":
        return word.translate(_UMLAUTS)
    if language == "ru":
        return word.replace("ё", "е")
    return without_accents(word.replace("œ", "oe"))


def without_accents(word: str) -> str:
    """A lower-case word in plain letters, as far as marks on them are all that is left out."""
    return "".join(c for c in unicodedata.normalize("NFD", word) if not unicodedata.combining(c))


def without_participle(word: str) -> str:
    """A German word without the ``ge`` or ``zu`` of its form: gespeichert → speichert."""
    if word.startswith("ge") and len(word) > 5:
        return word[2:]
    return _SEPARABLE.sub(r"\1", word, count=1)
