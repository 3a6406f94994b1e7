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

create table if not exists {outcomes}.restatements_told (
    as_of timestamptz not null,
    previous_as_of timestamptz not null,
    metric text not null,
    month text not null,
    horizon_days integer not null,
    n_before bigint,
    n_after bigint,
    numerator_before bigint,
    numerator_after bigint,
    denominator_before bigint,
    denominator_after bigint,
    value_before double precision,
    value_after double precision,
    refusal_before text,
    refusal_after text,
    reason text not null,
    is_suppression boolean not null,
    is_rule_version boolean not null,
    is_code boolean not null,
    is_late_data boolean not null,
    has_gone_on boolean not null,
    is_merge boolean not null,
    is_deletion boolean not null,
    is_quarantine boolean not null,
    is_erasure boolean not null,
    primary key (as_of, metric, month, horizon_days)
);
comment on table {outcomes}.restatements_told is
    'Grain: published night x metric x month x horizon: what the mart restatements told, kept as it was told.';

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

create table if not exists {outcomes}.survival_curves (
    as_of timestamptz not null,
    batch_id bigint not null,
    grouping_name text not null,
    member text not null,
    cause text not null check (cause in ('voluntary', 'competing', 'any')),
    day integer not null,
    at_risk bigint,
    events bigint,
    estimate double precision,
    ci_low double precision,
    ci_high double precision,
    n bigint not null,
    refusal_reason text check (refusal_reason in ('zero_denominator', 'immature', 'small_cell')),
    primary key (grouping_name, member, cause, day),
    check ((estimate is null) = (refusal_reason is not null)),
    check ((estimate is null) = (ci_low is null) and (estimate is null) = (ci_high is null)),
    check (ci_low <= estimate and estimate <= ci_high)
);
comment on table {outcomes}.survival_curves is
    'Grain: grouping x member x cause x day, of the latest run. Curves of index complaint episodes, to draw.';

create table if not exists {outcomes}.touchpoint_outcomes (
    as_of timestamptz not null,
    batch_id bigint not null,
    topic text not null,
    channel text not null,
    stage text not null,
    region_id text not null,
    n_mature bigint not null,
    left_after bigint not null,
    share_left double precision,
    shrunken_share_left double precision,
    ci_low double precision,
    ci_high double precision,
    q_value double precision check (q_value between 0 and 1),
    is_above_others boolean,
    refusal_reason text check (refusal_reason in ('zero_denominator', 'small_cell')),
    n_earning bigint not null,
    revenue_rub double precision not null,
    revenue_at_risk_rub double precision,
    revenue_refusal text check (revenue_refusal in ('zero_denominator', 'small_cell')),
    primary key (topic, channel, stage, region_id),
    check (left_after <= n_mature),
    check ((shrunken_share_left is null) = (refusal_reason is not null)),
    check (
        (shrunken_share_left is null) = (ci_low is null) and (shrunken_share_left is null) = (ci_high is null)
        and (shrunken_share_left is null) = (share_left is null) and (shrunken_share_left is null) = (q_value is null)
    ),
    check ((revenue_at_risk_rub is null) = (revenue_refusal is not null)),
    check (ci_low <= shrunken_share_left and shrunken_share_left <= ci_high and ci_high <= 1)
);
comment on table {outcomes}.touchpoint_outcomes is
    'Grain: topic x channel x stage x region (or all regions), of the latest run. Who left afterwards, and revenue.';

create table if not exists {outcomes}.action_exposure (
    as_of timestamptz not null,
    batch_id bigint not null,
    step text not null,
    level text not null,
    method text not null check (method in ('time_varying', 'landmark')),
    n bigint not null,
    n_exposed bigint,
    unexposed_days double precision,
    exposed_days double precision,
    unexposed_events bigint,
    exposed_events bigint,
    rate_ratio double precision,
    rate_ratio_low double precision,
    rate_ratio_high double precision,
    hazard_ratio double precision,
    hazard_ratio_low double precision,
    hazard_ratio_high double precision,
    maturity_status text not null check (maturity_status in ('mature', 'partly_mature', 'immature')),
    label text not null check (label = 'association'),
    refusal_reason text check (refusal_reason in ('zero_denominator', 'immature', 'small_cell', 'too_few')),
    primary key (step, level),
    check ((rate_ratio is null) = (refusal_reason is not null)),
    check ((rate_ratio is null) = (hazard_ratio is null)),
    check ((n_exposed is null) = (coalesce(refusal_reason, '') = 'small_cell')),
    check (rate_ratio_low <= rate_ratio and rate_ratio <= rate_ratio_high),
    check (hazard_ratio_low <= hazard_ratio and hazard_ratio <= hazard_ratio_high)
);
comment on table {outcomes}.action_exposure is
    'Grain: step x level, of the latest run. Days and departures before and after an action. An association.';

