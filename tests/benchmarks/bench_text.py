"""Messages a second on one core through the reader of texts, and its memory.

python tests/benchmarks/bench_text.py
"""

import json
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
SEEDS = PROJECT / "dbt_project" / "seeds"
CHUNK = 2_000
#: People misspell, and name streets and villages: so many words of a hundred were never seen before.
NEW_WORDS_PERCENT = 3


def written_here(count: int) -> list[str]:
    """Messages of one to four sentences of the shipped labels, with misspellings."""
    from retention.text import labels

    rng = random.Random(1)
    sentences = [
        row.text for row in labels.load_labels(labels.SHIPPED_LABELS, labels.known_topics(SEEDS / "topics.csv"))
    ]
    return [_misspelt(rng, ". ".join(rng.choices(sentences, k=rng.randint(1, 4)))) for _ in range(count)]


def _misspelt(rng: random.Random, text: str) -> str:
    words = text.split()
    for i, word in enumerate(words):
        if len(word) > 3 and rng.randrange(100) < NEW_WORDS_PERCENT:
            place = rng.randrange(1, len(word))
            words[i] = word[:place] + rng.choice("абвгдежзиклмнопрстуфхцчшыэюя") + word[place + 1 :]
    return " ".join(words)


def real(count: int) -> list[str]:
    """Real tweets and reviews, when they are there; each once."""
    sys.path.insert(0, str(PROJECT / "tests" / "real"))
    import text_figures as figures

    if not (figures.TWEETS.exists() and figures.REVIEWS.exists()):
        return []
    texts = [text for text, _ in (*figures.tweets("2016/ttk_train.csv.gz"), *figures.reviews())]
    random.Random(1).shuffle(texts)
    return texts[:count]


def measure() -> list[dict[str, object]]:
    """One row for each kind of text and step; in this process, on one core."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    kinds = {"written here": written_here(20_000), "real tweets and reviews": real(10_000)}
    return [row for kind, texts in kinds.items() if texts for row in _measured(kind, texts)]


def _measured(kind: str, texts: Sequence[str]) -> Iterator[dict[str, object]]:
    from retention.text import sentiment, topics
    from retention.text.find import find_phrases
    from retention.text.read import load_reader, read_messages, read_replies

    # A reader of its own for each kind: it remembers no words yet.
    reader, at = load_reader(SEEDS), datetime(2026, 1, 1, tzinfo=UTC)
    book = reader.customers.on(at.date())
    steps: dict[str, Callable[[Sequence[str]], object]] = {
        "a customer's message, whole": lambda chunk: read_messages(
            [("1", 1, None, at, text) for text in chunk], reader
        ),
        "- its phrases": lambda chunk: [find_phrases(text, None, book) for text in chunk],
        "- its sentiment": sentiment.score,
        "- its topic": lambda chunk: topics.classify(chunk, words=SEEDS / "topic_words.csv"),
        "our reply, whole": lambda chunk: read_replies([("1", 1, None, at, text) for text in chunk], reader),
    }
    for step, run_step in steps.items():
        started = time.process_time()
        for start in range(0, len(texts), CHUNK):
            run_step(texts[start : start + CHUNK])
        seconds = time.process_time() - started
        yield {
            "texts": kind,
            "characters": round(sum(map(len, texts)) / len(texts)),
            "step": step,
            "messages/s": round(len(texts) / seconds),
            "peak MB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        }


def run() -> list[dict[str, object]]:
    """The same in a process of its own, with one thread."""
    one = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    done = subprocess.run(
        [sys.executable, __file__, "--json"], check=True, capture_output=True, text=True, env={**os.environ, **one}
    )
    found: list[dict[str, object]] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    if sys.argv[1:] == ["--json"]:
        print(json.dumps(measure()))
    else:
        for row in run():
            print(row)
