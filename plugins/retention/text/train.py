"""Trains the linear model of sentiment and topic from labelled texts: `retention text train`.

One linear support vector machine a class (scikit-learn, liblinear: deterministic) over `features`, its margins scaled
so that they read as probabilities (one temperature, by three-fold cross-validation).
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.svm import LinearSVC

from retention.text import features, model_file
from retention.text.labels import Label, LabelsError, fingerprint
from retention.text.linear import Floats, Ints, Model, Scorer

#: scikit-learn's C, by cross-validation within the training data: more labels, or noisier ones, want less.
STRENGTH = 0.5
_TEMPERATURES = np.geomspace(0.5, 16, 31)
_FOLDS = 3
_LEAST_TEXTS = 2


def train(labels: Sequence[Label], signs: features.Signs, out: Path) -> Model:
    """Train on the labels, write the file at `out`, return it loaded. The same labels and words give the same file.

    Its header says how many rows there were of each class, and the share that was right in cross-validation. Raises
    LabelsError when there are too few different labels to learn from.
    """
    about: dict[str, Any] = {"rows": len(labels), "labels": fingerprint(labels)}
    scorers = {}
    for column in ("sentiment", "topic"):
        texts, names = _labelled(labels, column)
        scorers[column], right = fit(texts, names, signs)
        about[column] = {"rows": dict(sorted(Counter(names).items())), "right_in_cross_validation": round(right, 2)}
    model_file.save(out, scorers["sentiment"], scorers["topic"], signs, about)
    # The same path may have been read before it was written anew.
    model_file.load.cache_clear()
    return model_file.load(out)


def _labelled(labels: Sequence[Label], column: str) -> tuple[list[str], list[str]]:
    labelled = [(label.text, name) for label in labels if (name := getattr(label, column)) is not None]
    names = sorted({name for _, name in labelled})
    if len(names) < 2:
        raise LabelsError(
            f"column {column} says {', '.join(names) or 'nothing'} in every row: at least two different labels are"
            " needed. Nothing was trained."
        )
    return [text for text, _ in labelled], [name for _, name in labelled]


def matrix(texts: Iterable[str], signs: features.Signs) -> csr_matrix:
    """(texts, features.ALL_BUCKETS): what the model sees of each text."""
    columns: list[int] = []
    values: list[float] = []
    ends = [0]
    for text in texts:
        weights = signs.text_features(text)
        columns += weights
        values += weights.values()
        ends.append(len(columns))
    return csr_matrix((values, columns, ends), shape=(len(ends) - 1, features.ALL_BUCKETS))


def fit(texts: Sequence[str], names: Sequence[str], signs: features.Signs) -> tuple[Scorer, float]:
    """One-against-the-rest margins of each name, scaled to probabilities, and the share right in cross-validation.

    Classes come in alphabetical order.
    """
    seen = matrix(texts, signs)
    # What one text alone has says nothing of another, and in an operator's model it would be that customer's word.
    used = np.flatnonzero(np.bincount(seen.indices, minlength=features.ALL_BUCKETS) >= _LEAST_TEXTS)
    seen, classes = seen[:, used], sorted(set(names))
    answers = np.array([classes.index(name) for name in names])
    folds = _folds(answers)
    margins = np.zeros((len(answers), len(classes)))
    for fold in range(_FOLDS):
        held = folds == fold
        coefficients, intercept = _margins(seen[~held], answers[~held], len(classes))
        margins[held] = seen[held] @ coefficients + intercept
    temperature = min(_TEMPERATURES, key=lambda scale: _log_loss(margins * scale, answers))
    coefficients, intercept = _margins(seen, answers, len(classes))
    scorer = Scorer(tuple(classes), intercept * temperature, used.astype(np.int64), coefficients * temperature)
    return scorer, float((margins.argmax(axis=1) == answers).mean())


def _folds(answers: Ints) -> Ints:
    """A fold for each row, every class dealt out evenly in its order: no chance in it."""
    folds = np.zeros(len(answers), dtype=np.int64)
    for answer in np.unique(answers):
        rows = np.flatnonzero(answers == answer)
        folds[rows] = np.arange(len(rows)) % _FOLDS
    return folds


def _margins(seen: csr_matrix, answers: Ints, classes: int) -> tuple[Floats, Floats]:
    """Coefficients (features, classes) and intercepts (classes,)."""
    coefficients = np.zeros((seen.shape[1], classes))
    intercept = np.full(classes, -1.0)
    for one in range(classes):
        if 0 < (answers == one).sum() < len(answers):
            machine = LinearSVC(C=STRENGTH, class_weight="balanced", random_state=0, max_iter=5000)
            machine.fit(seen, answers == one)
            coefficients[:, one], intercept[one] = machine.coef_[0], machine.intercept_[0]
    return coefficients, intercept


def _log_loss(scores: Floats, answers: Ints) -> float:
    scores = scores - scores.max(axis=1, keepdims=True)
    return float((np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(len(answers)), answers]).mean())
