"""The ledger of saves against the metrics, on lives made by chance; weekly packs, and what the blinded copy tells."""

from collections.abc import Iterator
from datetime import timedelta

import psycopg2
import pytest
from dbt.cli.main import dbtRunner
from planting import Planted, at
from review_tables import AS_OF, create_tables, insert, plant_lives

from conftest import Warehouse
from retention.outcomes.frames import read_episodes
from retention.outcomes.metrics import returned_metrics, saved_metrics
from retention.outcomes.review_findings import findings, read_codes, read_judgements
from retention.outcomes.review_sampling import draw_reviews, week_of

PACKS = "outcomes.case_review"
PAIRS = 12
#: Days from the level to leaving, in the pair; everything else that a pair has in common lies before.
STAYED_DAYS = 10
MARTS = ["saves", "case_review", "case_review_blinded"]


@pytest.fixture(scope="module")
def planted(shared_warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    """Lives, pairs, one pack drawn, and the marts of it in marts_a; no night was run."""
    conn = shared_warehouse.connect("etl")
    warehouse = Planted(shared_warehouse.dsn("etl"), conn, tmp_path_factory.mktemp("dbt"))
    warehouse.open(AS_OF)
    create_tables(warehouse)
    warehouse.before = {"churn": plant_lives(warehouse, 900, seed=3)}
    create_outcomes(warehouse)
    build(warehouse, ["saves"])
    # Only pairs are candidates for the pack.
    with conn, conn.cursor() as cur:
        cur.execute(
            "create schema lives; create table lives.int_episode_outcomes as table intermediate.int_episode_outcomes;"
            " truncate intermediate.int_episode_outcomes"
        )
    plant_pairs(warehouse)
    draw(warehouse)
    build(warehouse, MARTS[1:])
    yield warehouse
    conn.close()


def create_outcomes(planted: Planted) -> None:
    from importlib.resources import files

    ddl = files("retention.outcomes").joinpath("ddl.sql").read_text(encoding="utf-8")
    with planted.conn, planted.conn.cursor() as cur:
        cur.execute(ddl.replace("{outcomes}", "outcomes"))


def build(planted: Planted, models: list[str]) -> None:
    project = planted.dbt.project
    with pytest.MonkeyPatch.context() as patch:
        for name, value in project.environment().items():
            patch.setenv(name, value)
        folders = ["--project-dir", project.folder, "--profiles-dir", project.folder, "--target-path", project.target]
        arguments = ["--quiet", "--log-level-file", "none", "run", "--select", *models, *map(str, folders)]
        assert dbtRunner(manifest=planted.dbt.manifest).invoke(arguments).success


def draw(planted: Planted, as_of: object = AS_OF, batch_id: int = 1) -> int:
    with planted.conn, planted.conn.cursor() as cur:
        return draw_reviews(cur, as_of, batch_id, "intermediate", "outcomes")  # type: ignore[arg-type]


def plant_pairs(planted: Planted) -> None:
    """Cases alike until one of them leaves; from then on everything differs, and much happens to the one that left."""
    tables: dict[str, list[dict[str, object]]] = {}
    for number in range(2 * PAIRS):
        has_left, name = number % 2 == 0, f"case-{number}"
        start = at(100 + 0.01 * number)
        end = start + timedelta(days=STAYED_DAYS)

        def add(table: str, **row: object) -> None:
            tables.setdefault(table, []).append(row)

        add(
            "int_episode_outcomes", episode_id=name, subscription_id=name, party_id=name, segment="mass",
            level="L3a" if number < 8 else "L1", product="postpaid", started_at=start, level_reached_at=start,
            churned_at=end if has_left else None, churn_kind="port_out" if has_left else None,
            knowable_until_order=AS_OF, knowable_until_any=AS_OF,
        )  # fmt: skip
        later = end + timedelta(hours=1 if has_left else 99)
        add("int_episodes", episode_id=name, subject_id=name, subscription_id=name, topic="roaming",
            first_channel="call", first_ticket_id=f"t{number}", started_at=start,
            first_resolved_at=end if has_left else end + timedelta(days=9))  # fmt: skip
        calls = [start, start + timedelta(days=3), *([later] * (3 if has_left else 1))]
        for i, called_at in enumerate(calls):
            contact = f"{name} call {i}"
            add("int_episode_contacts", episode_id=name, contact_id=contact)
            add("int_contacts_linked", contact_id=contact, subject_id=name, root_ticket_id=f"t{number}",
                is_customer_initiated=True, started_at=called_at)  # fmt: skip
            add("int_contact_repeats", contact_id=contact, is_repeat_30d=i > 0)
        for i, said_at in enumerate([start + timedelta(days=1), *([later] if has_left else [])]):
            reply = f"{name} reply {i}"
            add("int_contacts_linked", contact_id=reply, subject_id=name, root_ticket_id=f"t{number}",
                is_customer_initiated=False, started_at=said_at)  # fmt: skip
            add("int_reply_substance", contact_id=reply, is_boilerplate=i == 0, gives_reason=True, states_result=i > 0)
        kept_at = start + timedelta(days=4) if number % 4 < 2 else (later if has_left else None)
        add("int_retention_actions", action_id=f"{name} before", subscription_id=name, offer_code="o",
            action_at=start + timedelta(days=2), promise_due_at=start + timedelta(days=5),
            promise_kept_at=kept_at)  # fmt: skip
        add("int_retention_actions", action_id=f"{name} after", subscription_id=name, action_at=later,
            offer_code="o" if has_left else None)  # fmt: skip
        for owned_at in (start, start + timedelta(days=1), *([end] if has_left else [])):
            add("int_episode_owners", episode_id=name, agent_id="a", valid_from=owned_at)
        for clock, due_days in (("first_reply", 1), ("sensitive_first_contact", 3), ("resolution", 12)):
            stopped_at = {"first_reply": start + timedelta(hours=2)}.get(clock, end if has_left else None)
            add("int_clocks", clock_id=f"{name} {clock}", episode_id=name, clock=clock, started_at=start,
                stopped_at=stopped_at, due_at=start + timedelta(days=due_days))  # fmt: skip
    for table, rows in tables.items():
        for row in rows:
            insert(planted, table, [row])


def test_the_ledger_is_what_the_metrics_count(planted: Planted) -> None:
    """Two computations: pandas over seconds and SQL over instants."""
    episodes = read_episodes(planted.conn, "lives")
    rows = [*saved_metrics(episodes, 3), *returned_metrics(episodes, 3)]
    shown = [row for row in rows if row.refusal_reason is None]
    assert {row.metric for row in shown} == {"saved_3a", "saved_3b", "won_back", "reactivated"}
    assert {row.breakdown for row in shown} == {"none", "vendor", "sourcing"}
    ledger = planted.rows(
        "select kind, level, coalesce(segment, 'unknown'), horizon_days, coalesce(first_vendor_id, sourcing), sourcing,"
        " is_restored from marts_a.saves where is_mature"
    )
    for row in shown:
        members = [
            one for one in ledger
            if one[0] == row.metric and one[3] == row.horizon_days and row.level in ("all", one[1])
            and row.segment in ("all", one[2])
            and row.member in {"none": ("all",), "vendor": (one[4],), "sourcing": (one[5],)}[row.breakdown]
        ]  # fmt: skip
        assert (row.numerator, row.denominator) == (sum(bool(one[6]) for one in members), len(members)), row
    assert min(row.numerator or 0 for row in shown if row.level == row.segment == "all" and row.member == "all") > 0


def test_each_churn_is_one_case_of_return_and_nobody_is_restored_twice(planted: Planted) -> None:
    churn: dict[str, str] = planted.before["churn"]  # type: ignore[assignment]
    of_return = planted.rows(
        "select episode_id, horizon_days from marts_a.saves where kind in ('won_back', 'reactivated')"
    )
    counted = [(churn[str(episode)], days) for episode, days in of_return]
    assert len(counted) == len(set(counted)) > 200
    twice = "select 1 from marts_a.saves where is_restored group by episode_id, horizon_days having count(*) > 1"
    assert planted.rows(twice) == []
    assert planted.row(
        "select bool_and(outcome = 'not_yet_known' or is_mature), bool_and(reversed_at is null or is_restored),"
        " bool_or(reversed_at is not null and kind = 'saved_3a'), bool_and(reversed_at >= outcome_at)"
        " from marts_a.saves"
    ) == (True, True, True, True)


# The weekly pack


def test_a_pack_has_pairs_of_one_level_segment_and_month_in_an_order_that_tells_nothing(planted: Planted) -> None:
    pairs = planted.rows(
        "select min(level), max(level), min(month_on) = max(month_on), count(*), count(distinct outcome),"
        f" min(case_number) filter (where outcome = 'left') < min(case_number) filter (where outcome = 'stayed')"
        f" from {PACKS} group by pair_number"
    )
    assert len(pairs) == PAIRS
    assert {(low == high, same, n, kinds) for low, high, same, n, kinds, _ in pairs} == {(True, True, 2, 2)}
    assert 0 < sum(bool(left_first) for *_, left_first in pairs) < PAIRS
    assert planted.row(f"select array_agg(case_number order by case_number) from {PACKS}") == ([*range(1, 25)],)


def columns_that_tell(rows: list[tuple[object, ...]], names: list[str]) -> list[str]:
    """Columns by which left and stayed differ: rows are (pair, outcome, value...), pairs alike until one left."""
    left = {row[0]: row[2:] for row in rows if row[1] == "left"}
    stayed = {row[0]: row[2:] for row in rows if row[1] == "stayed"}
    assert left.keys() == stayed.keys()
    return [
        name for place, name in enumerate(names)
        if sorted(str(row[place]) for row in left.values()) != sorted(str(row[place]) for row in stayed.values())
    ]  # fmt: skip


def test_no_blinded_column_tells_who_left(planted: Planted) -> None:
    """Everything that differs happened from the instant of leaving on."""
    columns = planted.rows(
        "select column_name from information_schema.columns where table_name = 'case_review_blinded'"
        " and column_name not in ('case_number', 'episode_id')"
    )
    names = [str(name) for (name,) in columns]
    assert len(names) > 15
    query = "select pack.pair_number, pack.outcome, {} from marts_a.case_review_blinded inner join {} as pack"
    selected = ", ".join(f"case_review_blinded.{name}" for name in names)
    rows = planted.rows(query.format(selected, PACKS) + " using (week_on, case_number)")
    assert columns_that_tell(rows, names) == []
    seen = planted.row(
        "select min(contact_count), max(contact_count), max(owner_count), max(action_count), max(reply_count),"
        " bool_or(was_resolved), max(broken_promise_count), min(first_contact_verdict), min(resolution_verdict)"
        " from marts_a.case_review_blinded"
    )
    assert seen == (2, 2, 2, 1, 1, False, 1, "breached", "open")
    # What is not cut tells: the same test finds it.
    leaky = planted.rows(
        f"select pack.pair_number, pack.outcome, (select count(*) from intermediate.int_episode_contacts as c"
        f" where c.episode_id = pack.episode_id), pack.level from {PACKS} as pack"
    )
    assert columns_that_tell(leaky, ["contacts_ever", "level"]) == ["contacts_ever"]


def test_a_pack_is_the_same_all_week_and_no_case_comes_twice(planted: Planted) -> None:
    cases = f"select week_on, case_number, episode_id from {PACKS} order by 1, 2"
    before = planted.rows(cases)
    assert week_of(AS_OF).monday.weekday() == 0
    assert draw(planted) == 2 * PAIRS, "the same night draws the same again"
    assert planted.rows(cases) == before
    tomorrow, next_week = AS_OF + timedelta(days=1), AS_OF + timedelta(days=7)
    assert week_of(tomorrow) == week_of(AS_OF)
    assert draw(planted, tomorrow, 2) == 2 * PAIRS, "the night before was not published"
    with planted.conn, planted.conn.cursor() as cur:
        cur.execute(f"update {PACKS} set batch_id = 1; update ops.batches set state = 'published' where batch_id = 1")
        # Late data: somebody who stayed had left after all. The pack is what it was.
        cur.execute("update intermediate.int_episode_outcomes set churned_at = level_reached_at + interval '2 days'")
    assert draw(planted, AS_OF + timedelta(days=2), 2) == 0
    assert planted.rows(cases) == before
    assert draw(planted, next_week, 3) == 0, "all were reviewed"


def test_unmatched_candidates_are_counted_and_the_young_are_no_candidates(planted: Planted) -> None:
    stayed = {"segment": "vip", "level": "L2", "product": "postpaid", "knowable_until_order": AS_OF}
    rows = [
        {**stayed, "episode_id": f"later {i}", "party_id": "p", "subscription_id": f"x{i}",
         "level_reached_at": at(200), "knowable_until_any": AS_OF if i < 5 else at(289),
         "churned_at": at(200.5) if i == 0 else at(230) if i == 1 else None}
        for i in range(7)
    ]  # fmt: skip
    insert(planted, "int_episode_outcomes", rows)
    assert draw(planted, AS_OF + timedelta(days=14), 4) == 2
    drawn = planted.rows(f"select episode_id, unmatched_left, unmatched_stayed from {PACKS} where batch_id = 4")
    assert {str(episode) for episode, *_ in drawn} >= {"later 1"}
    # Who left within a day is not drawn; one that left has one of the three that stayed.
    assert {tuple(counts) for _, *counts in drawn} == {(0, 2)}
    with planted.conn, planted.conn.cursor() as cur:
        cur.execute(f"delete from {PACKS} where batch_id = 4")


# What reviewers say


def enter(warehouse: Warehouse, *rows: tuple[object, ...]) -> None:
    conn = warehouse.connect("reviewer")
    with conn, conn.cursor() as cur:
        for week_on, case, reviewer, cause in rows:
            cur.execute(
                "insert into reviews.case_decisions (week_on, case_number, reviewer, cause_code, decision_code,"
                " is_preventable, decided_at) values (%s, %s, %s, %s, 'nothing', true, %s)",
                (week_on, case, reviewer, cause, AS_OF),
            )
    conn.close()


def test_decisions_are_only_added_and_the_latest_counts(shared_warehouse: Warehouse, planted: Planted) -> None:
    numbers = planted.rows(f"select week_on, case_number, outcome from {PACKS} order by 1, 2")
    left = [one for one in numbers if one[2] == "left"][:10]
    stayed = [one for one in numbers if one[2] == "stayed"][:10]
    enter(shared_warehouse, *((week, case, "r1", "no_answer") for week, case, _ in left[:8]))
    enter(shared_warehouse, *((week, case, "r1", "price") for week, case, _ in stayed))
    enter(
        shared_warehouse,
        (*left[0][:2], "r1", "price"),
        (*left[1][:2], "r2", "price"),
        (*left[2][:2], "r2", "no_answer"),
    )
    enter(shared_warehouse, (*left[8][:2], "r1", "invented"), (week_of(AS_OF).monday, 99, "r1", "price"))
    for statement in ("update reviews.case_decisions set cause_code = 'price'", "delete from reviews.case_decisions"):
        for role in ("reviewer", "etl", "analyst"):
            conn = shared_warehouse.connect(role)
            with pytest.raises(psycopg2.errors.InsufficientPrivilege), conn.cursor() as cur:
                cur.execute(statement)
            conn.close()
    for bad in ("Иванов", "he said that the price was too high"):
        with pytest.raises(psycopg2.errors.CheckViolation):
            enter(shared_warehouse, (*left[9][:2], "r1", bad))
    (now,) = planted.row("select clock_timestamp()")
    with planted.conn, planted.conn.cursor() as cur:
        judgements, strays = read_judgements(cur, now, "outcomes")  # type: ignore[arg-type]
        earlier, _ = read_judgements(cur, AS_OF - timedelta(days=4000), "outcomes")
        rows = {(r.kind, r.code, r.level, r.vendor): r for r in findings(judgements, read_codes(cur), strays, 10)}
    assert earlier == [], "what was entered later is not known"
    found = {code: rows["cause", code, "all", "all"] for code in ("no_answer", "price", "unknown")}
    # Nine that left: one changed the mind to price, two have a second opinion, one has a code that nobody knows.
    assert {code: (row.left_with, row.left_n, row.stayed_with, row.stayed_n) for code, row in found.items()} == {
        "no_answer": (7, 9, 0, 10), "price": (2, 9, 10, 10), "unknown": (1, 9, 0, 10)
    }  # fmt: skip
    assert (found["price"].judged_twice, found["price"].agreed) == (2, 1)
    assert found["no_answer"].ci_low is not None and 0 < found["no_answer"].ci_low < 7 / 9 < found["no_answer"].ci_high
    assert rows["no_such_case", "no_such_case", "all", "all"].left_n == 1
    hidden = [row for row in rows.values() if row.refusal_reason == "small_cell"]
    assert hidden and all(row.left_with is None and row.difference is None for row in hidden)