create table if not exists {outcomes}.case_review (
    as_of timestamptz not null,
    batch_id bigint not null,
    week_on date not null,
    case_number integer not null,
    pair_number integer not null,
    episode_id text not null,
    level text not null,
    segment text not null,
    vendor text not null,
    month_on date not null,
    outcome text not null check (outcome in ('left', 'stayed')),
    level_reached_at timestamptz not null,
    seen_until timestamptz not null,
    unmatched_left bigint not null,
    unmatched_stayed bigint not null,
    primary key (week_on, case_number),
    unique (week_on, pair_number, outcome),
    unique (episode_id)
);
comment on table {outcomes}.case_review is
    'Grain: week x case. Drawn once by the first night of the week that is published, and kept.';

create table if not exists {outcomes}.case_review_findings (
    as_of timestamptz not null,
    batch_id bigint not null,
    kind text not null check (kind in ('cause', 'decision', 'preventable', 'no_such_case')),
    code text not null,
    level text not null,
    vendor text not null,
    left_n bigint not null,
    left_with bigint,
    stayed_n bigint not null,
    stayed_with bigint,
    difference double precision,
    ci_low double precision,
    ci_high double precision,
    judged_twice bigint not null,
    agreed bigint,
    refusal_reason text check (refusal_reason in ('zero_denominator', 'small_cell', 'not_estimated')),
    primary key (kind, code, level, vendor),
    check (left_with <= left_n and stayed_with <= stayed_n and agreed <= judged_twice),
    check ((difference is null) = (refusal_reason is not null)),
    check ((difference is null) = (ci_low is null) and (difference is null) = (ci_high is null)),
    check ((difference is null) = (left_with is null) and (difference is null) = (stayed_with is null)),
    check (ci_low <= difference and difference <= ci_high)
);
comment on table {outcomes}.case_review_findings is
    'Grain: kind x code x level x vendor, of the latest run. What reviewers saw in cases that left and that stayed.';

create table if not exists {outcomes}.survey_gaps (
    as_of timestamptz not null,
    batch_id bigint not null,
    good_sign text not null check (good_sign in ('resolved', 'not_sensitive', 'not_repeated', 'in_time')),
    vendor text not null,
    good_invited bigint,
    good_n bigint not null,
    bad_invited bigint,
    bad_n bigint not null,
    good_share double precision,
    bad_share double precision,
    gap double precision,
    ci_low double precision,
    ci_high double precision,
    max_gap double precision not null,
    refusal_reason text check (refusal_reason in ('zero_denominator', 'small_cell')),
    primary key (good_sign, vendor),
    check ((gap is null) = (refusal_reason is not null)),
    check ((gap is null) = (good_invited is null) and (gap is null) = (bad_invited is null)),
    check (ci_low <= gap and gap <= ci_high)
);
comment on table {outcomes}.survey_gaps is
    'Grain: good sign x vendor (or all), of the latest run. How much more often good cases are asked about than bad.';

create table if not exists {outcomes}.service_principles (
    as_of timestamptz not null,
    batch_id bigint not null,
    quarter_on date not null,
    principle text not null,
    unit_kind text not null check (unit_kind in ('all', 'sourcing', 'vendor', 'team')),
    unit text not null,
    numerator bigint,
    denominator bigint not null,
    value double precision,
    ci_low double precision,
    ci_high double precision,
    n bigint not null,
    method text not null check (method in ('share', 'mean')),
    refusal_reason text check (refusal_reason in ('zero_denominator', 'small_cell')),
    primary key (quarter_on, principle, unit_kind, unit),
    check ((value is null) = (refusal_reason is not null)),
    check (
        (value is null) = (ci_low is null) and (value is null) = (ci_high is null)
        and (value is null) = (numerator is null)
    ),
    check (ci_low <= value and value <= ci_high)
);
comment on table {outcomes}.service_principles is
    'Grain: quarter x principle x kind of unit x unit, of the latest run. Speed, honesty, responsibility, control.';

