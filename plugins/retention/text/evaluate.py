"""How a model does on labelled texts: `retention text evaluate`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from retention.text import sentiment, topics
from retention.text.labels import NO_TOPIC, Label

_NAMES = {value: name for name, value in sentiment.VALUES.items()}


@dataclass(frozen=True)
class ClassScore:
    """How one class came out: how many there were, how often the model said it, how often that was right."""

    name: str
    rows: int
    said: int
    right: int

    @property
    def precision(self) -> float | None:
        """Of what the model said, what was right; None when it never said it."""
        return self.right / self.said if self.said else None

    @property
    def recall(self) -> float | None:
        """Of what there was, what was found; None when there was none."""
        return self.right / self.rows if self.rows else None

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall; 0 when nothing was right."""
        return 2 * self.right / (self.said + self.rows) if self.right else 0.0


def class_scores(truth: Sequence[str], said: Sequence[str]) -> list[ClassScore]:
    """One for each class in either, in alphabetical order."""
    return [
        ClassScore(
            name, truth.count(name), said.count(name), sum(a == b == name for a, b in zip(truth, said, strict=True))
        )
        for name in sorted({*truth, *said})
    ]


def evaluate(labels: Sequence[Label], model: Path, words: Path | None) -> dict[str, list[ClassScore]]:
    """By "sentiment" and "topic", what the model says of the rows that are labelled for it."""
    for_sentiment = [(label.text, label.sentiment) for label in labels if label.sentiment is not None]
    for_topic = [(label.text, label.topic) for label in labels if label.topic is not None]
    feelings = [_NAMES[value] for value, _ in sentiment.score([text for text, _ in for_sentiment], model)]
    named = [topic or NO_TOPIC for topic, _ in topics.classify([text for text, _ in for_topic], model, words)]
    return {
        "sentiment": class_scores([name for _, name in for_sentiment], feelings),
        "topic": class_scores([name for _, name in for_topic], named),
    }
