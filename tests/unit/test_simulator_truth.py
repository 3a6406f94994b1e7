"""The simulated operator against its own truth: effects, texts, books."""

import csv
import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest

from retention.simulator import churn, days, texts, truth
from retention.simulator.codes import CLOSED, NA, NEW, OPEN, PENDING, TICKET_KINDS, Array, Ints
from retention.simulator.frame import Frame, Outbox
from retention.simulator.parameters import DAY
from retention.simulator.render import copy_text, csv_text
from retention.simulator.schema import COLUMNS, TABLES
from retention.simulator.state import PRESENT, World

DAYS, SUBSCRIBERS = 270, 16_000
HOT = 2.0


class History:
    """A simulated operator and every row that its log tables got."""

    def __init__(self, world: World, until: int) -> None:
        self.world = world
        self.lost = np.zeros(2, np.int64)
        # Expected decisions to leave, without and with a hot grievance.
        self.expected = np.zeros(2)
        kept: dict[str, list[Ints]] = {}
        while world.day < until:
            multiplier, there = churn.multipliers(world), churn.stable(world)
            hazard, is_hot = world.subs["hazard"][there] * multiplier[there], multiplier[there] > HOT
            self.expected += hazard[~is_hot].sum(), hazard[is_hot].sum()
            rows, lost = days.simulate(world)
            self.lost += lost
            for name, matrix in rows.items():
                kept.setdefault(name, []).append(matrix)
        self.rows = {
            name: dict(zip(COLUMNS[name], np.concatenate(matrices, axis=1), strict=True))
            for name, matrices in kept.items()
        }


@pytest.fixture(scope="module")
def history() -> History:
    return History(World(3, SUBSCRIBERS), DAYS)


def decided_within(history: History, subs: Array, since: Array, horizon_days: int) -> Array:
    """Did the subscription decide to leave, and leave, within the horizon? By the truth."""
    decisions = history.world.decisions
    left = np.flatnonzero((decisions["kind"] <= churn.INACTIVE) & (decisions["outcome"] == churn.LEFT))
    decided = np.full(len(history.world.subs), np.iinfo(np.int64).max)
    # The first decision after `since`: few have two, so the last one at or before the horizon is close enough.
    for sub, at in zip(decisions["sub"][left].tolist(), decisions["decided_at"][left].tolist(), strict=True):
        decided[sub] = min(decided[sub], at)
    wait = decided[subs] - since
    return np.asarray((wait >= 0) & (wait < horizon_days * DAY))


@pytest.fixture(scope="module")
def mature(history: History) -> dict[str, Array]:
    """Cases old enough to judge at 90 days, with `left`."""
    cases = history.world.cases
    old = np.flatnonzero((cases["started_at"] < (DAYS - 100) * DAY) & (cases["was_silent"] == 0))
    columns: dict[str, Array] = {name: array[old] for name, array in cases.dump().items()}
    columns["left"] = decided_within(history, columns["sub"], columns["started_at"], 90)
    return columns


def share(left: Array, mask: Array) -> float:
    assert mask.sum() > 100
    return float(left[mask].mean())


def test_volumes_are_an_operators(history: History) -> None:
    world = history.world
    years = SUBSCRIBERS * DAYS / 365
    voluntary = (world.decisions["kind"] <= churn.INACTIVE) & (world.decisions["outcome"] == churn.LEFT)
    assert 0.14 < voluntary.sum() / years < 0.21
    assert 0.15 < len(world.cases) / years < 0.30
    assert 0.9 < (world.subs["presence"] == PRESENT).sum() / SUBSCRIBERS < 1.1
    assert 0.5 < (world.subs["product"] == 0).mean() < 0.68
    assert set(np.unique(world.decisions["kind"])) == set(range(len(churn.DECISION_KINDS)))
    untreated = (world.cases["handled"] >= 2).mean()
    assert 0.22 < untreated < 0.38


def test_complainers_leave_two_to_four_times_as_often(history: History, mature: dict[str, Array]) -> None:
    world = history.world
    base = np.flatnonzero(world.subs["activated_at"] < 0)
    everybody = decided_within(history, base, np.full(len(base), 100 * DAY), 90).mean()
    assert 2 < mature["left"].mean() / everybody < 4


def test_effects_point_the_right_way(mature: dict[str, Array]) -> None:
    left, difficulty = mature["left"], mature["difficulty"]
    in_time = mature["handled"] <= 1
    for level in (0, 1):
        assert share(left, in_time & (difficulty == level)) < share(left, ~in_time & (difficulty == level))
    assert share(left, mature["repeats"] > 0) > share(left, mature["repeats"] == 0)
    assert share(left, difficulty == 2) > share(left, difficulty == 1) > share(left, difficulty == 0)


