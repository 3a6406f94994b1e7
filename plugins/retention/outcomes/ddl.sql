-- Tables of the outcome-tracking step. {outcomes} is the schema. Safe to apply again.

create table if not exists {outcomes}.survival_estimates (
    as_of timestamptz not null,
    batch_id bigint not null,
    variant text not null check (variant in ('left_any', 'left_by_order')),
    estimator text not null check (estimator in ('aalen_johansen', 'kaplan_meier', 'restricted_mean_days')),
    cause text not null check (cause in ('voluntary', 'competing', 'any')),
    level text not null,
    segment text not null,
    horizon_days integer not null,
    value double precision,
    standard_error double precision,
    ci_low double precision,
    ci_high double precision,
    events bigint,
    at_risk bigint,
    n bigint not null,
    maturity_status text not null check (maturity_status in ('mature', 'partly_mature', 'immature')),
    refusal_reason text check (refusal_reason in ('zero_denominator', 'immature', 'small_cell')),
    primary key (as_of, variant, estimator, cause, level, segment, horizon_days),
    check ((value is null) = (refusal_reason is not null)),
    check ((value is null) = (ci_low is null) and (value is null) = (ci_high is null)),
    check (ci_low <= value and value <= ci_high)
);
comment on table {outcomes}.survival_estimates is
    'Grain: as_of x variant x estimator x cause x level x segment x horizon. Survival of index complaint episodes.';

create table if not exists {outcomes}.retention_metrics (
    as_of timestamptz not null,
    batch_id bigint not null,
    metric text not null,
    level text not null,
    segment text not null,
    horizon_days integer not null,
    numerator bigint,
    denominator bigint not null,
    value double precision,
    ci_low double precision,
    ci_high double precision,
    n bigint not null,
    maturity_status text not null check (maturity_status in ('mature', 'partly_mature', 'immature')),
    method text not null,
    refusal_reason text,
    breakdown text not null default 'none',
    member text not null default 'all',
    check ((value is null) = (refusal_reason is not null)),
    check ((value is null) = (ci_low is null) and (value is null) = (ci_high is null)),
    check (ci_low <= value and value <= ci_high)
);
-- Tables made before there were breakdowns.
alter table {outcomes}.retention_metrics add column if not exists breakdown text not null default 'none';
alter table {outcomes}.retention_metrics add column if not exists member text not null default 'all';
alter table {outcomes}.retention_metrics drop constraint if exists retention_metrics_pkey;
alter table {outcomes}.retention_metrics drop constraint if exists retention_metrics_refusal_reason_check;
alter table {outcomes}.retention_metrics add constraint retention_metrics_refusal_reason_check check (
    refusal_reason in (
        'zero_denominator', 'immature', 'small_cell', 'too_few', 'no_overlap', 'no_holdout', 'not_estimated'
    )
) not valid;
create unique index if not exists retention_metrics_by_cell on {outcomes}.retention_metrics
(as_of, metric, breakdown, member, level, segment, horizon_days);
comment on table {outcomes}.retention_metrics is
    'Grain: as_of x metric x breakdown x member x level x segment x horizon. A value has n and interval, else a refusal.';

create table if not exists {outcomes}.touchpoints (
    as_of timestamptz not null,
    batch_id bigint not null,
    topic text not null,
    channel text not null,
    stage text not null,
    region_id text not null,
    complaints bigint not null,
    contacts bigint not null,
    n bigint not null,
    exposure_days double precision not null,
    rate_per_1000 double precision,
    shrunken_rate_per_1000 double precision,
    ci_low double precision,
    ci_high double precision,
    touchpoint_rank integer,
    refusal_reason text check (refusal_reason in ('zero_denominator', 'small_cell')),
    primary key (topic, channel, stage, region_id),
    check ((shrunken_rate_per_1000 is null) = (refusal_reason is not null)),
    check (
        (shrunken_rate_per_1000 is null) = (ci_low is null) and (shrunken_rate_per_1000 is null) = (ci_high is null)
        and (shrunken_rate_per_1000 is null) = (rate_per_1000 is null)
        and (shrunken_rate_per_1000 is null) = (touchpoint_rank is null)
    ),
    check (ci_low <= shrunken_rate_per_1000 and shrunken_rate_per_1000 <= ci_high)
);
comment on table {outcomes}.touchpoints is
    'Grain: topic x channel x stage x region (or all regions), of the latest run. Complaints against exposure.';

create table if not exists {outcomes}.stress_replay (
    as_of timestamptz not null,
    batch_id bigint not null,
    scenario text not null,
    segment text not null,
    hour_band text not null,
    arrivals bigint not null,
    answered bigint not null,
    still_waiting bigint not null,
    n bigint not null,
    answered_in_time bigint not null,
    in_time_share double precision,
    ci_low double precision,
    ci_high double precision,
    wait_p50_seconds double precision,
    wait_p90_seconds double precision,
    max_backlog bigint not null,
    weeks integer not null,
    peak_factor double precision not null,
    utilisation double precision,
    observed_n bigint not null,
    observed_in_time_share double precision,
    refusal_reason text check (
        refusal_reason in ('zero_denominator', 'too_few_weeks', 'no_handling_times', 'no_agents')
    ),
    primary key (scenario, segment, hour_band),
    check (arrivals = answered + still_waiting),
    check ((in_time_share is null) = (refusal_reason is not null)),
    check ((in_time_share is null) = (ci_low is null) and (in_time_share is null) = (ci_high is null)),
    check (ci_low <= in_time_share and in_time_share <= ci_high)
);
comment on table {outcomes}.stress_replay is
    'Grain: scenario x segment x band of hours, of the latest run. The observed weeks replayed against the staffing.';
