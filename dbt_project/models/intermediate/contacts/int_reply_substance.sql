-- Grain: one row per reply that a person of ours wrote (an outbound contact with a text). False is: not found.
-- Replies of one quarter (Moscow) are compared with each other: a later near-duplicate makes an earlier one
-- boilerplate, until the quarter is over; a night computes the quarters of its replies. Bands are grouped, no pairs.
{{ config(**recomputed('int_reply_quarters_touched', 'quarter_on', indexes=[['contact_id']])) }}

with

run as (
    select * from {{ source('run', 'current_run') }}
),

reply_quarters as (
    select * from {{ ref('int_reply_quarters') }}
    where {{ is_touched('int_reply_quarters_touched', 'quarter_on') }}
),

contacts as (
    select * from {{ ref('stg_helpdesk__contacts') }}
),

reply_signals as (
    select * from {{ source('signals', 'reply_signals') }}
),

reply_bands as (
    select * from {{ source('signals', 'reply_bands') }}
),

reply_policy as (
    select * from {{ ref('reply_policy') }}
),

replies as (
    select
        contacts.contact_id,
        contacts.started_at,
        reply_quarters.quarter_on,
        reply_signals.load_id,
        reply_signals.gives_reason,
        reply_signals.states_result
    from reply_quarters
    inner join contacts
        on
            reply_quarters.contact_id = contacts.contact_id
            and reply_quarters.quarter_on = {{ quarter_start('contacts.started_at', "'Europe/Moscow'") }}
    inner join reply_signals
        on contacts.contact_id = reply_signals.contact_id and contacts._load_id = reply_signals.load_id
    cross join run
    where {{ is_visible('contacts.started_at', 'contacts.recorded_at') }}
),

bands as (
    select
        replies.contact_id,
        replies.quarter_on,
        reply_bands.band,
        reply_bands.band_hash
    from replies
    inner join reply_bands
        on replies.contact_id = reply_bands.contact_id and replies.load_id = reply_bands.load_id
),

shared_bands as (
    select
        quarter_on,
        band,
        band_hash,
        count(*) as contacts
    from bands
    group by quarter_on, band, band_hash
    having count(*) > 1
),

likened as (
    select
        bands.contact_id,
        max(shared_bands.contacts) - 1 as other_contacts
    from bands
    inner join shared_bands
        on
            bands.quarter_on = shared_bands.quarter_on
            and bands.band = shared_bands.band
            and bands.band_hash = shared_bands.band_hash
    group by bands.contact_id
)

select
    replies.contact_id,
    replies.quarter_on,
    cast(coalesce(likened.other_contacts, 0) as integer) as near_duplicates,
    coalesce(coalesce(likened.other_contacts, 0) >= reply_policy.boilerplate_other_contacts, false) as is_boilerplate,
    replies.gives_reason,
    replies.states_result
from replies
left join likened on replies.contact_id = likened.contact_id
left join reply_policy on {{ was_valid('reply_policy', 'replies.started_at') }}
