"""The trained model's file: an .npz of plain numbers and a JSON header. No pickle, no scikit-learn at run time."""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from retention.text import features
from retention.text.linear import Model, Scorer

SHIPPED = Path(__file__).resolve().parent / "model" / "shipped.npz"
VARIABLE = "RETENTION_TEXT_MODEL"
#: Coefficients are kept as multiples of this: small files, the same on machines that round differently, exact sums.
STEP = 1 / 512


class ModelError(ValueError):
    """The model's file cannot be used; the message names the file and what to do."""


def model_path(environment: Mapping[str, str]) -> Path:
    """The file that RETENTION_TEXT_MODEL names (the operator's own), else the shipped one."""
    own = environment.get(VARIABLE, "")
    return Path(own).resolve() if own else SHIPPED


def save(path: Path, sentiment: Scorer, topic: Scorer, signs: features.Signs, about: dict[str, Any]) -> None:
    """Write a model. The same scorers, words and `about` give the same bytes."""
    arrays: dict[str, Any] = {}
    for name, scorer in (("sentiment", sentiment), ("topic", topic)):
        steps = np.clip(np.rint(scorer.coefficients / STEP), -32767, 32767).astype("<i2")
        kept = np.flatnonzero(steps.any(axis=1))
        arrays[f"{name}_buckets"] = scorer.buckets[kept].astype("<i4")
        arrays[f"{name}_steps"] = steps[kept]
        arrays[f"{name}_intercept"] = np.rint(scorer.intercept / STEP).astype("<i4")
    header = {
        "about": about,
        "features": features.VERSION,
        "classes": {"sentiment": sentiment.classes, "topic": topic.classes},
        "signs": asdict(signs),
    }
    text = json.dumps(header, ensure_ascii=False, sort_keys=True).encode()
    # Not compressed: another zlib writes other bytes.
    content = io.BytesIO()
    np.savez(content, header=np.frombuffer(text, dtype=np.uint8), **arrays)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.getvalue())


@lru_cache(maxsize=4)
def load(path: Path = SHIPPED) -> Model:
    """Read a model, once in a process; raises ModelError when it is none, or sees other features of a text."""
    again = f"`retention text train --labels FILE.csv --out {path}`"
    try:
        content = path.read_bytes()
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        header = json.loads(bytes(arrays["header"]))
        version, signs = header["features"], features.Signs(**header["signs"])
        sentiment, topic = (
            Scorer(
                tuple(header["classes"][name]),
                arrays[f"{name}_intercept"] * STEP,
                arrays[f"{name}_buckets"].astype(np.int64),
                arrays[f"{name}_steps"] * STEP,
            )
            for name in ("sentiment", "topic")
        )
    except (OSError, KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ModelError(
            f"{path}: no model that can be read ({type(error).__name__}). No text was read. Make one with {again}, or"
            f" unset {VARIABLE}: then the shipped one is used"
        ) from None
    if version != features.VERSION:
        raise ModelError(
            f"{path}: made for features of version {version}, this program has {features.VERSION}. No text was read."
            f" Train it again: {again}"
        )
    return Model(sentiment, topic, signs, header["about"], hashlib.sha256(content).hexdigest()[:16])
