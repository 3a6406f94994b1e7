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
    refusal_reason text check (refusal_reason in ('zero_denominator', 'immature', 'small_cell')),
    primary key (as_of, metric, level, segment, horizon_days),
    check ((value is null) = (refusal_reason is not null)),
    check ((value is null) = (ci_low is null) and (value is null) = (ci_high is null)),
    check (ci_low <= value and value <= ci_high)
);
comment on table {outcomes}.retention_metrics is
    'Grain: as_of x metric x level x segment x horizon. A value has n and interval, else a refusal.';
