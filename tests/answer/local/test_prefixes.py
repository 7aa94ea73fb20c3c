"""Which texts are kept, found and dropped."""

import torch

from gardenerd.answer.local.lora import Adapter
from gardenerd.answer.local.prefixes import Prefixes
from gardenerd.answer.local.rows import States


def states(tokens: int) -> States:
    kept = torch.zeros((1, 1, tokens, 1))
    return States([kept], [kept])  # eight bytes a token


def text(begin: int, length: int) -> list[int]:
    return list(range(begin, begin + length))


def test_the_longest_common_beginning_is_found_for_its_own_adapter() -> None:
    prefixes, adapter = Prefixes(), Adapter({})
    short, long = text(0, 20), [*text(0, 20), *text(100, 20)]
    prefixes.keep(None, [*short, 7], states(21))
    prefixes.keep(None, long, states(40))
    assert prefixes.find(None, [*long[:30], *text(500, 5)])[1] == 30
    assert prefixes.find(None, long)[1] == 39  # one is left to read
    assert prefixes.find(None, text(500, 30)) == (None, 0)
    assert prefixes.find(None, [*text(0, 10), *text(500, 30)]) == (None, 0)  # not worth it
    assert prefixes.find(adapter, long) == (None, 0)


def test_a_text_stands_for_its_own_beginnings() -> None:
    prefixes = Prefixes()
    prefixes.keep(None, text(0, 20), states(20))
    prefixes.keep(None, text(0, 30), states(30))
    assert (len(prefixes), prefixes.bytes) == (1, 240)
    prefixes.keep(None, text(0, 25), states(25))
    assert (len(prefixes), prefixes.bytes) == (1, 240)


def test_what_was_used_last_stays_within_the_limit() -> None:
    prefixes, adapter = Prefixes(limit=500), Adapter({})
    prefixes.keep(None, text(0, 20), states(20))
    prefixes.keep(adapter, text(100, 20), states(20))
    prefixes.keep(None, text(200, 20), states(20))
    assert prefixes.find(None, text(0, 20))[1] == 19
    prefixes.keep(None, text(300, 20), states(20))
    assert prefixes.find(adapter, text(100, 20)) == (None, 0)
    assert prefixes.find(None, text(0, 20))[1] == 19
    prefixes.keep(None, text(400, 70), states(70))  # larger than all of the room
    assert (len(prefixes), prefixes.bytes) == (3, 480)
    prefixes.keep(adapter, text(0, 20), states(20))
    prefixes.forget(adapter)
    assert (len(prefixes), prefixes.bytes) == (2, 320)
    assert prefixes.drop_oldest() and prefixes.drop_oldest()
    assert not prefixes.drop_oldest() and prefixes.bytes == 0
