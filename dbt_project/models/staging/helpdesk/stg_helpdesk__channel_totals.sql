-- Grain: one row per day and channel, its latest version.
{{ config(**staged('helpdesk.channel_totals', ['day_on', 'channel'])) }}

with

latest as (
    {{ latest_versions('helpdesk.channel_totals', ['day_on', 'channel']) }}
)

select
    day_on,
    channel,
    contacts,
    updated_at,
    _load_id
from latest
where _op <> 'd'
