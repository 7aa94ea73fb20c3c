"""Two projects of one team: the one is documented in a language which the packaged embedding never
saw, the other not at all."""

from __future__ import annotations

import random
from pathlib import Path

# What the functions do, and what their docstrings say of it.
_ACTIONS = {
    "load": "lädt", "save": "speichert", "remove": "entfernt", "count": "zählt", "send": "sendet",
    "check": "prüft", "merge": "vereinigt", "split": "zerteilt", "sort": "sortiert",
    "compress": "verdichtet", "encrypt": "verschlüsselt", "convert": "wandelt", "search": "sucht",
    "print": "druckt", "copy": "kopiert", "lock": "sperrt", "close": "schließt", "open": "öffnet",
    "sum": "summiert", "archive": "archiviert",
}  # fmt: skip
_THINGS = {
    "invoice": "Rechnungen", "customer": "Kunden", "warehouse": "Lager", "order": "Bestellungen",
    "employee": "Mitarbeiter", "contract": "Verträge", "delivery": "Lieferungen",
    "discount": "Rabatte", "tax": "Steuern", "payment": "Zahlungen", "vehicle": "Fahrzeuge",
    "key": "Schlüssel", "account": "Konten", "report": "Berichte", "complaint": "Beschwerden",
    "supplier": "Lieferanten", "package": "Pakete", "address": "Anschriften",
    "appointment": "Termine", "price": "Preise",
}  # fmt: skip
_MANNERS = {
    "daily": "jeden Tag", "by_name": "nach dem Namen", "in_groups": "in Gruppen",
    "without_gaps": "ohne Lücken", "for_export": "für die Ausfuhr", "backwards": "rückwärts",
}  # fmt: skip

_FUNCTION = '''
def {name}(entries, limit={limit}):
    """{question} aus der Übersicht."""
    chosen = [entry for entry in entries if entry.{thing} and len(entry.{thing}) < limit]
    return {action}(chosen, "{manner}")
'''


def write(
    root: Path, other: Path, files: int = 80, functions: int = 12, silent: int = 60
) -> dict[str, str]:
    """Write ``files`` modules with docstrings in German into ``root``, and into ``other`` functions
    that have none; what one would ask for those, and their names."""
    chance = random.Random(7)
    triples = [(a, t, m) for a in _ACTIONS for t in _THINGS for m in _MANNERS]
    chance.shuffle(triples)
    asked: dict[str, str] = {}
    texts: dict[Path, str] = {}
    for number, (action, thing, manner) in enumerate(triples[: files * functions + silent]):
        name = f"{action}_{thing}_{manner}"
        question = f"{_ACTIONS[action]} {_THINGS[thing]} {_MANNERS[manner]}".capitalize()
        text = _FUNCTION.format(
            name=name,
            question=question,
            action=action,
            thing=thing,
            manner=manner,
            limit=chance.randrange(9, 99),
        )
        folder = root
        if number >= files * functions:
            folder = other
            asked[question] = name
            text = "\n".join(line for line in text.split("\n") if '"""' not in line)
        module = number // functions
        path = folder / f"part{module // 10}" / f"module{module}.py"
        texts[path] = texts.get(path, "") + text
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return asked