create table if not exists {outcomes}.partners (
    as_of timestamptz not null,
    batch_id bigint not null,
    period text not null,
    unit_kind text not null check (unit_kind in ('sourcing', 'vendor', 'team')),
    unit text not null,
    use_case text not null,
    horizon_days integer not null,
    cases bigint not null,
    n bigint not null,
    maturity_status text not null check (maturity_status in ('mature', 'partly_mature', 'immature')),
    refusal_reason text check (refusal_reason in ('immature', 'small_cell', 'no_holdout', 'not_estimated')),
    left_count bigint,
    crude_share double precision,
    crude_ci_low double precision,
    crude_ci_high double precision,
    reference text,
    reference_n bigint,
    dropped_share double precision,
    reference_dropped_share double precision,
    standardised_share double precision,
    standardised_ci_low double precision,
    standardised_ci_high double precision,
    reference_share double precision,
    difference double precision,
    difference_ci_low double precision,
    difference_ci_high double precision,
    verdict text not null check (
        verdict in ('better', 'worse', 'no_difference_shown', 'refused', 'reference')
    ),
    comparison_refusal text check (
        comparison_refusal in (
            'immature', 'small_cell', 'no_holdout', 'not_estimated', 'no_overlap', 'zero_denominator', 'not_assigned',
            'is_reference'
        )
    ),
    cost_rub double precision,
    retained_months double precision,
    cost_per_retained_month_rub double precision,
    cost_ci_low double precision,
    cost_ci_high double precision,
    standardised_cost_rub double precision,
    standardised_cost_ci_low double precision,
    standardised_cost_ci_high double precision,
    reference_cost_rub double precision,
    cost_refusal text check (
        cost_refusal in (
            'immature', 'small_cell', 'no_holdout', 'not_estimated', 'no_price', 'zero_denominator', 'other_horizon'
        )
    ),
    primary key (period, unit_kind, unit, use_case, horizon_days),
    check (left_count <= n and n <= cases),
    check ((crude_share is null) = (refusal_reason is not null)),
    check ((crude_share is null) = (crude_ci_low is null) and (crude_share is null) = (left_count is null)),
    check (crude_ci_low <= crude_share and crude_share <= crude_ci_high),
    check ((difference is null) = (comparison_refusal is not null)),
    check ((difference is null) = (verdict in ('refused', 'reference'))),
    check ((difference is null) = (difference_ci_low is null) and (difference is null) = (standardised_share is null)),
    check (difference_ci_low <= difference and difference <= difference_ci_high),
    check (standardised_ci_low <= standardised_share and standardised_share <= standardised_ci_high),
    check ((cost_per_retained_month_rub is null) = (cost_refusal is not null)),
    check (cost_ci_low <= cost_per_retained_month_rub and cost_per_retained_month_rub <= cost_ci_high),
    check (standardised_cost_ci_low <= standardised_cost_rub and standardised_cost_rub <= standardised_cost_ci_high)
);
comment on table {outcomes}.partners is
    'Grain: quarter (or all) x unit x use case x horizon, of the latest run. In-house against partners.';

create table if not exists {outcomes}.firefighters (
    as_of timestamptz not null,
    batch_id bigint not null,
    period text not null,
    unit_kind text not null check (unit_kind in ('team', 'agent')),
    unit text not null,
    horizon_days integer not null,
    cases bigint not null,
    n bigint not null,
    maturity_status text not null check (maturity_status in ('mature', 'partly_mature', 'immature')),
    refusal_reason text check (refusal_reason in ('immature', 'small_cell', 'no_overlap', 'zero_denominator')),
    left_count bigint,
    kept_share double precision,
    kept_ci_low double precision,
    kept_ci_high double precision,
    dropped_share double precision,
    compared_left bigint,
    expected_left double precision,
    ratio double precision,
    shrunken_ratio double precision,
    ci_low double precision,
    ci_high double precision,
    reading text check (reading in ('fewer_left', 'as_expected', 'more_left')),
    unit_rank integer,
    primary key (period, unit_kind, unit),
    check (left_count <= n and n <= cases),
    check ((shrunken_ratio is null) = (refusal_reason is not null)),
    check ((shrunken_ratio is null) = (ci_low is null) and (shrunken_ratio is null) = (left_count is null)),
    check ((kept_share is null) = (kept_ci_low is null) and (kept_share is null) = (shrunken_ratio is null)),
    check ((shrunken_ratio is null) = (unit_rank is null)),
    check (ci_low <= shrunken_ratio and shrunken_ratio <= ci_high)
);
comment on table {outcomes}.firefighters is
    'Grain: quarter (or all) x team or agent, of the latest run. Who left of their cases, against the expected.';
