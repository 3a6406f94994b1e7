"""Reads what the audit of actions rests on: cases with their score and outcome, promises, and sums by party.

SQL counts; Python gets a row per index episode with a score (40 bytes), per promise, and per quarter, team and party.
"""

from datetime import datetime

import pandas as pd
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from retention.outcomes.audit import AUDIT_BANDS, HORIZON_DAYS, QA_BANDS, band_of, left_after_promise, left_by_band
from retention.outcomes.frames import read_frame
from retention.outcomes.metrics import MetricRow

#: Days from the level's first evidence after which a score is known and leaving is counted.
LANDMARK_DAYS = 2
#: A review within so many days of it is read; a later one would be of those only who stayed so long.
REVIEWED_WITHIN_DAYS = 30

_DAYS = "interval '24 hours'"
_PARTY = "hashtextextended(coalesce(outcomes.party_id, outcomes.subscription_id), 0)"
#: Index episodes, seen from an instant (`from_at`) at which the subscriber was still there, for the horizon after it.
_SEEN = f"""(
select
    outcomes.episode_id,
    scored.score::float8 as score,
    coalesce(outcomes.level, 'unknown') as level,
    {_PARTY} as party,
    coalesce(
        outcomes.churned_at < from_at + {HORIZON_DAYS} * {_DAYS}
        and (outcomes.competing_at is null or outcomes.churned_at <= outcomes.competing_at), false
    ) as is_left,
    coalesce(from_at + {HORIZON_DAYS} * {_DAYS} <= outcomes.knowable_until_any, false) as is_mature
from {{scored}} as scored
inner join {{outcomes}} as outcomes on scored.episode_id = outcomes.episode_id
where
    outcomes.is_index
    and not outcomes.is_left_before
    and (outcomes.churned_at is null or outcomes.churned_at > from_at)
    and (outcomes.competing_at is null or outcomes.competing_at > from_at)
) as seen"""  # noqa: S608 - constants of this module
#: Every scenario that the case had come to counts; whether a step was done in time is known when it is due.
_STEPS = f"""(
    select
        steps.episode_id,
        min(outcomes.level_reached_at) + {LANDMARK_DAYS} * {_DAYS} as from_at,
        avg(case when steps.status = 'done_in_time' then 1.0 else 0.0 end) as score
    from {{steps}} as steps
    inner join {{outcomes}} as outcomes on steps.episode_id = outcomes.episode_id
    where steps.is_counted and steps.due_at <= outcomes.level_reached_at + {LANDMARK_DAYS} * {_DAYS}
    group by steps.episode_id
)"""  # noqa: S608 - constants of this module
_REVIEWS = f"""(
    select service.episode_id, service.qa_audited_at as from_at, service.qa_score as score
    from {{service}} as service
    inner join {{outcomes}} as outcomes on service.episode_id = outcomes.episode_id
    where
        service.qa_score is not null
        and service.qa_audited_at >= outcomes.level_reached_at
        and service.qa_audited_at < outcomes.level_reached_at + {REVIEWED_WITHIN_DAYS} * {_DAYS}
)"""  # noqa: S608 - constants of this module
_PROMISES = f"""(
select
    promises.promise_id,
    case when promises.status = 'kept' then 'kept' else 'broken' end as outcome,
    {_PARTY} as party,
    coalesce(promises.is_left_90d, false) as is_left,
    promises.is_mature
from {{promises}} as promises
inner join {{outcomes}} as outcomes on promises.episode_id = outcomes.episode_id
where promises.is_counted and promises.status in ('kept', 'moved', 'broken')
) as judged"""  # noqa: S608 - constants of this module
#: One row per thing counted, by whom and when. Old enough to judge, whatever came of it: what went well is known sooner
#: than what did not. A team is its vendor's, whatever a single row says.
_COUNTED = """(
with counted as (
    select
        'speed' as principle, clocks.episode_id, clocks.started_at as at, clocks.team_id, clocks.vendor_id,
        case when clocks.team_id is not null then clocks.vendor_id is not null end as is_outsourced,
        coalesce(date_trunc('second', clocks.stopped_at) <= date_trunc('second', clocks.due_at), false)::int as events
    from {clocks} as clocks
    inner join {service} as service on clocks.episode_id = service.episode_id
    where
        clocks.clock = 'sensitive_first_contact'
        and clocks.exclusion_reason is null
        and not coalesce(clocks.resolved_on_trigger, false)
        and date_trunc('second', clocks.due_at) < date_trunc('second', service.contacts_known_until)
    union all
    select
        'honesty', promises.episode_id, promises.due_at, promises.team_id, promises.vendor_id, promises.is_outsourced,
        (promises.status = 'kept')::int
    from {promises} as promises
    where promises.is_counted and promises.episode_id is not null and promises.status in ('kept', 'moved', 'broken')
    union all
    select
        owned.principle, service.episode_id, service.started_at, service.first_team_id, service.first_vendor_id,
        service.first_is_outsourced,
        case when owned.principle = 'hand_offs' then service.hand_offs else (service.hand_offs = 0)::int end
    from {service} as service
    cross join (values ('responsibility'), ('hand_offs')) as owned (principle)
    where service.first_owned_at is not null and service.started_at + interval '720 hours' <= {as_of}
    union all
    select
        'control', service.episode_id, service.started_at, service.first_team_id, service.first_vendor_id,
        service.first_is_outsourced, (service.verified_at is not null)::int
    from {service} as service
    where service.first_resolved_at + interval '720 hours' <= {as_of}
    union all
    select
        'share_left_90d', outcomes.episode_id, outcomes.level_reached_at, service.first_team_id,
        service.first_vendor_id, service.first_is_outsourced,
        coalesce(
            outcomes.churned_at < outcomes.level_reached_at + interval '2160 hours'
            and (outcomes.competing_at is null or outcomes.churned_at <= outcomes.competing_at), false
        )::int
    from {outcomes} as outcomes
    inner join {service} as service on outcomes.episode_id = service.episode_id
    where
        outcomes.is_index
        and not outcomes.is_left_before
        and outcomes.level_reached_at + interval '2160 hours' <= outcomes.knowable_until_any
        and (outcomes.competing_at is null or outcomes.competing_at >= outcomes.level_reached_at)
),
placed as (
    select
        principle, episode_id, at, events, team_id,
        case when team_id is null then vendor_id else max(vendor_id) over (partition by team_id) end as vendor_id,
        case when team_id is null then is_outsourced else bool_or(is_outsourced) over (partition by team_id) end
            as is_outsourced
    from counted
),
named as (
    select
        placed.*,
        case
            when vendor_id is not null then 'outsourced' when not is_outsourced then 'in_house' else 'unknown'
        end as sourcing
    from placed
)
select
    -- Sorted as a whole, or the same sums would come in another order.
    concat_ws('/', quarter_on, principle, sourcing, vendor, team, party) as place,
    summed.*
from (
    select
        date_trunc('quarter', named.at at time zone 'Europe/Moscow')::date as quarter_on,
        named.principle,
        named.sourcing,
        coalesce(named.vendor_id, named.sourcing) as vendor,
        coalesce(named.team_id, 'unknown of ' || coalesce(named.vendor_id, named.sourcing)) as team,
        hashtextextended(coalesce(episodes.party_id, episodes.subject_id), 0) as party,
        sum(named.events) as events,
        count(*) as n
    from named
    inner join {episodes} as episodes on named.episode_id = episodes.episode_id
    group by 1, 2, 3, 4, 5, 6
) as summed
) as counted"""
_JUDGED = {"party": ("int64", "party"), "is_left": ("bool", "is_left"), "is_mature": ("bool", "is_mature")}
_CASE_COLUMNS = {"score": ("float64", "score"), "level": ("code", "level"), **_JUDGED}
_PROMISE_COLUMNS = {"outcome": ("code", "outcome"), **_JUDGED}
_UNITS = ("principle", "sourcing", "vendor", "team")
_SUM_COLUMNS = {
    "quarter_on": ("object", "quarter_on"),
    **{name: ("code", name) for name in _UNITS},
    **{name: ("int64", name) for name in ("party", "events", "n")},
}


