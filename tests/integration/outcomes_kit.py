"""Intermediate tables and seeds that the outcomes read, planted by hand."""

from datetime import UTC, datetime, timedelta

AS_OF = datetime(2026, 2, 4, 23, tzinfo=UTC)
START = datetime(2025, 3, 1, 12, tzinfo=UTC)

TABLES = """
create table {schema}.int_episode_outcomes (
    episode_id text primary key, subscription_id text, party_id text, topic text, segment text, product text,
    level text,
    started_at timestamptz, level_reached_at timestamptz, is_left_before boolean, churned_at timestamptz,
    churn_kind text,
    competing_at timestamptz, competing_kind text, returned_at timestamptz, returned_revenue_30d boolean,
    knowable_until_order timestamptz, knowable_until_any timestamptz, is_index boolean, is_own_words_3b boolean,
    region_id text, first_team_id text, first_vendor_id text, sourcing text not null default 'unknown',
    first_channel text, is_silent_30d boolean, is_silent_at_complaint boolean, knowable_until_usage timestamptz
);
create table {schema}.int_repeat_contacts (
    contact_id text primary key, subscription_id text, party_id text, episode_id text, topic text, segment text,
    level text, started_at timestamptz, ended_at timestamptz, anchor_at timestamptz, has_repeat_7d boolean,
    has_repeat_30d boolean, is_window_7d_elapsed boolean, is_window_30d_elapsed boolean, is_first_contact boolean,
    is_repeat_30d boolean
);
create table {schema}.int_subscriptions (
    subscription_id text, region_id text, activated_at timestamptz, terminated_at timestamptz, is_staff boolean,
    is_test boolean
);
create table {schema}.int_terminations_resolved (
    subscription_id text, intent_at timestamptz, churned_at timestamptz, stopped_at timestamptz
);
create table {schema}.int_episodes (
    episode_id text, party_id text, subject_id text,
    topic text, first_channel text, region_id text, is_linked boolean, subscription_id text, started_at timestamptz
);
create table {schema}.int_contacts_linked (
    kind text, topic text, channel text, region_id text, is_linked boolean, subscription_id text, agent_id text,
    author_kind text, is_answered boolean, is_customer_initiated boolean, exclusion_reason text,
    connected_seconds integer, started_at timestamptz, ended_at timestamptz, contact_id text, ticket_id text,
    root_ticket_id text, is_on_behalf boolean
);
create table {schema}.int_coverage_window (
    as_of timestamptz, window_to timestamptz, observed_from timestamptz
);
create table {schema}.int_arrivals (
    segment text, is_sensitive boolean, started_at timestamptz, answered_at timestamptz, due_at timestamptz
);
create table {schema}.int_agent_shifts (shift_from timestamptz, shift_to timestamptz);
create table {schema}.int_incidents (started_at timestamptz);
create table {schema}.int_survey_answers (
    invitation_id text primary key, survey_kind text, subscription_id text, party_id text, segment text, product text,
    contact_id text, ticket_id text, level text, team_id text, vendor_id text, sourcing text, sent_at timestamptz,
    window_ends_at timestamptz, is_window_elapsed boolean, excluded_because text, is_satisfied boolean, nps_group text,
    is_gone_when_window_ends boolean, churned_at timestamptz, competing_at timestamptz, knowable_until_any timestamptz
);
create table {schema}.int_tickets_resolved (ticket_id text, root_ticket_id text, is_open boolean);
create table {schema}.int_clocks (
    ticket_id text, due_at timestamptz, stopped_at timestamptz, exclusion_reason text, resolved_on_trigger boolean,
    clock text, episode_id text, started_at timestamptz, team_id text, vendor_id text
);
create table {schema}.int_episode_levels (episode_id text, is_sensitive boolean, valid_from timestamptz);
create table {schema}.int_episode_closings (
    episode_id text primary key, subscription_id text, party_id text, segment text, level text, team_id text,
    vendor_id text, sourcing text, is_index boolean, is_lost boolean, is_mature boolean
);
create table {schema}.int_cases_assigned (
    episode_id text primary key, subscription_id text, party_id text, period_on date, first_level text, segment text,
    product text, first_priority text, sourcing text, first_vendor_id text, first_team_id text, first_agent_id text,
    level text, is_night boolean, level_reached_at timestamptz, churned_at timestamptz, competing_at timestamptz,
    knowable_until_any timestamptz, cost_180d_rub numeric
);
create table {schema}.int_audit_steps (
    episode_id text, status text, is_counted boolean, due_at timestamptz
);
create table {schema}.int_promises (
    promise_id text, episode_id text, status text, is_counted boolean, is_left_90d boolean, is_mature boolean,
    due_at timestamptz, team_id text, vendor_id text, is_outsourced boolean
);
create table {schema}.int_case_service (
    episode_id text, qa_score numeric, qa_audited_at timestamptz, contacts_known_until timestamptz,
    started_at timestamptz, first_owned_at timestamptz, first_resolved_at timestamptz, verified_at timestamptz,
    first_team_id text, first_vendor_id text, first_is_outsourced boolean, hand_offs bigint
);
create table {schema}.planted_exposures (
    episode_id text primary key, first_priority text, decided_at timestamptz, settled_at timestamptz,
    first_contact_at timestamptz, offer_at timestamptz, follow_up_at timestamptz, contact_due_at timestamptz,
    is_contacted_in_time boolean, last_month_revenue_rub numeric
);
create view {schema}.int_episode_exposures as select
    episodes.episode_id, episodes.subscription_id, episodes.party_id, episodes.level, episodes.segment,
    episodes.product, coalesce(planted.first_priority, 'normal') as first_priority, episodes.is_index,
    episodes.is_left_before, coalesce(episodes.is_silent_at_complaint, false) as is_silent_at_complaint,
    episodes.level_reached_at, coalesce(planted.decided_at, episodes.churned_at) as decided_at,
    episodes.competing_at, planted.settled_at, episodes.knowable_until_any as followed_until,
    planted.first_contact_at, planted.first_contact_at as owner_contact_at, null::timestamptz as apology_at,
    null::timestamptz as promise_at, planted.offer_at, planted.follow_up_at, planted.contact_due_at,
    planted.is_contacted_in_time, planted.last_month_revenue_rub
from {schema}.int_episode_outcomes as episodes left join {schema}.planted_exposures as planted using (episode_id);
"""


