"""Does an interval hold the truth as often as it says? Simulated frames with a known truth, counted and judged."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from retention.outcomes.intervals import CONFIDENCE

#: From so many frames on the bounds below are those of an exact binomial test at about 0.1 % (364 to 394 of 400).
MANY_FRAMES = 400
LOWEST, HIGHEST = 0.91, 0.985
#: Fewer frames are judged by the exact test itself.
SIGNIFICANCE = 0.001
#: Of frames in which the estimator refused: it may when a frame is extreme, not as a habit.
MAX_REFUSED = 0.02


@dataclass(frozen=True)
class Bounds:
    """An interval that an estimator gave and the truth of its frame."""

    low: float
    high: float
    truth: float

    @property
    def holds(self) -> bool:
        """Whether the truth is inside."""
        return self.low <= self.truth <= self.high


@dataclass(frozen=True)
class Estimator:
    """`once` draws one frame and estimates from it; None when the estimator refused."""

    name: str
    once: Callable[[np.random.Generator], Bounds | None]
    #: Also in `make test`, with few frames; one of a kind is enough there.
    is_in_smoke: bool = True


@dataclass(frozen=True)
class Coverage:
    """How often the interval held the truth, in `frames` frames less those `refused`."""

    name: str
    frames: int
    refused: int
    held: int
    missed_low: int  # the whole interval was above the truth
    width: float

    @property
    def n(self) -> int:
        """Frames with an interval."""
        return self.frames - self.refused

    @property
    def share(self) -> float:
        """Coverage."""
        return self.held / self.n

    @property
    def is_accepted(self) -> bool:
        """Whether this is what an interval of 95 % may show by chance."""
        if self.n == 0 or self.refused > MAX_REFUSED * self.frames:
            return False
        if self.n >= (1 - MAX_REFUSED) * MANY_FRAMES:
            return LOWEST <= self.share <= HIGHEST
        return bool(binomtest(self.held, self.n, CONFIDENCE).pvalue >= SIGNIFICANCE)

    def __str__(self) -> str:
        verdict = "ok" if self.is_accepted else "NOT 95 %"
        return (
            f"{self.name:<58} {self.share:6.1%} of {self.n:>4}  above {self.missed_low:>2}, "
            f"below {self.n - self.held - self.missed_low:>2}  width {self.width:7.4f}  {verdict}"
        )


def cover(estimator: Estimator, frames: int, seed: int = 1) -> Coverage:
    """Draws `frames` frames, each from its own numbers (seed, frame), and counts."""
    drawn = [estimator.once(np.random.default_rng([seed, frame])) for frame in range(frames)]
    found = [bounds for bounds in drawn if bounds is not None]
    return Coverage(
        estimator.name,
        frames,
        frames - len(found),
        sum(bounds.holds for bounds in found),
        sum(bounds.truth < bounds.low for bounds in found),
        float(np.mean([bounds.high - bounds.low for bounds in found])) if found else float("nan"),
    )
