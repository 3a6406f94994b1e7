"""Figures of the text room on real messages, for docs/text.md: the tests and report_text.py print the same."""

import csv
import gzip
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from retention.text import features, labels, model_file, sentiment

PROJECT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("REAL_DATA_DIR", PROJECT.parent / "shared" / "data"))
TWEETS = DATA / "sentirueval_telecom"
HEADLINES = DATA / "comcast_fcc" / "comcast_complaints_date_repaired.csv"
REVIEWS = DATA / "kazakhtelecom_reviews" / "kazakhtel_review.csv"
TOPIC_WORDS = PROJECT / "dbt_project" / "seeds" / "topic_words.csv"
OPERATORS = ("beeline", "mts", "megafon", "tele2", "rostelecom", "komstar", "skylink")
_RETWEET = re.compile(r"\brt\b", re.IGNORECASE)


@dataclass(frozen=True)
class Scores:
    """F1 of the positive and of the negative class; macro is their mean, micro counts both together. Percent."""

    positive: float
    negative: float
    micro: float

    @property
    def macro(self) -> float:
        """The published F+-1 macro: neutral is left out."""
        return (self.positive + self.negative) / 2

    def __str__(self) -> str:
        return f"{self.macro:.1f} / {self.micro:.1f} (positive {self.positive:.1f}, negative {self.negative:.1f})"


def tweets(name: str) -> list[tuple[str, str]]:
    """(text, sentiment) for each operator that a tweet names; cells +- and -- are none of the three."""
    with gzip.open(TWEETS / name, "rt", encoding="utf-8", newline="") as stream:
        return [
            (row["text"], labels.SENTIMENTS[cell])
            for row in csv.DictReader(stream)
            for cell in (row[operator].removesuffix(".0") for operator in OPERATORS)
            if cell in labels.SENTIMENTS
        ]


def essence(text: str) -> str:
    """The text's words: what is left equal in a retweet or a copy with another address."""
    return " ".join(features.words(_RETWEET.sub(" ", text)))


def without(rows: Iterable[tuple[str, str]], gold: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Rows whose text, as words, is not among the gold ones."""
    known = {essence(text) for text, _ in gold}
    return [row for row in rows if essence(row[0]) not in known]


def training_labels() -> list[labels.Label]:
    """The 2015 and 2016 train sets without what is in the 2015 gold, each text once a label, and the shipped labels.

    The 2016 train set is the 2015 train set and the 2015 gold, labelled again: as it is, it holds the answers.
    """
    rows = without([*tweets("2015/ttk_train.csv.gz"), *tweets("2016/ttk_train.csv.gz")], gold())
    different = {(essence(text), name): text for text, name in rows}
    return [*(labels.Label(text, name, None) for (_, name), text in different.items()), *shipped_labels()]


def shipped_labels() -> list[labels.Label]:
    """Sentences written for this project."""
    return labels.load_labels(labels.SHIPPED_LABELS, labels.known_topics(TOPIC_WORDS.with_name("topics.csv")))


def gold() -> list[tuple[str, str]]:
    """The 2015 gold, by tweet and operator."""
    return tweets("2015/ttk_etalon.csv.gz")


def said(texts: Sequence[str], model: Path = model_file.SHIPPED) -> list[str]:
    """What a model says of each text: "negative", "neutral" or "positive"."""
    names = {value: name for name, value in sentiment.VALUES.items()}
    return [names[value] for value, _ in sentiment.score(texts, model)]


def scores(truth: Sequence[str], said: Sequence[str]) -> Scores:
    """F1 of positive and negative, and both counted together."""
    counts = []
    for name in ("positive", "negative"):
        hits = sum(a == b == name for a, b in zip(truth, said, strict=True))
        counts.append((hits, said.count(name) + truth.count(name)))
    (one, other) = (200 * hits / (total or 1) for hits, total in counts)
    return Scores(one, other, 200 * sum(hits for hits, _ in counts) / (sum(total for _, total in counts) or 1))


def reviews() -> list[tuple[str, str]]:
    """(title and text, "positive" or "negative") of each review."""
    with REVIEWS.open(encoding="utf-8", newline="") as stream:
        return [(f"{row['title']}. {row['text']}", row["reaction"].lower()) for row in csv.DictReader(stream)]


#: What a review's title says it is about, where it names one thing. The model reads the review without its title.
TITLE_KEYS = {
    "mobile_internet": re.compile(r"скорост|интернет|пинг|\bинет"),
    "service_quality": re.compile(r"поддержк|обслужив|хамств|сотрудник|персонал|отношени|монт[её]р|мастер|заявк"),
    "billing_dispute": re.compile(r"сч[её]т|списа|долг|начисл|перерасч|квитанц|оплат|плат[её]ж"),
}


def titled_reviews() -> list[tuple[str, str]]:
    """(topic by the title, text without the title) of the reviews whose title names exactly one topic."""
    found = []
    with REVIEWS.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            named = [topic for topic, key in TITLE_KEYS.items() if key.search(row["title"].lower())]
            if len(named) == 1:
                found.append((named[0], row["text"]))
    return found


def headlines() -> list[str]:
    """English: how 2,224 complaints about an operator are headed, a few words each."""
    with HEADLINES.open(encoding="utf-8", errors="replace", newline="") as stream:
        return [row["Customer Complaint"] for row in csv.DictReader(stream)]
