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

-- What earlier nights told stays as they told it: they are not compared again, nor judged by what is known today.
told as (
    select * from {{ source('outcomes', 'restatements_told') }}
),

published_before as (
    select max(batches.as_of) as as_of
    from batches
    cross join run
    where batches.state = 'published' and batches.as_of < run.as_of
),

-- Tonight beside the night that BI read before it.
night as (
    select
        run.as_of,
        run.batch_id,
        previous.as_of as previous_as_of,
        previous.batch_id as previous_batch_id,
        batches.published_at,
        previous.published_at as previous_published_at,
        coalesce(batches.seed_hash, '') <> coalesce(previous.seed_hash, '') as is_rule_version,
        coalesce(batches.code_hash, '') <> coalesce(previous.code_hash, '') as is_code
    from run
    inner join batches on run.batch_id = batches.batch_id
    cross join published_before
    inner join batches as previous on published_before.as_of = previous.as_of and previous.state = 'published'
),

compared_nights as (
    select
        as_of,
        batch_id
    from night
    union all
    select
        previous_as_of as as_of,
        previous_batch_id as batch_id
    from night
),

measured as (
    select
        figures.*,
        cast(figures.member || '-01' as date) as month_on
    from compared_nights
    inner join {{ source('outcomes', 'retention_metrics') }} as figures
        on compared_nights.as_of = figures.as_of and compared_nights.batch_id = figures.batch_id
    where figures.breakdown = 'month' and figures.level = 'all' and figures.segment = 'all'
),

-- Every night since the one before, also those that were never published: what they loaded shows only now.
night_batches as (
    select batches.batch_id
    from night
    inner join batches on night.previous_as_of < batches.as_of and night.as_of >= batches.as_of
),

past_changes as (
    select
        changes.what,
        changes.month_on
    from night_batches
    inner join {{ source('books', 'past_changes') }} as changes on night_batches.batch_id = changes.batch_id
    group by changes.what, changes.month_on
),

deleted as (
    select count(*) as n
    from night_batches
    inner join {{ source('books', 'loads') }} as loads on night_batches.batch_id = loads.batch_id
    where loads.keys_deleted > 0
),

set_aside as (
    select count(*) as n
    from night_batches
    inner join {{ source('books', 'quarantine') }} as quarantine
        on night_batches.batch_id in (quarantine.batch_id, quarantine.released_batch_id)
),

erased as (
    select count(*) as n
    from night
    inner join {{ source('books', 'erasures') }} as erasures
        on
            night.previous_published_at < erasures.performed_at
            and (night.published_at is null or night.published_at >= erasures.performed_at)
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

months_moved as (
    select distinct moves.member
    from night
    inner join moves on night.previous_as_of <= moves.moved_at and night.as_of > moves.moved_at
),

-- What was final, and what stands there now. A month's figures are final once it is over and everyone is old enough.
paired as (
    select
        night.as_of,
        night.previous_as_of,
        night.is_rule_version,
        night.is_code,
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
    from night
    inner join measured as earlier
        on night.previous_batch_id = earlier.batch_id and night.previous_as_of = earlier.as_of
    left join measured as later
        on
            night.batch_id = later.batch_id
            and night.as_of = later.as_of
            and earlier.metric = later.metric
            and earlier.member = later.member
            and earlier.horizon_days = later.horizon_days
    where
        earlier.n > 0
        and earlier.maturity_status = 'mature'
        and {{ day_start(shift_month('earlier.month_on', 1), "'Europe/Moscow'") }} <= night.previous_as_of
),

-- rests_on: the months of what the figure rests on. From the one before the complaint, for an earlier contact begins
-- the episode earlier, to the end of the horizon; beyond it where silence proves a departure, or the window begins
-- when the case is solved.
changed as (
    select
        paired.*,
        {{ shift_month('month_on', -1) }} as rests_on_from,
        {{ shift_day(
            shift_month('month_on', 1),
            "horizon_days + case"
            " when metric in ('share_left_any', 'survival', 'silent_30d', 'silent_30d_conversion', 'silent_at_complaint',"
            " 'share_left_any_not_silent', 'left_after_survey') then 92"
            " when metric in ('repeat_contact_rate', 'first_contact_resolution') then 28 else 0 end"
        ) }} as rests_on_to
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
        exists(
            select 1
            from past_changes
            where
                past_changes.what = 'about_past'
                and past_changes.month_on >= changed.rests_on_from
                and past_changes.month_on < changed.rests_on_to
        ) as is_late_data,
        months_moved.member is not null as has_gone_on,
        exists(
            select 1
            from past_changes
            where
                past_changes.what = 'merge'
                and past_changes.month_on >= changed.rests_on_from
                and past_changes.month_on < changed.rests_on_to
        ) as is_merge,
        deleted.n > 0 as is_deletion,
        set_aside.n > 0 as is_quarantine,
        erased.n > 0 as is_erasure
    from changed
    left join months_moved on changed.member = months_moved.member
    cross join deleted
    cross join set_aside
    cross join erased
),

-- What was changed on purpose explains a whole night; rows that came late only what they touch.
explained as (
    select
        reasons.*,
        case
            when is_suppression then 'suppression'
            when is_rule_version then 'rule_version'
            when is_code then 'code'
            when is_late_data then 'late_data'
            when has_gone_on then 'case_went_on'
            when is_merge then 'merge'
            when is_deletion then 'deletion'
            when is_quarantine then 'quarantine'
            when is_erasure then 'erasure'
            else 'unexplained'
        end as reason
    from reasons
)

select
    explained.as_of,
    explained.previous_as_of,
    true as is_latest,
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
    explained.is_rule_version,
    explained.is_code,
    explained.is_late_data,
    explained.has_gone_on,
    explained.is_merge,
    explained.is_deletion,
    explained.is_quarantine,
    explained.is_erasure,
    explained.reason = 'unexplained' as needs_explanation,
    run.batch_id as _batch_id
from explained
cross join run
union all
select
    told.as_of,
    told.previous_as_of,
    false as is_latest,
    told.metric,
    told.month,
    told.horizon_days,
    told.n_before,
    told.n_after,
    told.numerator_before,
    told.numerator_after,
    told.denominator_before,
    told.denominator_after,
    told.value_before,
    told.value_after,
    told.refusal_before,
    told.refusal_after,
    told.reason,
    told.is_suppression,
    told.is_rule_version,
    told.is_code,
    told.is_late_data,
    told.has_gone_on,
    told.is_merge,
    told.is_deletion,
    told.is_quarantine,
    told.is_erasure,
    false as needs_explanation,
    run.batch_id as _batch_id
from told
inner join run on told.as_of < run.as_of
