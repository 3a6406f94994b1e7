"""Sentiment of messages: -1 negative, 0 neutral, 1 positive, with a score. Russian and English; see docs/text.md."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from retention.text import model_file
from retention.text.features import is_readable

VALUES = {"negative": -1, "neutral": 0, "positive": 1}


def score(texts: Sequence[str], model: Path = model_file.SHIPPED) -> list[tuple[int, float]]:
    """For each text its sentiment and a score in -1..1: the probability of positive less that of negative.

    The same in every process and for any split into batches. A text without a word or sign is (0, 0.0). `model` is a
    file that `retention text train` wrote. Raises ModelError when it cannot be read.
    """
    loaded = model_file.load(model)
    values = np.array([VALUES[name] for name in loaded.sentiment.classes])
    shares, _ = loaded.probabilities(texts)
    verdicts = values[shares.argmax(axis=1)].tolist()
    scores = np.round(shares @ values, 4).tolist()
    return [
        (verdict, value) if is_readable(text) else (0, 0.0)
        for text, verdict, value in zip(texts, verdicts, scores, strict=True)
    ]


def model_version(model: Path = model_file.SHIPPED) -> str:
    """The file's hash: part of a signal's rule version, so that another model reads again what this one read."""
    return model_file.load(model).version