def test_decisions_are_as_many_as_the_hazards_say(history: History) -> None:
    decisions = history.world.decisions
    is_voluntary, is_hot = decisions["kind"] <= churn.INACTIVE, decisions["multiplier"] > HOT
    for expected, chosen in zip(history.expected, (~is_hot, is_hot), strict=True):
        assert expected > 100
        # Four standard deviations, and a little for who changed state within the day.
        assert abs((is_voluntary & chosen).sum() - expected) < 4 * expected**0.5 + 0.02 * expected


def test_the_first_vendor_looks_better_than_in_house(mature: dict[str, Array]) -> None:
    assert share(mature["left"], mature["vendor"] == 0) < share(mature["left"], mature["vendor"] == -1)
    assert (
        mature["difficulty"][mature["vendor"] == 0].mean() < mature["difficulty"][mature["vendor"] == -1].mean() - 0.3
    )


def test_follow_up_looks_good_through_immortal_time_only(mature: dict[str, Array]) -> None:
    followed = mature["follow_up_at"] != NA
    assert share(mature["left"], followed) < 0.85 * share(mature["left"], ~followed)


def test_the_loyalty_pilot_works_and_its_arms_are_balanced(history: History) -> None:
    subs, pilots = history.world.subs, history.world.parameters.pilots
    units = np.flatnonzero(subs["loyalty_arm"] >= 0)
    arm = subs["loyalty_arm"][units]
    left = decided_within(history, units, np.full(len(units), pilots.loyalty_day * DAY), pilots.loyalty_days)
    assert abs(arm.mean() - 0.5) < 0.03
    assert share(left, arm == 1) < 0.75 * share(left, arm == 0)


def one_grievance(world: World, **changes: object) -> float:
    """Hazard multiplier of one subscription whose case is as given."""
    world.cases.append(1, sub=0, started_at=0, grievance_until=90 * DAY, difficulty=1, handled=2, **changes)
    world.subs.append(1, case=len(world.cases) - 1)
    world.day = 10
    return float(churn.multipliers(world)[-1])


def test_multipliers_are_the_parameters() -> None:
    world = World(1, 1)
    effects = world.parameters.grievance
    plain = one_grievance(world)
    assert plain == pytest.approx(effects.hr_complaint)
    world.cases["grievance_until"][0] = 5 * DAY
    assert churn.multipliers(world)[0] == 1
    # Adjusted for difficulty the first vendor is worse than in-house, the second is not.
    assert one_grievance(world, vendor=0) / plain == pytest.approx(effects.hr_vendor[1])
    assert effects.hr_vendor[1] > 1 == effects.hr_vendor[2]
    assert one_grievance(world, repeats=2) / plain == pytest.approx(effects.hr_repeat)
    assert one_grievance(world, promise=0, promise_due_at=DAY) / plain == pytest.approx(effects.hr_broken_promise)
    assert one_grievance(world, promise=0, promise_due_at=50 * DAY) == pytest.approx(plain)
    assert one_grievance(world, promise=1, promise_due_at=DAY) == pytest.approx(plain)
    for nothing in ({"follow_up_at": DAY}, {"script_arm": 1}, {"has_offer": 1}):
        assert one_grievance(world, **nothing) == pytest.approx(plain)


def test_multipliers_of_contact_in_time_and_difficulty() -> None:
    world = World(1, 1)
    effects = world.parameters.grievance
    one_grievance(world)
    for handled, ratio in ((0, effects.hr_contact_in_time), (1, effects.hr_contact_in_time), (2, 1.0), (3, 1.0)):
        world.cases["handled"][0] = handled
        assert churn.multipliers(world)[0] == pytest.approx(effects.hr_complaint * ratio)
    world.cases["handled"][0] = 2
    for difficulty, ratio in enumerate(effects.hr_difficulty):
        world.cases["difficulty"][0] = difficulty
        assert churn.multipliers(world)[0] == pytest.approx(effects.hr_complaint * ratio)


