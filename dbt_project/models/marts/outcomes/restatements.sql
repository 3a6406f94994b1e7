-- Grain: one row per night, metric, month of complaint, and horizon whose published final figure is no longer the same.
-- Only what was final can be restated: figures of young months move because time passes.
with

run as (
    select * from {{ source('run', 'current_run') }}
),

batches as (
    select * from {{ source('books', 'batches') }}
    where kind = 'nightly'
),

measured as (
    select
        figures.*,
        cast(figures.member || '-01' as date) as month_on
    from {{ source('outcomes', 'retention_metrics') }} as figures
    where figures.breakdown = 'month'
),

published as (
    select distinct
        measured.as_of,
        measured.batch_id
    from measured
    cross join run
    inner join batches on measured.batch_id = batches.batch_id
    where
        measured.batch_id = run.batch_id
        or (measured.as_of < run.as_of and batches.state = 'published')
),

-- A night beside the one that BI read before it.
nights as (
    select
        published.as_of,
        published.batch_id,
        lag(published.as_of) over (order by published.as_of) as previous_as_of,
        lag(published.batch_id) over (order by published.as_of) as previous_batch_id
    from published
),

compared_nights as (
    select
        nights.*,
        batches.published_at,
        previous.published_at as previous_published_at,
        coalesce(batches.seed_hash, '') <> coalesce(previous.seed_hash, '') as is_rule_version,
        coalesce(batches.code_hash, '') <> coalesce(previous.code_hash, '') as is_code
    from nights
    inner join batches on nights.batch_id = batches.batch_id
    inner join batches as previous on nights.previous_batch_id = previous.batch_id
),

-- Every night since the one before, also those that were never published: what they loaded shows only now.
night_batches as (
    select
        compared_nights.as_of,
        batches.batch_id
    from compared_nights
    inner join batches
        on compared_nights.previous_as_of < batches.as_of and compared_nights.as_of >= batches.as_of
),

past_changes as (
    select
        night_batches.as_of,
        changes.what,
        changes.month_on
    from night_batches
    inner join {{ source('books', 'past_changes') }} as changes on night_batches.batch_id = changes.batch_id
    group by
        night_batches.as_of,
        changes.what,
        changes.month_on
),

deleted as (
    select distinct night_batches.as_of
    from night_batches
    inner join {{ source('books', 'loads') }} as loads on night_batches.batch_id = loads.batch_id
    where loads.keys_deleted > 0
),

set_aside as (
    select night_batches.as_of
    from night_batches
    inner join {{ source('books', 'quarantine') }} as quarantine on night_batches.batch_id = quarantine.batch_id
    union
    select night_batches.as_of
    from night_batches
    inner join {{ source('books', 'quarantine') }} as quarantine
        on night_batches.batch_id = quarantine.released_batch_id
),

erased as (
    select distinct compared_nights.as_of
    from compared_nights
    inner join {{ source('books', 'erasures') }} as erasures
        on
            compared_nights.previous_published_at < erasures.performed_at
            and (compared_nights.published_at is null or compared_nights.published_at >= erasures.performed_at)
),

-- A case that was never solved goes on: its level rises, or it is solved and its window starts anew.
levels_since as (
    select
        levels.valid_from as moved_at,
        {{ month_code('episodes.started_at', "'Europe/Moscow'") }} as member
    from {{ ref('int_episode_levels') }} as levels
    inner join {{ ref('int_episodes') }} as episodes on levels.episode_id = episodes.episode_id
    where levels.valid_from > {{ add_days('episodes.started_at', 28) }}
),

solved_since as (
    select
        anchor_at as moved_at,
        {{ month_code('started_at', "'Europe/Moscow'") }} as member
    from {{ ref('int_repeat_contacts') }}
    where anchor_at > {{ add_days('started_at', 7) }}
),

moves as (
    select
        moved_at,
        member
    from levels_since
    union all
    select
        moved_at,
        member
    from solved_since
),

