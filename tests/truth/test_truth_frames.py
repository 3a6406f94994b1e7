"""Pure functions recover planted effects: 95 % intervals hold the truth in 91 to 98.5 % of 400 simulated frames.

`make truth` runs all frames, and prints the table; `make test` a tenth, judged by the exact binomial test.
"""

from collections.abc import Iterator

import pytest
import simulated_actions
import simulated_episodes
import simulated_shares
import simulated_units
from broken import BROKEN, TOO_WIDE
from recovery import MANY_FRAMES, Coverage, Estimator, cover

ESTIMATORS = (
    *simulated_episodes.ESTIMATORS,
    *simulated_shares.ESTIMATORS,
    *simulated_units.ESTIMATORS,
    *simulated_actions.ESTIMATORS,
)
WRONG = (*BROKEN, simulated_actions.IMMORTAL)
FEW_FRAMES = 40


def by_name(estimator: Estimator) -> str:
    return estimator.name.replace(" ", "-")


@pytest.fixture(scope="module")
def table() -> Iterator[list[Coverage]]:
    """Every coverage found, printed when the last is there."""
    found: list[Coverage] = []
    yield found
    print("\n" + "\n".join(map(str, found)))


@pytest.mark.truth
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=by_name)
def test_interval_holds_the_truth_as_often_as_it_says(estimator: Estimator, table: list[Coverage]) -> None:
    found = cover(estimator, MANY_FRAMES)
    table.append(found)
    assert found.is_accepted, str(found)


@pytest.mark.truth
@pytest.mark.parametrize("estimator", [*WRONG, TOO_WIDE], ids=by_name)
def test_a_broken_estimator_is_rejected(estimator: Estimator) -> None:
    found = cover(estimator, MANY_FRAMES)
    assert not found.is_accepted, str(found)


@pytest.mark.parametrize("estimator", [one for one in ESTIMATORS if one.is_in_smoke], ids=by_name)
def test_smoke_interval_holds_the_truth(estimator: Estimator) -> None:
    found = cover(estimator, FEW_FRAMES)
    assert found.is_accepted, str(found)


@pytest.mark.parametrize("estimator", WRONG, ids=by_name)
def test_smoke_a_broken_estimator_is_rejected(estimator: Estimator) -> None:
    found = cover(estimator, FEW_FRAMES)
    assert not found.is_accepted, str(found)


@pytest.mark.parametrize(("held", "frames", "is_accepted"), [
    (364, 400, True), (363, 400, False), (394, 400, True), (395, 400, False),
    (33, 40, True), (32, 40, False), (40, 40, True),
])  # fmt: skip
def test_the_judge(held: int, frames: int, is_accepted: bool) -> None:
    assert Coverage("x", frames, 0, held, 0, 0.1).is_accepted is is_accepted