def test_contact_in_time_is_visible_in_the_sources(history: History) -> None:
    """Treated in time: an answered call of 30 s or a written reply by a human within two hours, and only then."""
    cases, contacts = history.world.cases, history.rows["interactions"]
    outbound = (contacts["direction"] == 1) & (contacts["author_kind"] == 0) & (contacts["ticket_id"] != NA)
    reached = (contacts["channel"] != 0) | ((contacts["is_answered"] == 1) & (contacts["connected_seconds"] >= 30))
    real = outbound & reached
    case = history.world.tickets["case"][contacts["ticket_id"][real]]
    first = np.full(len(cases), np.iinfo(np.int64).max)
    np.minimum.at(first, case, contacts["started_at"][real])
    quick = first - cases["started_at"] <= 2 * 3600
    old = cases["started_at"] < (DAYS - 12) * DAY
    # Contacts that the helpdesk lost are the only difference.
    treated = (cases["handled"] == 1) & old
    assert (quick & treated).sum() >= 0.985 * treated.sum()
    untreated = (cases["handled"] >= 2) & (cases["repeats"] == 0) & old
    assert (quick & untreated).sum() == 0


def test_counts_balance_between_the_exchange_and_the_helpdesk(history: History) -> None:
    """Counted = written + lost, once everything late has arrived."""
    totals, contacts = history.rows["channel_totals"], history.rows["interactions"]
    assert totals["day_on"].max() == DAYS - 1
    for channel in (0, 1):
        counted = totals["contacts"][totals["channel"] == channel].sum()
        written = (contacts["channel"] == channel).sum()
        waiting = history.world.outbox.dump()["interactions"]
        names = COLUMNS["interactions"]
        here = (waiting[names.index("channel")] == channel) & (waiting[names.index("started_at")] < DAYS * DAY)
        assert counted == written + here.sum() + history.lost[channel]
    assert history.lost.sum() > 0


def test_keys_are_unique_and_rows_are_written_on_their_day(history: History) -> None:
    for name, table in TABLES.items():
        if name not in history.rows or table.is_versioned or name in ("counted", "texts"):
            continue
        keys = list(zip(*(history.rows[name][column].tolist() for column in table.key), strict=True))
        assert len(keys) == len(set(keys)), name
        if table.cursor:
            assert history.rows[name][table.cursor].max() < DAYS * DAY, name
    late = history.rows["interactions"]["recorded_at"] - history.rows["interactions"]["ended_at"]
    assert 0.01 < (late > DAY).mean() < 0.06


def test_inactive_means_no_revenue_afterwards(history: History) -> None:
    world = history.world
    decisions = world.decisions
    silent = np.flatnonzero((decisions["kind"] == churn.INACTIVE) & (decisions["returned_at"] == NA))
    silent = silent[world.subs["decision"][decisions["sub"][silent]] == silent]
    last = world.subs["last_revenue_at"][decisions["sub"][silent]]
    assert len(silent) > 100
    assert (last < decisions["decided_at"][silent]).all()
    # Local midnight after the last revenue: within a day of it.
    wait = decisions["churned_at"][silent] - last
    assert wait.min() > 0 and wait.max() <= DAY


def test_present_prepaid_users_never_seem_inactive(history: History) -> None:
    subs = history.world.subs
    there = (subs["presence"] == PRESENT) & (subs["product"] == 0) & (subs["last_revenue_at"] != NA)
    assert (history.world.start - subs["last_revenue_at"][there]).max() < 90 * DAY


def test_numbers_are_reassigned_and_never_shared(history: History) -> None:
    periods = history.world.periods
    order = np.lexsort((periods["valid_from"], periods["msisdn"]))
    number, start = periods["msisdn"][order], periods["valid_from"][order]
    end = np.where(periods["valid_to"] == NA, np.iinfo(np.int64).max, periods["valid_to"])[order]
    again = number[1:] == number[:-1]
    assert (start[1:][again] >= end[:-1][again]).all()
    assert (again & (periods["sub"][order][1:] != periods["sub"][order][:-1])).sum() > 50


def test_every_register_says_what_it_claims() -> None:
    """Threats speak of leaving; decoys carry the same words negated, of others, or quoted."""
    leaving = re.compile(
        "перейду к другому|ухожу от вас|отключите номер|менять оператора|расторгнуть|"
        "switching to another operator|i am leaving you|cancel my contract|disconnect my number"
    )
    for register, by_language in texts.TEMPLATES.items():
        for template in itertools.chain(*by_language):
            text = template.lower()
            says = bool(leaving.search(text))
            if register == texts.THREAT:
                assert says, template
            elif register in (texts.NONE, texts.QUESTION, texts.REPLY, texts.AUTO_REPLY):
                assert not says, template
            elif register == texts.NEGATED:
                assert any(word in text for word in ("не уйду", "не собираюсь", "не хочу", "не буду", "not")), template
            elif register == texts.QUOTED:
                assert "«" in text or '"' in text, template