-- What was final, and what stands there now. A month's figures are final once it is over and everyone is old enough.
paired as (
    select
        compared_nights.as_of,
        compared_nights.previous_as_of,
        compared_nights.is_rule_version,
        compared_nights.is_code,
        earlier.metric,
        earlier.member,
        earlier.month_on,
        earlier.horizon_days,
        earlier.n as n_before,
        later.n as n_after,
        earlier.numerator as numerator_before,
        later.numerator as numerator_after,
        earlier.denominator as denominator_before,
        later.denominator as denominator_after,
        earlier.value as value_before,
        later.value as value_after,
        earlier.refusal_reason as refusal_before,
        case when later.metric is null then 'gone' else later.refusal_reason end as refusal_after
    from compared_nights
    inner join measured as earlier on compared_nights.previous_batch_id = earlier.batch_id
    left join measured as later
        on
            compared_nights.batch_id = later.batch_id
            and earlier.metric = later.metric
            and earlier.member = later.member
            and earlier.level = later.level
            and earlier.segment = later.segment
            and earlier.horizon_days = later.horizon_days
    where
        earlier.level = 'all'
        and earlier.segment = 'all'
        and earlier.n > 0
        and earlier.maturity_status = 'mature'
        and {{ day_start(shift_month('earlier.month_on', 1), "'Europe/Moscow'") }} <= compared_nights.previous_as_of
),

changed as (
    select *
    from paired
    where
        coalesce(refusal_before, '') <> coalesce(refusal_after, '')
        or denominator_before <> denominator_after
        or coalesce(numerator_before, -1) <> coalesce(numerator_after, -1)
        or abs(coalesce(value_before, 0) - coalesce(value_after, 0)) > 0.000000001
),

reasons as (
    select
        changed.*,
        -- Hidden, or shown again, to guard a small cell: nothing was counted anew.
        changed.denominator_before = coalesce(changed.denominator_after, -1)
        and coalesce(changed.refusal_before, '') <> coalesce(changed.refusal_after, '')
        and 'small_cell' in (coalesce(changed.refusal_before, ''), coalesce(changed.refusal_after, ''))
            as is_suppression,
        -- From a month before the complaint, for an earlier contact begins the episode earlier, to when silence
        -- would have shown that the subscriber left.
        exists(
            select 1
            from past_changes
            where
                past_changes.as_of = changed.as_of
                and past_changes.what = 'about_past'
                and past_changes.month_on >= {{ shift_month('changed.month_on', -1) }}
                and past_changes.month_on
                <= {{ shift_day(shift_month('changed.month_on', 1), 'changed.horizon_days + 92') }}
        ) as is_late_data,
        exists(
            select 1
            from moves
            where
                moves.member = changed.member
                and moves.moved_at >= changed.previous_as_of
                and moves.moved_at < changed.as_of
        ) as has_gone_on,
        exists(
            select 1
            from past_changes
            where past_changes.as_of = changed.as_of and past_changes.what = 'merge'
        ) as is_merge,
        deleted.as_of is not null as is_deletion,
        set_aside.as_of is not null as is_quarantine,
        erased.as_of is not null as is_erasure
    from changed
    left join deleted on changed.as_of = deleted.as_of
    left join set_aside on changed.as_of = set_aside.as_of
    left join erased on changed.as_of = erased.as_of
),

explained as (
    select
        reasons.*,
        case
            when is_suppression then 'suppression'
            when is_late_data then 'late_data'
            when has_gone_on then 'case_went_on'
            when is_merge then 'merge'
            when is_deletion then 'deletion'
            when is_quarantine then 'quarantine'
            when is_rule_version then 'rule_version'
            when is_erasure then 'erasure'
            when is_code then 'code'
            else 'unexplained'
        end as reason
    from reasons
)

select
    explained.as_of,
    explained.previous_as_of,
    explained.as_of = run.as_of as is_latest,
    explained.metric,
    explained.member as month,
    explained.horizon_days,
    explained.n_before,
    explained.n_after,
    explained.numerator_before,
    explained.numerator_after,
    explained.denominator_before,
    explained.denominator_after,
    explained.value_before,
    explained.value_after,
    explained.refusal_before,
    explained.refusal_after,
    explained.reason,
    explained.is_suppression,
    explained.is_late_data,
    explained.has_gone_on,
    explained.is_merge,
    explained.is_deletion,
    explained.is_quarantine,
    explained.is_rule_version,
    explained.is_erasure,
    explained.is_code,
    explained.as_of = run.as_of and explained.reason = 'unexplained' as needs_explanation,
    run.batch_id as _batch_id
from explained
cross join run
