"""A linear model that reads thousands of texts a second: what a word adds to each class is summed once and kept."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from retention.text.features import ALL_BUCKETS, BUCKETS, SIGN_BUCKETS, SIGN_WEIGHT, Signs, words

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
#: The words' sums are forgotten at so many: memory stays under some 100 MB whatever people write.
KEPT_WORDS = 200_000


@dataclass(frozen=True)
class Scorer:
    """Coefficients (rows, classes) of the features whose bucket is in `buckets` (rows,); `intercept` (classes,)."""

    classes: tuple[str, ...]
    intercept: Floats
    buckets: Ints
    coefficients: Floats


@dataclass(frozen=True)
class Model:
    """A trained file: a Scorer each for sentiment and topic, the sentiment words, and what the file says of itself."""

    sentiment: Scorer
    topic: Scorer
    signs: Signs
    about: dict[str, Any]
    version: str

    @cached_property
    def _reader(self) -> "_Reader":
        return _Reader((self.sentiment, self.topic), self.signs)

    def probabilities(self, texts: Sequence[str]) -> tuple[Floats, Floats]:
        """Each class's probability for sentiment and for topic: (texts, classes) each; rows sum to 1.

        A text that has nothing the model knows gets what its intercept says.
        """
        scores = self._reader.scores(tuple(texts))
        cut = len(self.sentiment.classes)
        return _softmax(scores[:, :cut] + self.sentiment.intercept), _softmax(scores[:, cut:] + self.topic.intercept)


class _Reader:
    """Sums of coefficients by word, both Scorers side by side.

    Coefficients are multiples of a power of two: sums are exact, and a text scores the same whatever is read beside it.
    """

    def __init__(self, scorers: Sequence[Scorer], signs: Signs) -> None:
        self._signs = signs
        self._row_of = np.zeros(ALL_BUCKETS, dtype=np.int32)
        known = np.unique(np.concatenate([scorer.buckets for scorer in scorers]))
        self._row_of[known] = np.arange(1, len(known) + 1, dtype=np.int32)
        # Row 0 is every feature that no Scorer knows.
        self._coefficients = np.zeros((len(known) + 1, sum(len(scorer.classes) for scorer in scorers)))
        left = 0
        for scorer in scorers:
            right = left + len(scorer.classes)
            self._coefficients[self._row_of[scorer.buckets], left:right] = scorer.coefficients
            left = right
        self._forget()
        self._last: tuple[tuple[str, ...], Floats] = ((), np.zeros((0, left)))

    def _forget(self) -> None:
        self._place_of: dict[str, int] = {}
        self._sums = np.zeros((1024, self._coefficients.shape[1] + 1))

    def _place(self, word: str) -> int:
        place = self._place_of[word] = len(self._place_of)
        if place == len(self._sums):
            self._sums = np.concatenate([self._sums, np.zeros_like(self._sums)])
        features = np.array(self._signs.word_features(word))
        self._sums[place, :-1] = features[:, 1] @ self._coefficients[self._row_of[features[:, 0]]]
        self._sums[place, -1] = (features[:, 1] == 1).sum()
        return place

    def scores(self, texts: tuple[str, ...]) -> Floats:
        """(texts, classes of all Scorers): text_features times coefficients.

        Those of the last texts are remembered: sentiment and topic are asked for one after the other.
        """
        if texts is self._last[0] or texts == self._last[0]:
            return self._last[1]
        if len(self._place_of) > KEPT_WORDS:
            self._forget()
        place_of = self._place_of
        places: list[int] = []
        pairs: list[int] = []
        ends = np.zeros((2, len(texts) + 1), dtype=np.int64)
        negated: list[tuple[int, int]] = []
        for i, text in enumerate(texts):
            in_order = words(text)
            for word in dict.fromkeys(in_order):
                place = place_of.get(word)
                places.append(self._place(word) if place is None else place)
            pairs += [zlib.crc32(pair.encode()) % BUCKETS for pair in {f"{a} {b}" for a, b in pairwise(in_order)}]
            negated += [(i, SIGN_BUCKETS[sign, True]) for sign in self._signs.negated(in_order)]
            ends[:, i + 1] = len(places), len(pairs)
        by_word = _sums(self._sums[places], ends[0])
        total = by_word[:, :-1] + _sums(self._coefficients[self._row_of[np.array(pairs, dtype=np.int64)]], ends[1])
        for i, index in negated:
            total[i] += SIGN_WEIGHT * self._coefficients[self._row_of[index]]
        size = by_word[:, -1] + np.diff(ends[1])
        total /= np.sqrt(np.maximum(size, 1))[:, None]
        self._last = (texts, total)
        return total


def _sums(rows: Floats, ends: Ints) -> Floats:
    """Sums of consecutive rows: row i of the answer is the sum of rows[ends[i]:ends[i + 1]]."""
    running = np.zeros((len(rows) + 1, rows.shape[1]))
    np.cumsum(rows, axis=0, out=running[1:])
    return running[ends[1:]] - running[ends[:-1]]


def _softmax(scores: Floats) -> Floats:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)  # type: ignore[no-any-return]