def test_the_truth_of_texts_is_the_message(history: History) -> None:
    truths, contacts = history.rows["texts"], history.rows["interactions"]
    assert (np.sort(truths["contact_id"]) == np.sort(contacts["interaction_id"][contacts["body"] != NA])).all()
    kind = dict(zip(truths["contact_id"].tolist(), truths["kind"].tolist(), strict=True))
    with_body = contacts["body"] != NA
    bodies = texts.written(contacts["body"][with_body])
    by_kind: dict[int, set[str]] = {}
    for contact, body in zip(contacts["interaction_id"][with_body].tolist(), bodies, strict=True):
        by_kind.setdefault(kind[contact], set()).add(body)
    assert set(by_kind) == set(range(5))
    for first, second in itertools.combinations(by_kind, 2):
        assert not by_kind[first] & by_kind[second]
    assert 0.75 < (truths["language"] == 0).mean() < 0.85


def test_no_text_needs_escaping_in_copy() -> None:
    for register, by_language in texts.TEMPLATES.items():
        for template in itertools.chain(*by_language):
            assert not set("\t\\\n\r") & set(template), register


def test_rows_become_copy_and_csv_text() -> None:
    table = TABLES["msisdn_periods"]
    rows = np.array([[0], [123], [4], [0], [NA], [120]])
    assert copy_text(table, rows) == "N1000001\t+79000000123\tS1000005\t2024-12-31T21:00:00\t\t2024-12-31T21:02:00\n"
    assert csv_text(table, rows, with_header=False) == (
        "N1000001,+79000000123,S1000005,2025-01-01 00:00:00+03:00,,2025-01-01 00:02:00+03:00\n"
    )


def test_truth_files_hold_every_case_decision_and_effect(history: History, tmp_path: Path) -> None:
    counts = truth.write(history.world, tmp_path)
    for name, count in counts.items():
        with (tmp_path / f"{name}.csv").open(encoding="utf-8") as file:
            assert sum(1 for _ in csv.DictReader(file)) == count
    effects = json.loads((tmp_path / "effects.json").read_text())["parameters"]
    assert effects["grievance"]["hr_contact_in_time"] == history.world.parameters.grievance.hr_contact_in_time


def test_a_stored_state_goes_on_as_if_never_stored(tmp_path: Path) -> None:
    world = World(5, 400)
    for _ in range(20):
        days.simulate(world)
    world.save(tmp_path / "state.npz")
    again = World.load(tmp_path / "state.npz")
    for _ in range(15):
        first, _ = days.simulate(world)
        second, _ = days.simulate(again)
        assert first.keys() == second.keys()
        assert all((first[name] == second[name]).all() for name in first)


def test_an_outbox_refuses_rows_written_in_the_past() -> None:
    outbox = Outbox({"t": ("x",)})
    outbox.add("t", np.array([-5 * DAY, 3 * DAY]), 0, x=np.array([1, 2]))
    assert outbox.take(0)["t"].tolist() == [[1]]
    assert outbox.take(1) == {}
    with pytest.raises(ValueError, match="earlier day"):
        outbox.add("t", np.array([0]), 1, x=1)
    assert outbox.take(3)["t"].tolist() == [[2]]


def test_a_frame_grows_and_refuses_unknown_columns() -> None:
    frame = Frame({"a": ("i8", 7)})
    assert frame.append(200)[-1] == 199
    assert frame["a"].sum() == 1400
    with pytest.raises(KeyError, match="b"):
        frame.append(1, b=1)


def test_ticket_rows_are_the_projection_of_their_events(history: History) -> None:
    """Replayed one by one in the order in which things happened."""
    tickets, events = history.world.tickets, history.rows["ticket_events"]
    order = np.lexsort((events["sequence"], events["event_at"], events["ticket_id"]))
    fixed = {"opened": NEW, "pause": PENDING, "resume": OPEN, "reopen": OPEN, "merge": CLOSED}
    status: dict[int, int] = {}
    owner: dict[int, tuple[int, int]] = {}
    names = ("ticket_id", "kind", "to_value", "agent_id", "team_id")
    for ticket, code, value, agent, team in zip(*(events[name][order].tolist() for name in names), strict=True):
        kind = TICKET_KINDS[code]
        if kind == "status":
            status[ticket] = value
        elif kind in fixed:
            status[ticket] = fixed[kind]
        elif kind in ("assignment", "reassignment", "escalation"):
            owner[ticket] = (agent, team)
    assert len(status) > 2000
    assert {ticket: int(tickets["status"][ticket]) for ticket in status} == status
    assert {ticket: (int(tickets["agent"][ticket]), int(tickets["team"][ticket])) for ticket in owner} == owner
    visible = np.flatnonzero(tickets["updated_at"] != NA)
    assert set(visible.tolist()) == set(status)
