"""Three operators of 50,000 subscribers, from their databases to published marts: what was planted is found, what was
not is not. `make truth` only; some minutes an operator. The truth is the simulator's latent state, never a mart's rule.
"""

from collections.abc import Callable
from contextlib import closing
from functools import cache

import pandas as pd
import psycopg2
import pytest
from operator_truth import AS_OF, DAYS, Operator
from psycopg2 import sql

from conftest import create_warehouse
from harness import as_of_after, simulate
from retention.local.postgres import Cluster
from retention.outcomes.exposure import IN_TIME, measure_exposures
from retention.outcomes.exposure_inputs import COLUMNS
from retention.outcomes.frames import NOT_CUT_OFF, NOT_LEFT, read_frame
from retention.outcomes.standardise import standardise
from retention.simulator.codes import VENDORS

SEEDS = (1, 2, 3)
SUBSCRIBERS = 50_000
MIN_CELL_N = 10
pytestmark = [pytest.mark.truth, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def build(
    cluster: Cluster, role_passwords: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[int], Operator]:
    """The operator of a seed with one published night, made once."""

    @cache
    def built(seed: int) -> Operator:
        work = tmp_path_factory.mktemp(f"operator{seed}")
        spec = simulate(create_warehouse(cluster, role_passwords), work, SUBSCRIBERS, DAYS, seed)
        spec.night().run(as_of_after(DAYS))
        return Operator(spec, work / "truth")

    return built


@pytest.fixture(scope="module", params=SEEDS)
def operator(request: pytest.FixtureRequest, build: Callable[[int], Operator]) -> Operator:
    return build(request.param)


@pytest.fixture(scope="module")
def operators(build: Callable[[int], Operator]) -> list[Operator]:
    """All of them, for what is asked of some of three."""
    return [build(seed) for seed in SEEDS]


def metric(
    operator: Operator, name: str, days: int, breakdown: str = "none", member: str = "all"
) -> tuple[float, float, float, int]:
    """Value, interval and n of a published cell of all levels and segments."""
    rows = operator.query(
        """select value, ci_low, ci_high, n from {marts}.retention_metrics
        where is_latest and metric = %s and horizon_days = %s and breakdown = %s and member = %s
        and level = 'all' and segment = 'all'""",
        name, days, breakdown, member,
    )  # fmt: skip
    assert len(rows) == 1, f"{name} {days} {breakdown} {member}: {rows}"
    assert rows[0][0] is not None, f"{name} {days} {breakdown} {member} is refused"
    return rows[0]


def in_truth(operator: Operator, since: pd.DataFrame, days: int) -> tuple[float, int]:
    """Share that left, and of how many, of rows (subscription_id, at) old enough; who was silent left at once."""
    old = since[since["at"] + pd.Timedelta(days=days) <= AS_OF]
    return float((operator.left_within(old, days) | operator.silent_at(old)).mean()), len(old)


def grievances(operator: Operator) -> pd.DataFrame:
    """First grievances of the quarter, from the truth."""
    index = operator.episodes[operator.episodes["is_index"]]
    return index.rename(columns={"started_at": "at"})[["subscription_id", "at"]]


def levels_reached(operator: Operator, product: str) -> pd.DataFrame:
    """When the marts say that the level was reached, from which the horizon runs. What came of it is not asked here."""
    rows = operator.query(
        """select subscription_id, outcome_level_reached_at from {marts}.fct_complaint_episodes
        where is_index and not is_left_before and %s in (product, 'all')
        and (competing_at is null or competing_at >= outcome_level_reached_at)""",
        product,
    )
    frame = pd.DataFrame(rows, columns=["subscription_id", "at"])
    return frame.assign(at=pd.to_datetime(frame["at"], utc=True))


def test_share_left_within_90_days_is_that_of_the_latent_state(operator: Operator) -> None:
    """Grievances of the truth from their begin; a level that is reached later moves the 90 days, which costs little."""
    value, low, high, n = metric(operator, "share_left_any", 90)
    truth, of = in_truth(operator, grievances(operator), 90)
    assert low <= truth <= high, f"{value:.4f} [{low:.4f}, {high:.4f}] of {n}; in truth {truth:.4f} of {of}"


@pytest.mark.parametrize("product", ["all", "prepaid", "postpaid"])
@pytest.mark.parametrize("days", [30, 60, 90])
def test_share_left_from_the_level_on_is_that_of_the_latent_state(operator: Operator, days: int, product: str) -> None:
    """Also of the young, whom the marts may not judge yet: the truth knows who has gone silent."""
    place = ("none", "all") if product == "all" else ("product", product)
    value, low, high, n = metric(operator, "share_left_any", days, *place)
    truth, of = in_truth(operator, levels_reached(operator, product), days)
    assert low <= truth <= high, f"{value:.4f} [{low:.4f}, {high:.4f}] of {n}; in truth {truth:.4f} of {of}"


def test_every_known_end_is_counted_once(operator: Operator) -> None:
    """Orders and ports a day old, silences 90 days old; a few events of the last days are still to be recorded."""
    kinds = {"port": "port_out", "disconnect": "disconnect", "inactivity": "inactivity"}
    for kind, published in kinds.items():
        limit = AS_OF - pd.Timedelta(days=92 if kind == "inactivity" else 12)
        ends = operator.ends
        truth = int(((ends["kind"] == kind) & (ends["churned_at"] < limit)).sum())
        (found,) = operator.query(
            "select count(*) from {marts}.fct_churn_events where is_churn and kind = %s and churned_at < %s",
            published, limit.to_pydatetime(),
        )[0]  # fmt: skip
        assert found == pytest.approx(truth, rel=0.01), kind


@pytest.mark.parametrize("promise", ["kept", "broken"])
def test_who_leaves_after_a_promise(operator: Operator, promise: str) -> None:
    """Planted: a broken promise raises the hazard 1.8-fold."""
    value, low, high, n = metric(operator, "churn_after_promise", 90, "promise", promise)
    episodes = operator.episodes
    due = episodes[(episodes["promise"] == promise) & (episodes["promise_due_at"] + pd.Timedelta(days=90) <= AS_OF)]
    at = due.rename(columns={"promise_due_at": "at"})[["subscription_id", "at"]]
    # Whoever was gone by then is asked nothing.
    before = operator.ends.merge(at.reset_index(names="row"), on="subscription_id")
    gone = before[(before["churned_at"] < before["at"]) & ~(before["returned_at"] < before["at"])]["row"]
    at = at.drop(index=gone.unique())
    truth = float(operator.left_within(at, 90).mean())
    assert low <= truth <= high, f"{value:.4f} [{low:.4f}, {high:.4f}] of {n}; in truth {truth:.4f} of {len(at)}"


def exposure(operator: Operator, step: str) -> tuple[float, float, float]:
    """Hazard ratio of a step at all levels."""
    rows = operator.query(
        "select hazard_ratio, hazard_ratio_low, hazard_ratio_high, label from {marts}.action_exposure "
        "where step = %s and level = 'all'",
        step,
    )
    assert len(rows) == 1
    assert rows[0][0] is not None, f"{step} is refused"
    assert rows[0][3] == "association"
    return rows[0][:3]


@pytest.mark.parametrize("step", ["follow_up", "offer", "apology"])
def test_an_action_without_effect_is_called_null(operator: Operator, step: str) -> None:
    """Follow-up calls reach survivors only (immortal time): not declared good. Apologies and offers do nothing."""
    ratio, low, high = exposure(operator, step)
    assert low <= 1 <= high, f"{step}: {ratio:.3f} [{low:.3f}, {high:.3f}]"


def test_the_naive_comparison_would_declare_follow_up_good(operator: Operator) -> None:
    """The trap is there: of those ever called, far fewer left."""
    episodes = operator.episodes
    old = episodes[episodes["started_at"] + pd.Timedelta(days=100) <= AS_OF]
    left = operator.left_within(old.rename(columns={"started_at": "at"})[["subscription_id", "at"]], 90)
    called = old["follow_up_at"].notna()
    assert left[called].mean() < 0.85 * left[~called].mean()


def test_contact_in_time_has_the_planted_hazard_ratio(operator: Operator) -> None:
    """Planted is how the first contact of a case was answered. Who became sensitive at a later one is left out: there,
    being called back in time or late does nothing.
    """
    condition = (
        f"is_index and {NOT_LEFT} and {NOT_CUT_OFF} and not is_silent_at_complaint and exists (select 1 from "
        "intermediate.int_episodes as e where e.episode_id = int_episode_exposures.episode_id "
        "and level_reached_at < e.started_at + interval '15 minutes')"
    )
    with closing(psycopg2.connect(operator.spec.etl_dsn)) as conn:
        cases = read_frame(
            conn, sql.Identifier("intermediate", "int_episode_exposures"), "episode_id", COLUMNS, condition
        )
    rows = measure_exposures(cases, MIN_CELL_N)
    row = next(row for row in rows if (row.step, row.level) == (IN_TIME, "all"))
    assert row.hazard_ratio_low is not None and row.hazard_ratio_high is not None
    planted = operator.effects["grievance"]["hr_contact_in_time"]
    assert row.hazard_ratio_low <= planted <= row.hazard_ratio_high, f"{row}, planted {planted}"


def partner(operator: Operator, name: str) -> tuple[str, float, float, float, float, float]:
    """Verdict, crude share, reference's standardised share, difference and its interval, of all quarters at 90 days."""
    rows = operator.query(
        """select verdict, crude_share, reference_share, difference, difference_ci_low, difference_ci_high
        from {marts}.partners
        where unit_kind = 'vendor' and unit_name = %s and period = 'all' and use_case = 'all' and horizon_days = 90""",
        name,
    )
    assert len(rows) == 1
    return rows[0]


def test_the_vendor_with_easier_cases_is_not_declared_better(operator: Operator) -> None:
    verdict, crude, _, difference, low, high = partner(operator, VENDORS[0])
    ((in_house,),) = operator.query(
        "select crude_share from {marts}.partners where unit_kind = 'sourcing' and unit = 'in_house' "
        "and period = 'all' and use_case = 'all' and horizon_days = 90"
    )
    # The trap: as counted it looks better than in-house.
    assert crude < in_house
    assert verdict in ("worse", "no_difference_shown"), f"{difference:.4f} [{low:.4f}, {high:.4f}]"


def test_the_difference_is_that_between_cases_of_the_same_latent_difficulty(operator: Operator) -> None:
    """What happened among cases really alike, which the desk cannot see: standardised by the simulator's difficulty."""
    _, _, _, difference, low, high = partner(operator, VENDORS[0])
    episodes = operator.episodes
    mature = episodes["started_at"] + pd.Timedelta(days=90) <= episodes["knowable_until"]
    chosen = episodes[episodes["is_index"] & mature & episodes["handler"].isin(["in_house", VENDORS[0]])]
    since = chosen.rename(columns={"started_at": "at"})[["subscription_id", "at"]]
    left = operator.left_within(since, 90) | operator.silent_at(since)
    truth = standardise(
        left,
        chosen["handler"] == VENDORS[0],
        chosen.groupby(["difficulty", "segment", "product"]).ngroup(),
        pd.factorize(chosen["subscription_id"])[0],
    ).difference(1, 0)
    assert truth is not None
    assert low <= truth.value <= high, f"{difference:.4f} [{low:.4f}, {high:.4f}]; in truth {truth.value:.4f}"


@pytest.fixture(scope="module")
def differences(operators: list[Operator]) -> list[tuple[float, float, float]]:
    """Of every operator: the interval of the difference of the vendor with easier cases, and the planted difference."""
    found = []
    for one in operators:
        verdict, _, reference, _, low, high = partner(one, VENDORS[0])
        assert verdict != "refused", one.folder
        ratio = one.effects["grievance"]["hr_vendor"][1]
        found.append((low, high, (1 - (1 - reference) ** ratio) - reference))
    return found


def test_the_planted_difference_is_inside_the_intervals_of_two_operators_of_three(
    differences: list[tuple[float, float, float]],
) -> None:
    """Planted is a ratio of 1.15 of hazards; what of it came true differs by operator, and the test above follows that.

    Of three intervals of 95 % one misses in 14 % of cases, two in 0.7 %.
    """
    assert len(differences) == len(SEEDS)
    inside = [low <= planted <= high for low, high, planted in differences]
    assert sum(inside) >= 2, differences


def test_the_vendor_that_is_like_in_house_is_not_shown_to_differ(operators: list[Operator]) -> None:
    """Where it is shown: beside a few cases that nobody was assigned it is hidden, which must not be so everywhere."""
    found = [partner(one, VENDORS[1]) for one in operators]
    shown = [row for row in found if row[0] != "refused"]
    assert shown, "refused for every operator: nothing was shown"
    assert {verdict for verdict, *_ in shown} == {"no_difference_shown"}, shown


def test_agents_without_an_effect_of_their_own_are_as_expected(operator: Operator) -> None:
    """Nothing is planted for agents but their vendor's ratio: few may stand out."""
    readings = dict(
        operator.query(
            "select reading, count(*) from {marts}.firefighters "
            "where unit_kind = 'agent' and period = 'all' and refusal_reason is null group by reading"
        )
    )
    shown = sum(readings.values())
    assert shown >= 20
    assert readings.get("as_expected", 0) >= 0.9 * shown, readings