def audit_metrics(conn: Connection, schema: str, min_cell_n: int) -> list[MetricRow]:
    """Who left by score of the audit, by reviewers' score, and after promises: the metrics of METRICS."""
    return [
        *left_by_band(read_scored(conn, schema), "audit_band", min_cell_n),
        *left_by_band(read_reviewed(conn, schema), "qa_band", min_cell_n),
        *left_after_promise(read_promises(conn, schema), min_cell_n),
    ]


def read_scored(conn: Connection, schema: str) -> pd.DataFrame:
    """Index episodes whose required steps fell due within two days: band, level, party, is_left, is_mature.

    They were there two days after their level was reached; who left is counted for 90 days from then.
    """
    scored = sql.SQL(_STEPS).format(**_tables(schema))
    return _banded(_read_seen(conn, schema, scored), AUDIT_BANDS)


def read_reviewed(conn: Connection, schema: str) -> pd.DataFrame:
    """Index episodes that a person reviewed: band, level, party, is_left, is_mature, for 90 days from the review."""
    scored = sql.SQL(_REVIEWS).format(**_tables(schema))
    return _banded(_read_seen(conn, schema, scored), QA_BANDS)


def read_promises(conn: Connection, schema: str) -> pd.DataFrame:
    """Promises that fell due while the subscriber was there: outcome (kept, broken), party, is_left, is_mature."""
    source = sql.SQL(_PROMISES).format(**_tables(schema))
    frame = read_frame(conn, source, "promise_id", _PROMISE_COLUMNS, "true")
    return frame.assign(outcome=frame["outcome"].cat.set_categories(pd.Index(["kept", "broken"], dtype=str)))


def read_principles(conn: Connection, schema: str, as_of: datetime) -> pd.DataFrame:
    """What principles.principles takes: events and n by quarter, principle, sourcing, vendor, team and party."""
    source = sql.SQL(_COUNTED).format(as_of=sql.Literal(as_of), **_tables(schema))
    frame = read_frame(conn, source, "place", _SUM_COLUMNS, "true")
    # Units in the order of their names, whichever came first: of two equally small ones the first is hidden.
    return frame.assign(
        **{name: frame[name].cat.reorder_categories(frame[name].cat.categories.sort_values()) for name in _UNITS}
    )


def _tables(schema: str) -> dict[str, sql.Identifier]:
    names = {
        "steps": "int_audit_steps", "promises": "int_promises", "service": "int_case_service", "clocks": "int_clocks",
        "outcomes": "int_episode_outcomes", "episodes": "int_episodes",
    }  # fmt: skip
    return {name: sql.Identifier(schema, table) for name, table in names.items()}


def _read_seen(conn: Connection, schema: str, scored: sql.Composable) -> pd.DataFrame:
    source = sql.SQL(_SEEN).format(scored=scored, outcomes=_tables(schema)["outcomes"])
    return read_frame(conn, source, "episode_id", _CASE_COLUMNS, "true")


def _banded(cases: pd.DataFrame, bands: tuple[tuple[str, float], ...]) -> pd.DataFrame:
    return cases.drop(columns="score").assign(band=band_of(cases["score"], bands))
