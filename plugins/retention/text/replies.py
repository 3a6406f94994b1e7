"""What our own replies hold: a reason, a result, and hashes by which near-duplicates are found.

Near-duplicates by MinHash (Broder 1997) over pairs of masked words, banded (Leskovec, Rajaraman, Ullman: Mining of
Massive Datasets, ch. 3): two replies with Jaccard similarity s share a band with probability 1 - (1 - s^10)^8: 0.97 at
0.9, 0.60 at 0.8, 0.01 at 0.5. Own arithmetic on whole chunks instead of datasketch, which does one reply at a time.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from retention.text.find import find_phrases
from retention.text.phrases import PhraseBook
from retention.text.words import WORD, is_name, normalise

BANDS, ROWS = 8, 10
#: Pairs hashed at once; 80 hashes of 8 bytes each.
_PAIRS_AT_ONCE = 40_000
_rng = np.random.Generator(np.random.PCG64(20260101))
_FACTORS = _rng.integers(1, 2**63, BANDS * ROWS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
_SHIFTS = _rng.integers(0, 2**63, BANDS * ROWS, dtype=np.uint64)
_PRIME = np.uint64(0x9E3779B97F4A7C15)
_SENTENCE = re.compile(r"[.!?\n]")
_HALF = np.uint64(32)

Hashes = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Substance:
    """What the phrases of one reply say. False: not found, which is not the same as not there."""

    gives_reason: bool
    states_result: bool


def substance_of(body: str, language: str | None, book: PhraseBook) -> Substance:
    """Whether a reply gives a reason and states a result, by the phrases of seed reply_phrases."""
    said = {hit.signal for hit in find_phrases(body, language, book) if hit.verdict == "asserted"}
    return Substance("reason" in said, "result" in said)


def masked(body: str) -> list[str]:
    """The words of a reply, folded; what differs from customer to customer by its kind: `#` number, `@` name."""
    text, offsets = normalise(body)
    found: list[str] = []
    end = 0
    for place in WORD.finditer(text):
        word, start = place[0], place.start()
        if any(map(str.isdigit, word)):
            word = "#"
        elif body[start if offsets is None else offsets[start]].isupper():
            # Foreign names are in no dictionary: a capital letter inside of a sentence tells them.
            is_inside = end > 0 and not _SENTENCE.search(text, end, start) and len(word) > 1 and word.isascii()
            word = "@" if is_inside or is_name(word) else word
        end = place.end()
        # Two of a kind in a row are one: `Иван Петрович` and `Иван`.
        if word not in "#@" or not found or found[-1] != word:
            found.append(word)
    return found


def bands_of(bodies: Sequence[str]) -> list[list[int]]:
    """BANDS band hashes (signed 64 bits) of each reply; none for one without words. The same in any process."""
    words = [masked(body) for body in bodies]
    found: list[list[int]] = []
    start = 0
    while start < len(words):
        pairs, end = 0, start
        while end < len(words) and (end == start or pairs + len(words[end]) <= _PAIRS_AT_ONCE):
            pairs += len(words[end])
            end += 1
        found += _bands(words[start:end])
        start = end
    return found


def _bands(replies: Sequence[list[str]]) -> list[list[int]]:
    """MinHash signatures of replies, folded into bands."""
    filled = [words for words in replies if words]
    if not filled:
        return [[] for _ in replies]
    hashes = np.fromiter((_hash(word) for words in filled for word in words), np.uint64)
    ends = np.cumsum([len(words) for words in filled])
    is_last = np.zeros(len(hashes), bool)
    is_last[ends - 1] = True
    follower = np.roll(hashes, -1)
    # A pair does not reach into the next reply; the last word stands alone, so that one word is a reply, too.
    follower[is_last] = 0
    pairs = _mixed(hashes * _PRIME + follower)
    signature = np.minimum.reduceat(
        (pairs[:, None] * _FACTORS + _SHIFTS) >> _HALF, np.concatenate(([0], ends[:-1])), axis=0
    )
    bands = np.zeros((len(filled), BANDS), np.uint64)
    for row in range(ROWS):
        bands = _mixed(bands * _PRIME + signature[:, row::ROWS] + np.uint64(row))
    rows = iter(bands.view(np.int64).tolist())
    return [next(rows) if words else [] for words in replies]


def _mixed(values: Hashes) -> Hashes:
    """Spread the bits (the finaliser of splitmix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


@lru_cache(maxsize=200_000)
def _hash(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
