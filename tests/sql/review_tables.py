"""The intermediate tables that the ledger of saves and the packs of cases read, made by hand: no night, no sources."""

import random
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from planting import Planted, at
from psycopg2 import sql
from psycopg2.extras import execute_values

AS_OF = at(400)
TABLES = """
create table intermediate.int_episode_outcomes (
    episode_id text, subscription_id text, party_id text, topic text, segment text, product text, region_id text,
    level text, started_at timestamptz, level_reached_at timestamptz, first_agent_id text, first_team_id text,
    first_vendor_id text, sourcing text default 'in_house', is_left_before boolean default false,
    churned_at timestamptz, churn_kind text, competing_at timestamptz, competing_kind text, returned_at timestamptz,
    returned_revenue_30d boolean default false, knowable_until_order timestamptz, knowable_until_any timestamptz,
    is_index boolean default true, is_own_words_3b boolean default false, is_silent_at_complaint boolean default false,
    is_silent_30d boolean, knowable_until_usage timestamptz
);
create table intermediate.int_episode_levels (
    episode_id text, level text, level_rank integer, valid_from timestamptz, rule_id text, rule_version text,
    order_id text, contact_id text, phrase_id text, starts_at_char integer, ends_at_char integer
);
create table intermediate.int_churn_events (
    churn_event_id text, subscription_id text, kind text, cause_group text, is_churn boolean, order_id text,
    churned_at timestamptz, known_at timestamptz
);
create table intermediate.int_subscriptions (subscription_id text, party_id text, activated_at timestamptz);
create table intermediate.int_retention_actions (
    action_id text, subscription_id text, action_at timestamptz, offer_code text, cost_rub numeric(12, 2),
    promise_due_at timestamptz, promise_kept_at timestamptz
);
create table intermediate.int_episodes (
    episode_id text, subject_id text, subscription_id text, topic text, first_channel text, first_ticket_id text,
    started_at timestamptz, first_resolved_at timestamptz
);
create table intermediate.int_episode_contacts (episode_id text, contact_id text);
create table intermediate.int_contacts_linked (
    contact_id text, subject_id text, root_ticket_id text, is_customer_initiated boolean, started_at timestamptz
);
create table intermediate.int_contact_repeats (contact_id text, is_repeat_30d boolean);
create table intermediate.int_reply_substance (
    contact_id text, is_boilerplate boolean, gives_reason boolean, states_result boolean
);
create table intermediate.int_episode_owners (episode_id text, agent_id text, valid_from timestamptz);
create table intermediate.int_clocks (
    clock_id text, episode_id text, clock text, started_at timestamptz, stopped_at timestamptz, due_at timestamptz
);
create table seeds.horizons as select * from (values (30), (60), (90), (180)) as v (horizon_days);
create table seeds.review_policy as select '1' as policy_version, 20 as pairs_per_week, 365 as max_age_days,
    1 as min_seen_days, date '2000-01-01' as valid_from, null::date as valid_to;
create table seeds.review_codes as select * from (values
    ('cause', 'no_answer', 'Nobody answered'), ('cause', 'price', 'A better price'), ('decision', 'nothing', 'Nothing')
) as v (kind, code, title);
"""


def create_tables(planted: Planted) -> None:
    """All of them, empty but for the seeds."""
    with planted.conn, planted.conn.cursor() as cur:
        cur.execute(TABLES)


def insert(planted: Planted, table: str, rows: Iterable[Mapping[str, object]]) -> None:
    """Rows of one table, by column; a column that a row lacks has its default."""
    by_columns: dict[tuple[str, ...], list[tuple[object, ...]]] = {}
    for row in rows:
        by_columns.setdefault(tuple(row), []).append(tuple(row.values()))
    with planted.conn, planted.conn.cursor() as cur:
        for columns, values in by_columns.items():
            statement = sql.SQL("insert into {} ({}) values %s").format(
                sql.Identifier("intermediate", table), sql.SQL(", ").join(map(sql.Identifier, columns))
            )
            execute_values(cur, statement.as_string(cur), values)


def plant_lives(planted: Planted, subscribers: int, seed: int) -> dict[str, str]:
    """Subscribers who complain, leave, come back, complain while silent and leave again; the churn that follows each
    episode, by episode, as the life has it.
    """
    chance = random.Random(seed)
    episodes, true_churn = [], {}
    for number in range(subscribers):
        name, product = f"s{number}", chance.choice(["prepaid", "postpaid"])
        until = AS_OF - timedelta(days=90 if product == "prepaid" else 1)
        life = _life(chance, product)
        cut_at = at(chance.uniform(-300, 380)) if chance.random() < 0.1 else None
        days = sorted(chance.uniform(-300, 390) for _ in range(chance.randint(1, 4)))
        for place, day in enumerate(days):
            reached = at(day)
            gone = _gone_at(life, reached)
            if gone is not None and not (gone[2] == "inactivity" and reached < gone[0] + timedelta(days=90)):
                continue
            follows = gone or next((one for one in life if one[0] >= reached), None)
            level = chance.choice(["L1", "L2", "L3a", "L3a", "L3b"])
            episode: dict[str, object] = {
                "episode_id": f"{name} {place}", "subscription_id": name, "party_id": f"p{number // 3}",
                "segment": chance.choice(["mass", "mass", "vip", None]), "product": product, "level": level,
                "started_at": reached, "level_reached_at": reached, "is_own_words_3b": chance.random() < 0.7,
                "knowable_until_order": AS_OF - timedelta(days=1), "knowable_until_any": until,
                "knowable_until_usage": AS_OF - timedelta(days=0 if number % 3 else 120),
                "first_vendor_id": chance.choice([None, "v1"]), "is_index": chance.random() < 0.95,
                "is_left_before": chance.random() < 0.03,
                "competing_at": cut_at if cut_at is not None and cut_at >= reached else None,
            }  # fmt: skip
            episode["sourcing"] = "in_house" if episode["first_vendor_id"] is None else "outsourced"
            if follows is not None:
                churned, returned, kind, has_revenue = follows
                episode |= {
                    "churned_at": reached + timedelta(seconds=1) if gone else churned, "churn_kind": kind,
                    "returned_at": returned, "returned_revenue_30d": returned is not None and has_revenue,
                    "is_silent_at_complaint": gone is not None,
                }  # fmt: skip
                true_churn[f"{name} {place}"] = f"{name} {churned}"
            episodes.append(episode)
    insert(planted, "int_episode_outcomes", episodes)
    return true_churn


Departure = tuple[datetime, datetime | None, str, bool]


def _life(chance: random.Random, product: str) -> list[Departure]:
    """When it leaves and comes back, in order: the last time perhaps for good."""
    found: list[Departure] = []
    day = chance.uniform(-300, 300)
    while day < 395:
        kind = chance.choice(["disconnect", "port_out", *(["inactivity"] if product == "prepaid" else [])])
        away = chance.uniform(91, 230) if kind == "inactivity" else chance.uniform(1, 230)
        returned = at(day + away) if chance.random() < 0.6 and day + away < 399 else None
        found.append((at(day), returned, kind, chance.random() < 0.7))
        if returned is None:
            break
        day += away + chance.uniform(5, 200)
    return found


def _gone_at(life: list[Departure], instant: datetime) -> Departure | None:
    return next((one for one in life if one[0] <= instant and (one[1] is None or instant < one[1])), None)
