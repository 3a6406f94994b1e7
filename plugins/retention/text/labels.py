"""Labelled texts and sentiment words: the CSVs that the model is trained on, checked line by line.

Labels have the columns text, sentiment (-1, 0, 1) and topic (a level 2 of the topic tree, or `none`). An empty cell of
sentiment or topic says "not labelled": the row is not used for that one. Other columns are left alone.
"""

import csv
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from retention.text.features import Signs

COLUMNS = ("text", "sentiment", "topic")
FOLDER = Path(__file__).resolve().parent / "model"
SHIPPED_LABELS = FOLDER / "labels.csv"
SENTIMENT_WORDS = FOLDER / "sentiment_words.csv"
SENTIMENTS = {"-1": "negative", "0": "neutral", "1": "positive", "+1": "positive"}
#: What a labelled text without any topic says in the column `topic`.
NO_TOPIC = "none"


class LabelsError(ValueError):
    """The labels cannot be used; the message names file, line and column, and never what a text says."""


@dataclass(frozen=True)
class Label:
    """One labelled text; sentiment is "negative", "neutral" or "positive"; None is not labelled."""

    text: str
    sentiment: str | None
    topic: str | None


def known_topics(seed: Path) -> set[str]:
    """Level 2 of the topic tree's seed, of any time, and `none`. `unknown` is what a text without topic becomes."""
    with seed.open(encoding="utf-8", newline="") as stream:
        return {row["level_2"] for row in csv.DictReader(stream)} - {"unknown"} | {NO_TOPIC}


def load_labels(path: Path, topics: set[str]) -> list[Label]:
    """Labelled texts of a CSV in UTF-8; raises LabelsError for the first bad line."""
    with _reading(path, COLUMNS) as reader:
        labels = [_label(row, topics, f"{path}:{reader.line_num}") for row in reader]
    if not labels:
        raise LabelsError(f"{path}: no labelled text. Nothing was trained.")
    return labels


def load_signs(path: Path = SENTIMENT_WORDS) -> Signs:
    """Sentiment words (columns word, sign): exact ones, and with `*` at the end how words start."""
    exact: dict[str, int] = {}
    starts: dict[str, int] = {}
    with _reading(path, ("word", "sign")) as reader:
        for row in reader:
            word, sign = row["word"] or "", row["sign"]
            if sign not in ("-1", "1") or not word or word != word.lower().replace("ё", "е"):
                raise LabelsError(
                    f"{path}:{reader.line_num}: column sign is -1 or 1, column word is in lower case with е for ё."
                    " Nothing was trained."
                )
            if word.endswith("*"):
                starts[word[:-1]] = int(sign)
            else:
                exact[word] = int(sign)
    return Signs(exact, starts)


def fingerprint(labels: Sequence[Label]) -> str:
    """Which labels a model was trained on, without a word of them."""
    digest = hashlib.sha256()
    for label in labels:
        digest.update(repr((label.text, label.sentiment, label.topic)).encode())
    return digest.hexdigest()[:16]


@contextmanager
def _reading(path: Path, columns: tuple[str, ...]) -> Iterator["csv.DictReader[str]"]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            missing = [column for column in columns if column not in (reader.fieldnames or ())]
            if missing:
                raise LabelsError(
                    f"{path}:1: no column {', '.join(missing)}; wanted are {', '.join(columns)}, with commas between."
                    " Nothing was trained."
                )
            yield reader
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = "no such file" if isinstance(error, FileNotFoundError) else f"no CSV in UTF-8 ({type(error).__name__})"
        raise LabelsError(f"{path}: {why}. Nothing was trained.") from None


def _label(row: dict[str, str | None], topics: set[str], where: str) -> Label:
    text, sentiment, topic = (str(row[column] or "").strip() for column in COLUMNS)
    if not text:
        raise LabelsError(f"{where}: column text is empty. Nothing was trained.")
    # The cell's own words are not quoted: with columns in another order it would be what a customer wrote.
    if sentiment and sentiment not in SENTIMENTS:
        raise LabelsError(f"{where}: column sentiment is not -1, 0, 1 or empty. Nothing was trained.")
    if topic and topic not in topics:
        raise LabelsError(
            f"{where}: column topic is no level 2 of the topic tree (seed topics), `{NO_TOPIC}` or empty. Nothing was"
            f" trained. There are: {', '.join(sorted(topics))}"
        )
    return Label(text, SENTIMENTS.get(sentiment), topic or None)
