"""Prints every figure of docs/text.md: python tests/real/report_text.py

What tests/real/test_sentiment.py, test_kazakhtelecom.py and test_threat_silver.py assert, and beside it what stands in
the documentation only: each train set alone, and the figure that a leak would give.
"""

import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest
import test_threat_silver
import text_figures as figures

from retention.text import labels, topics, train

TESTS = ("sentiment", "kazakhtelecom")


def sentiment_by_training() -> None:
    """F macro / micro on the 2015 gold of models trained on several sets."""
    gold = figures.gold()
    texts, truth = ([row[column] for row in gold] for column in (0, 1))
    alike = [labels.Label(text, name, None) for text, name in figures.tweets("2015/ttk_train.csv.gz")]
    leak = [labels.Label(text, name, None) for text, name in figures.tweets("2016/ttk_train.csv.gz")]
    # A topic needs labels, too; sentiment does not see these.
    other = [labels.Label(row.text, None, row.topic) for row in figures.shipped_labels()]
    shipped = figures.shipped_labels()
    sets = {
        "2015 train": [*alike, *other],
        "2015 and 2016 train without the gold texts, and the shipped labels": figures.training_labels(),
        "2015 and 2016 train without the gold texts": [
            row for row in figures.training_labels() if row not in set(shipped)
        ]
        + other,
        "LEAK: 2016 train as it is, which holds the gold texts": [*leak, *other],
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, rows in sets.items():
            model = Path(folder) / f"{len(name)}.npz"
            train.train(rows, labels.load_signs(), model)
            print(f"trained on {name}: {figures.scores(truth, figures.said(texts, model))}")
    print(f"shipped model: {figures.scores(truth, figures.said(texts))}")
    print(f"gold: {Counter(truth)}; all negative: {figures.scores(truth, ['negative'] * len(truth))}")


def english_headlines() -> None:
    """What the shipped model says of headlines of complaints: nobody labelled them."""
    texts = figures.headlines()
    named = Counter(topic for topic, _ in topics.classify(texts, words=figures.TOPIC_WORDS))
    print(f"{len(texts):,} English headlines: {Counter(figures.said(texts))}, {named.most_common()}")


if __name__ == "__main__":
    sentiment_by_training()
    english_headlines()
    print(test_threat_silver.report())
    here = Path(__file__).resolve().parent
    sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", *(str(here / f"test_{name}.py") for name in TESTS)]))
