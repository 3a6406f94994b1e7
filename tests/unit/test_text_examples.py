"""The examples that analysts keep beside the phrases (seed text_examples.csv) are read as they say."""

import csv
from datetime import date
from pathlib import Path

import pytest

from retention.text.find import find_phrases, threat_kind
from retention.text.language import language_of
from retention.text.read import load_reader

SEEDS = Path(__file__).resolve().parents[2] / "dbt_project" / "seeds"
DAY = date(2026, 1, 1)
READER = load_reader(SEEDS)
with (SEEDS / "text_examples.csv").open(encoding="utf-8", newline="") as stream:
    EXAMPLES = list(csv.DictReader(stream))


@pytest.mark.parametrize("example", EXAMPLES, ids=[example["example_id"] for example in EXAMPLES])
def test_edge_71_what_an_example_says_is_read(example: dict[str, str]) -> None:
    rules = READER.customers if example["author"] == "customer" else READER.replies
    hits = find_phrases(example["text"], example["language"], rules.on(DAY))
    said = {hit.signal if hit.verdict == "asserted" else f"{hit.signal}:{hit.verdict}" for hit in hits}
    if example["author"] == "reply":
        # Of a reply only what it states counts.
        said = {signal for signal in said if ":" not in signal}
    else:
        assert threat_kind(hits) == example["kind"]
    assert sorted(said) == sorted(filter(None, example["signals"].split("|")))
    assert language_of(example["text"], None) == example["language"]


def test_every_phrase_s_signal_and_language_has_an_example() -> None:
    signals = {(e["language"], part.partition(":")[0]) for e in EXAMPLES for part in e["signals"].split("|") if part}
    assert signals >= {
        (language, signal)
        for language in ("ru", "en")
        for signal in ("leaving", "left_already", "no_alternative", "public_review", "regulator", "reason", "result")
    }
