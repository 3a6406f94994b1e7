"""`retention text train` and `retention text evaluate` as they show on a terminal."""

import os
from pathlib import Path

from rich.console import Console
from rich.table import Table

from retention.text import evaluate, model_file, train
from retention.text.labels import SHIPPED_LABELS, LabelsError, fingerprint, known_topics, load_labels, load_signs


def train_here(project: Path, folder: Path, labels: Path | None, out: Path | None, console: Console) -> None:
    """Train on `labels` and the shipped labels, write the model and say how to use it. `folder` is .local."""
    topics = known_topics(_seed(project, "topics"))
    own = [] if labels is None else load_labels(labels, topics)
    if out is None:
        out = model_file.SHIPPED if labels is None else folder / "text_model.npz"
    if labels is not None and out.resolve() == model_file.SHIPPED:
        raise LabelsError(
            f"{out} is the shipped model, which only the shipped labels may make: it goes into git, and yours are"
            " customers' words. Nothing was trained. Name another file with --out"
        )
    model = train.train([*own, *load_labels(SHIPPED_LABELS, topics)], load_signs(), out)
    rows = model.about["rows"]
    console.print(
        f"{out}: trained on {rows:,} rows, {len(own):,} of them yours; version {model.version}", soft_wrap=True
    )
    for name in ("sentiment", "topic"):
        console.print(f"  {name}: {model.about[name]['right_in_cross_validation']:.0%} right in cross-validation")
    if out.resolve() != model_file.SHIPPED:
        console.print(
            f"The nightly reads with it, and reads every message again once, when the environment says"
            f" {model_file.VARIABLE}={out.resolve()}",
            soft_wrap=True,
        )


def evaluate_here(project: Path, labels: Path, model: Path | None, console: Console) -> None:
    """Print a table each for sentiment and topic."""
    path = model_file.model_path(os.environ) if model is None else model
    rows = load_labels(labels, known_topics(_seed(project, "topics")))
    loaded = model_file.load(path)
    if loaded.about.get("labels") == fingerprint(rows):
        console.print("These are the labels that the model was trained on: the figures flatter it.")
    console.print(f"{path}, version {loaded.version}, on {len(rows):,} rows", soft_wrap=True)
    for name, scores in evaluate.evaluate(rows, path, _seed(project, "topic_words")).items():
        if scores:
            console.print(_table(name, scores))


def _table(name: str, scores: list[evaluate.ClassScore]) -> Table:
    table = Table(name, "rows", "said", "right", "precision", "recall", "F1")
    for one in scores:
        shares = ("" if share is None else f"{share:.2f}" for share in (one.precision, one.recall, one.f1))
        table.add_row(one.name, f"{one.rows:,}", f"{one.said:,}", f"{one.right:,}", *shares)
    return table


def _seed(project: Path, name: str) -> Path:
    return project / "dbt_project" / "seeds" / f"{name}.csv"
