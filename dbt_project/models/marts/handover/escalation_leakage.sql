-- Grain: one row per month of the trigger (Moscow), and edge (from, to): how escalations went from hand to hand until
-- they were contacted, closed or lost, and where they ended. Every escalation has exactly one edge to a status.
with

escalations as (
    select
        escalation_id,
        episode_id,
        triggered_at,
        status,
        as_of,
        _batch_id,
        -- After this instant its fate is settled.
        coalesce(
            case
                when status = 'closed_with_reason' then closed_at
                when status = 'lost' then lost_at
                else first_contact_at
            end,
            as_of
        ) as ended_at
    from {{ ref('escalations') }}
),

owners as (
    select
        episode_id,
        valid_from,
        valid_to,
        case
            when owner_kind = 'agent' and is_outsourced then 'agent_of_partner'
            when owner_kind = 'common_queue' and is_outsourced then 'common_queue_of_partner'
            else owner_kind
        end as node
    from {{ ref('int_episode_owners') }}
),

held as (
    select
        escalations.escalation_id,
        escalations.triggered_at,
        escalations.status,
        escalations._batch_id,
        owners.node,
        lead(owners.node) over (partition by escalations.escalation_id order by owners.valid_from) as next_node
    from escalations
    inner join owners
        on
            escalations.episode_id = owners.episode_id
            and (owners.valid_to is null or escalations.triggered_at < owners.valid_to)
            and (escalations.triggered_at >= owners.valid_from or escalations.ended_at >= owners.valid_from)
)

select
    {{ month_start('triggered_at', "'Europe/Moscow'") }} as month_on,
    node as from_node,
    coalesce(next_node, status) as to_node,
    next_node is null as is_end,
    count(*) as moves,
    count(distinct escalation_id) as escalations,
    max(_batch_id) as _batch_id
from held
group by
    {{ month_start('triggered_at', "'Europe/Moscow'") }},
    node,
    coalesce(next_node, status),
    next_node is null
