"""Topic of messages: a level 2 of the topic tree, or None. Russian and English; see docs/text.md.

A linear model, and the analyst's words (seed topic_words) where it is not sure or finds none.
"""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from retention.text import model_file
from retention.text.features import is_readable
from retention.text.labels import NO_TOPIC
from retention.text.topic_words import TopicWords, load_topic_words

#: From here on the model's topic is taken even against the words.
SURE_SHARE = 0.7
#: Below this the model's topic is a guess: without a word for it None is said, and counted.
LEAST_SHARE = 0.35


def classify(
    texts: Sequence[str], model: Path = model_file.SHIPPED, words: Path | None = None
) -> list[tuple[str | None, float]]:
    """For each text its topic and the model's probability of it; (None, of the best) when nothing speaks for one.
    A topic that only the words name has the model's probability of it: a low one.

    The same in every process and for any split into batches. `model` is a file that `retention text train` wrote,
    `words` the seed topic_words. Raises ModelError and SeedError when they cannot be read.
    """
    loaded = model_file.load(model)
    names = loaded.topic.classes
    _, shares = loaded.probabilities(texts)
    best = shares.argmax(axis=1).tolist()
    values = shares.max(axis=1).round(4).tolist()
    listed = _no_words if words is None else _load_words(words).find
    answers: list[tuple[str | None, float]] = []
    for i, text in enumerate(texts):
        name, value = names[best[i]], values[i]
        if value < SURE_SHARE or name == NO_TOPIC:
            topic = listed(text)
            if topic is not None:
                name, value = topic, float(shares[i, names.index(topic)].round(4)) if topic in names else 0.0
            elif value < LEAST_SHARE:
                name = NO_TOPIC
        answers.append((None if name == NO_TOPIC or not is_readable(text) else name, value))
    return answers


def model_version(model: Path = model_file.SHIPPED, words: Path | None = None) -> str:
    """The files' hash: part of a signal's rule version, so that other rules read again what these read."""
    seed = b"" if words is None else words.read_bytes()
    return hashlib.sha256(model_file.load(model).version.encode() + seed).hexdigest()[:16]


@lru_cache(maxsize=4)
def _load_words(path: Path) -> TopicWords:
    return load_topic_words(path)


def _no_words(_: str) -> str | None:
    return None
