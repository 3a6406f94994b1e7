-- Grain: one row per clock of a vendor: end to end (one per episode that a vendor got), and from each vendor's receipt.
-- The receipt is what the vendor says, else the hand-over to a team of its own. A vendor who called before it says it
-- had received the case had received it when it called.
{{ config(**recomputed('int_subjects_touched', 'subject_id')) }}

with

run as (
    select * from {{ source('run', 'current_run') }}
),

episodes as (
    select * from {{ ref('int_episodes') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

episode_contacts as (
    select * from {{ ref('int_episode_contacts') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

contacts as (
    select * from {{ ref('int_contacts_linked') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

reaches as (
    select * from {{ ref('int_first_contacts') }}
    where {{ is_touched('int_subjects_touched', 'subject_id') }}
),

resolved as (
    select * from {{ ref('int_contacts_resolved') }}
    where is_authorised and {{ is_touched('int_subjects_touched', 'subject_id') }}
),

owners as (
    select * from {{ ref('int_episode_owners') }}
    where is_outsourced and {{ is_touched('int_subjects_touched', 'subject_id') }}
),

attempts as (
    select staged.*
    from {{ ref('stg_vendor__call_attempts') }} as staged
    cross join run
    where {{ is_visible('staged.attempted_at', 'staged.recorded_at') }}
),

episode_tickets as (
    select
        episode_contacts.episode_id,
        contacts.ticket_id
    from episode_contacts
    inner join contacts on episode_contacts.contact_id = contacts.contact_id
    where contacts.ticket_id is not null
    union
    select
        episode_contacts.episode_id,
        contacts.root_ticket_id as ticket_id
    from episode_contacts
    inner join contacts on episode_contacts.contact_id = contacts.contact_id
    where contacts.root_ticket_id is not null
),

said as (
    select
        episode_tickets.episode_id,
        attempts.vendor_id,
        min(attempts.received_at) as received_at,
        min(attempts.attempted_at) as attempted_at
    from episode_tickets
    inner join episodes on episode_tickets.episode_id = episodes.episode_id
    -- A ticket that outlived an episode had its own calls then.
    inner join attempts
        on
            episode_tickets.ticket_id = attempts.ticket_id
            and episodes.started_at <= attempts.attempted_at
            and (episodes.closes_at is null or episodes.closes_at > attempts.attempted_at)
    group by episode_tickets.episode_id, attempts.vendor_id
),

turns as (
    select
        owners.*,
        row_number() over (partition by episode_id, vendor_id order by valid_from) as turn
    from owners
),

-- The first time that each vendor owned it, and the team that did.
assigned as (
    select * from turns
    where turn = 1
),

receipts as (
    select
        coalesce(said.episode_id, assigned.episode_id) as episode_id,
        coalesce(said.vendor_id, assigned.vendor_id) as vendor_id,
        assigned.team_id,
        coalesce(said.received_at, assigned.valid_from, said.attempted_at) as received_at,
        said.attempted_at
    from said
    full outer join assigned
        on said.episode_id = assigned.episode_id and said.vendor_id = assigned.vendor_id
),

clamped as (
    select
        receipts.episode_id,
        receipts.vendor_id,
        receipts.team_id,
        greatest(
            episodes.started_at,
            least(receipts.received_at, coalesce(receipts.attempted_at, receipts.received_at))
        ) as received_at,
        receipts.received_at < episodes.started_at
        or coalesce(receipts.attempted_at < receipts.received_at, false) as is_skewed,
        row_number() over (
            partition by receipts.episode_id order by receipts.received_at, receipts.vendor_id
        ) as vendor_number
    from receipts
    inner join episodes on receipts.episode_id = episodes.episode_id
),

starts as (
    select
        'vendor_first_contact' as clock,
        clamped.episode_id as clock_of,
        clamped.episode_id,
        clamped.team_id,
        clamped.vendor_id,
        episodes.started_at,
        false as is_skewed
    from clamped
    inner join episodes on clamped.episode_id = episodes.episode_id
    where clamped.vendor_number = 1
    union all
    select
        'vendor_only_first_contact' as clock,
        clamped.episode_id || '|' || clamped.vendor_id as clock_of,
        clamped.episode_id,
        clamped.team_id,
        clamped.vendor_id,
        clamped.received_at as started_at,
        clamped.is_skewed
    from clamped
),

-- At the receipt itself: a call that was clamped to it.
later_reaches as (
    select
        starts.clock,
        starts.clock_of,
        reaches.contact_id,
        reaches.attempt_id,
        reaches.reached_at,
        row_number() over (
            partition by starts.clock, starts.clock_of order by reaches.reached_at, reaches.reach_id
        ) as reach_number
    from starts
    inner join reaches
        on
            starts.episode_id = reaches.episode_id
            and (
                starts.started_at < reaches.reached_at
                or (starts.clock = 'vendor_only_first_contact' and starts.started_at = reaches.reached_at)
            )
)

select
    starts.clock,
    starts.clock_of,
    starts.episode_id,
    episodes.subject_id,
    episodes.first_ticket_id as ticket_id,
    episodes.first_contact_id as contact_id,
    cast(null as text) as level,
    cast(null as integer) as level_rank,
    starts.team_id,
    starts.vendor_id,
    starts.started_at,
    case when starts.clock = 'vendor_first_contact' then contacts.recorded_at else starts.started_at end as detected_at,
    later_reaches.reached_at as stopped_at,
    later_reaches.contact_id as stop_contact_id,
    later_reaches.attempt_id as stop_attempt_id,
    cast(null as text) as exclusion_reason,
    resolved.contact_id is not null as resolved_on_trigger,
    starts.is_skewed
from starts
inner join episodes on starts.episode_id = episodes.episode_id
left join contacts on episodes.first_contact_id = contacts.contact_id
left join later_reaches
    on
        starts.clock = later_reaches.clock
        and starts.clock_of = later_reaches.clock_of
        and later_reaches.reach_number = 1
left join resolved on episodes.first_contact_id = resolved.contact_id