POLICY = """
create table seeds.small_cells (output text, min_cell_n integer, valid_from date, valid_to date);
insert into seeds.small_cells values
    ('retention_metrics', 500, '2000-01-01', '2026-02-05'), ('retention_metrics', 3, '2026-02-05', null),
    ('other', 7, '2000-01-01', null), ('touchpoints', 3, '2000-01-01', null),
    ('partners', 3, '2000-01-01', null), ('firefighters', 3, '2000-01-01', null);
create table seeds.survey_policy as select 72 as answer_hours, 0.05::float8 as max_invitation_gap,
    '2000-01-01'::date as valid_from, null::date as valid_to;
create table seeds.review_policy as select 20 as pairs_per_week, 365 as max_age_days, 1 as min_seen_days,
    '2000-01-01'::date as valid_from, null::date as valid_to;
create table seeds.review_codes as select 'cause' as kind, 'no_answer' as code, 'Nobody answered in time' as title;
create table seeds.path_stages as select * from (values
    ('onboarding', 0, 30, false), ('established', 30, null, false), ('leaving', null, null, true)
) as v (stage, tenure_from_days, tenure_to_days, is_leaving) cross join (
    select '2000-01-01'::date as valid_from, null::date as valid_to
) as w;
create table seeds.touchpoint_policy as select 90 as period_days, 365 as outcome_days,
    '2000-01-01'::date as valid_from, null::date as valid_to;
create table seeds.coverage_targets as select segment, 7200 as target_seconds, '2000-01-01'::date as valid_from,
    null::date as valid_to from unnest(array['vip', 'corporate', 'mass', 'unknown']) as v (segment);
create table seeds.stress_scenarios as select 'twice' as scenario, 2::float8 as arrivals_factor, 0 as peak_hours,
    1::float8 as peak_factor, 7::bigint as random_seed, '2000-01-01'::date as valid_from, null::date as valid_to;
create table seeds.staffing (weekday integer, hour integer, agents integer, valid_from date, valid_to date);
"""


def insert(cur, table, row):
    names = ", ".join(row)
    cur.execute(f"insert into {table} ({names}) values %s", (tuple(row.values()),))


def plant(conn, schema="intermediate"):
    """Ten index episodes as in DEFINITIONS 8 (Aalen-Johansen) and some that must not count."""
    days = [3, 5, 6, 8, 12, 15, 20, 21, 25, 30]
    causes = [1, 2, 0, 1, 0, 1, 0, 2, 0, 0]
    with conn, conn.cursor() as cur:
        cur.execute(TABLES.format(schema=schema))
        for i, (day, cause) in enumerate(zip(days, causes, strict=True)):
            ended = START + timedelta(days=day)
            episode = {
                "episode_id": f"e{i}",
                "subscription_id": f"s{i}",
                "party_id": f"p{i}",
                "segment": "mass",
                "product": "postpaid",
                "level": "L1",
                "started_at": START,
                "level_reached_at": START,
                "is_left_before": False,
                "churned_at": ended if cause == 1 else None,
                "churn_kind": "disconnect" if cause == 1 else None,
                "competing_at": ended if cause == 2 else None,
                "knowable_until_order": ended if cause == 0 else AS_OF,
                "knowable_until_any": ended if cause == 0 else AS_OF,
                "knowable_until_usage": ended if cause == 0 else AS_OF,
                "is_index": True,
                "is_own_words_3b": False,
                "topic": "billing" if i < 5 else "network",
                "first_team_id": "t1" if i < 2 else "t2",
                "first_vendor_id": None if i < 2 else "v1",
                "sourcing": "in_house" if i < 2 else "outsourced",
            }
            insert(cur, f"{schema}.int_episode_outcomes", episode)
        left = {**episode, "churned_at": START + timedelta(days=1), "churn_kind": "port_out"}
        for changes in (
            {"is_index": False},
            {"is_left_before": True},
            {"competing_at": START - timedelta(days=1)},
        ):
            insert(cur, f"{schema}.int_episode_outcomes", {**left, "episode_id": f"x{changes}", **changes})
        for i in range(4):
            contact = {
                "contact_id": f"c{i}",
                "subscription_id": f"s{i}",
                "party_id": f"p{i}",
                "episode_id": f"e{i}",
                "topic": "billing",
                "started_at": START,
                "segment": "vip",
                "level": "L2",
                "has_repeat_7d": i == 0,
                "has_repeat_30d": i < 2,
                "is_window_7d_elapsed": True,
                "is_window_30d_elapsed": i < 3,
                "is_first_contact": i > 0,
            }
            insert(cur, f"{schema}.int_repeat_contacts", contact)
        window = {"as_of": AS_OF, "window_to": AS_OF - timedelta(hours=2), "observed_from": AS_OF - timedelta(hours=2)}
        insert(cur, f"{schema}.int_coverage_window", window)


def rows(conn, query):
    with conn, conn.cursor() as cur:
        cur.execute(query)
        return cur.fetchall()
