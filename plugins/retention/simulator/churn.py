"""Leaving, step by step: decisions from hazards, orders and ports, silence, involuntary ends, returns."""

import numpy as np

from retention.simulator import population
from retention.simulator.codes import ACTIVE, EVENT, NA, ORGANISATION, REGION_SHIFT, SUSPENDED, Array, Ints
from retention.simulator.parameters import DAY, PORT_DAYS
from retention.simulator.state import GONE, NEVER, PAUSED, PRESENT, SILENT, Stream, World, pick

# subs.order
NO_ORDER, PORT, DISCONNECT = range(3)
# decisions.kind; the involuntary kinds follow
DECISION_KINDS = ("port", "disconnect", "inactivity", "debt", "fraud", "death", "liquidation", "technical")
PORTED, DISCONNECTED, INACTIVE, DEBT, FRAUD, DEATH, LIQUIDATION, TECHNICAL = range(8)
# decisions.outcome; subs.order_outcome
DECISION_OUTCOMES = ("pending", "left", "cancelled", "refused", "superseded")
AWAITED, LEFT, CANCELLED, REFUSED, SUPERSEDED = range(5)
# subs.suspension
OWN_WISH, DEBT_BLOCK = 1, 2
SILENT_DAYS_TO_TERMINATION = 180


def step(world: World) -> None:
    """One day of leaving and coming back."""
    rng = world.rng(Stream.CHURN)
    _return(world, rng)
    _end_orders(world, rng)
    _end_suspensions(world, rng)
    _end_silence(world, rng)
    _involuntary(world, rng)
    _decide(world, rng)
    _administer(world, rng)


def stable(world: World) -> Ints:
    """Subscriptions in ordinary use since before today: present, not suspended, no order pending."""
    subs = world.subs
    return np.flatnonzero(
        (subs["presence"] == PRESENT)
        & (subs["status"] == ACTIVE)
        & (subs["order"] == NO_ORDER)
        & (subs["activated_at"] < world.start)
    )


def multipliers(world: World) -> Array:
    """Hazard multiplier of every subscription at the start of the day, from its grievance and pilot."""
    subs, cases = world.subs, world.cases
    effects, pilots = world.parameters.grievance, world.parameters.pilots
    result = np.ones(len(subs))
    if pilots.loyalty_day < world.day <= pilots.loyalty_day + pilots.loyalty_days:
        result[subs["loyalty_arm"] == 1] = pilots.hr_loyalty
    holders = np.flatnonzero(subs["case"] >= 0)
    case = subs["case"][holders]
    is_open = cases["grievance_until"][case] > world.start
    holders, case = holders[is_open], case[is_open]
    ratio = effects.hr_complaint * np.asarray(effects.hr_difficulty)[cases["difficulty"][case]]
    ratio *= np.asarray(effects.hr_vendor)[cases["vendor"][case] + 1]
    ratio[cases["handled"][case] <= 1] *= effects.hr_contact_in_time
    ratio[cases["repeats"][case] > 0] *= effects.hr_repeat
    is_broken = (cases["promise"][case] == 0) & (cases["promise_due_at"][case] < world.start)
    ratio[is_broken] *= effects.hr_broken_promise
    result[holders] *= ratio
    return result


def _record(world: World, subs: Ints, kind: Array | int, at: Ints, outcome: int, multiplier: Array | float = 1.0,
            churned_at: Ints | int = NA) -> None:  # fmt: skip
    """A row of the truth. An order still pending is overtaken by whatever ends the subscription now."""
    earlier = world.subs["decision"][subs]
    earlier = earlier[(earlier >= 0)]
    overtaken = earlier[world.decisions["outcome"][earlier] == AWAITED]
    world.decisions["outcome"][overtaken] = SUPERSEDED
    case = world.subs["case"][subs].astype(np.int64)
    in_grievance = case >= 0
    in_grievance[in_grievance] = world.cases["grievance_until"][case[in_grievance]] > world.start
    rows = world.decisions.append(
        len(subs), sub=subs, kind=kind, decided_at=at, outcome=outcome, churned_at=churned_at,
        case=np.where(in_grievance, case, NA), multiplier=multiplier,
    )  # fmt: skip
    world.subs["decision"][subs] = rows


def _decide(world: World, rng: np.random.Generator) -> None:
    subs, parameters = world.subs, world.parameters.decisions
    multiplier = multipliers(world)
    draws = rng.random(len(subs))
    candidates = stable(world)
    leaving = candidates[draws[candidates] < subs["hazard"][candidates] * multiplier[candidates]]
    count = len(leaving)
    shares = np.cumsum(np.asarray(parameters.kind_shares), axis=1)[subs["product"][leaving]]
    kind = (rng.random(count)[:, None] > shares).sum(axis=1).clip(0, 2)
    at = world.local_time(rng, subs["region"][leaving])
    _port(world, rng, leaving[kind == PORTED], at[kind == PORTED], multiplier)
    _disconnect(world, rng, leaving[kind == DISCONNECTED], at[kind == DISCONNECTED], multiplier)
    _fall_silent(world, rng, leaving[kind == INACTIVE], multiplier)


def _port(world: World, rng: np.random.Generator, subs: Ints, at: Ints, multiplier: Array) -> None:
    count = len(subs)
    outcome = LEFT + (rng.random(count)[:, None] > np.cumsum(world.parameters.decisions.port_outcomes)).sum(axis=1)
    planned = (at // DAY + PORT_DAYS) * DAY + rng.integers(1 * 3600, 6 * 3600, count)
    # Not before tomorrow: today's orders are entered after today's ends.
    early = np.maximum(at + (rng.uniform(0.3, 6.0, count) * DAY).astype(np.int64), world.start + DAY + 7200)
    _order(world, rng, subs, at, PORT, "port_request", planned, np.where(outcome == LEFT, planned, early), outcome)
    _record(world, subs, PORTED, at, AWAITED, multiplier[subs])


def _disconnect(world: World, rng: np.random.Generator, subs: Ints, at: Ints, multiplier: Array) -> None:
    count = len(subs)
    is_withdrawn = rng.random(count) > world.parameters.decisions.disconnect_outcomes[0]
    outcome = np.where(is_withdrawn, CANCELLED, LEFT)
    planned = (at // DAY + rng.integers(2, 21, count)) * DAY
    early = np.maximum(at + (rng.uniform(0.1, 0.9, count) * (planned - at)).astype(np.int64), world.start + DAY + 7200)
    end = np.where(is_withdrawn, early, planned)
    _order(world, rng, subs, at, DISCONNECT, "disconnect_order", planned, end, outcome)
    _record(world, subs, DISCONNECTED, at, AWAITED, multiplier[subs])


def _order(world: World, rng: np.random.Generator, subs: Ints, at: Ints, order: int, kind: str, planned: Ints,
           end: Ints, outcome: Array) -> None:  # fmt: skip
    ids = world.ids("order", len(subs))
    columns = world.subs
    columns["order"][subs] = order
    columns["order_id"][subs] = ids
    columns["order_end_at"][subs] = end
    columns["order_outcome"][subs] = outcome
    population.log(world, rng, subs, kind, at, ids, planned)


def _fall_silent(world: World, rng: np.random.Generator, subs: Ints, multiplier: Array) -> None:
    """Prepaid: no word, just no revenue from today on. Left at 00:00 after the last revenue day."""
    columns = world.subs
    last = columns["last_revenue_at"][subs]
    # Nobody who never spent anything: the last day of use would be unknown.
    has_spent = last != NA
    subs, last = subs[has_spent], last[has_spent]
    columns["presence"][subs] = SILENT
    columns["silent_day"][subs] = world.day
    columns["quit_day"][subs] = world.day + SILENT_DAYS_TO_TERMINATION + rng.integers(0, 20, len(subs))
    returns = rng.random(len(subs)) < world.parameters.decisions.return_share_after_inactivity
    columns["return_day"][subs[returns]] = world.day + rng.integers(95, 170, int(returns.sum()))
    # Local midnight; usage happens on the same date in Moscow and in the region.
    midnight = (last // DAY + 1) * DAY - REGION_SHIFT[columns["region"][subs]]
    _record(world, subs, INACTIVE, np.full(len(subs), world.start), LEFT, multiplier[subs], midnight)


def _end_orders(world: World, rng: np.random.Generator) -> None:
    subs = world.subs
    ending = np.flatnonzero((subs["order"] != NO_ORDER) & (subs["order_end_at"] < world.start + DAY))
    for order, outcome, kind in (
        (PORT, LEFT, "port_completed"), (PORT, CANCELLED, "port_cancelled"), (PORT, REFUSED, "port_refused"),
        (DISCONNECT, LEFT, "disconnect_effective"), (DISCONNECT, CANCELLED, "disconnect_withdrawn"),
    ):  # fmt: skip
        chosen = ending[(subs["order"][ending] == order) & (subs["order_outcome"][ending] == outcome)]
        at = subs["order_end_at"][chosen]
        population.log(world, rng, chosen, kind, at, subs["order_id"][chosen])
        decision = subs["decision"][chosen]
        world.decisions["outcome"][decision] = outcome
        if outcome == LEFT:
            world.decisions["churned_at"][decision] = at
            returns = rng.random(len(chosen)) < world.parameters.decisions.return_share_after_order
            subs["return_day"][chosen[returns]] = world.day + rng.integers(15, 170, int(returns.sum()))
            population.terminate(world, chosen, at)
            continue
        subs["order"][chosen] = NO_ORDER
        # Whoever stays after all is appeased.
        case = subs["case"][chosen]
        world.cases["grievance_until"][case[case >= 0]] = world.start
        if outcome == REFUSED:
            _suspend(world, rng, chosen, at + 600, DEBT_BLOCK)


def _suspend(world: World, rng: np.random.Generator, subs: Ints, at: Ints, reason: int) -> None:
    columns = world.subs
    columns["status"][subs] = SUSPENDED
    columns["suspension"][subs] = reason
    low, high = (20, 60) if reason == OWN_WISH else (12, 25)
    columns["suspended_until"][subs] = world.day + rng.integers(low, high, len(subs))
    columns["updated_at"][subs] = at + 60
    population.log(world, rng, subs, "suspension", at)


def _end_suspensions(world: World, rng: np.random.Generator) -> None:
    subs = world.subs
    ending = np.flatnonzero(subs["suspended_until"] == world.day)
    at = world.start + rng.integers(6 * 3600, 20 * 3600, len(ending))
    share = world.parameters.involuntary.debt_after_suspension_share
    is_cut = (subs["suspension"][ending] == DEBT_BLOCK) & (rng.random(len(ending)) < share)
    _cut(world, rng, ending[is_cut], at[is_cut], "debt", DEBT)
    back, at = ending[~is_cut], at[~is_cut]
    subs["status"][back] = ACTIVE
    subs["suspended_until"][back] = NEVER
    subs["must_spend"][back] = 1
    subs["updated_at"][back] = at + 60
    population.log(world, rng, back, "resumption", at)


def _cut(world: World, rng: np.random.Generator, subs: Ints, at: Ints, event: str, kind: int) -> None:
    """The operator (or fate) ends the service: a competing event."""
    _record(world, subs, kind, at, LEFT, 1.0, at)
    population.log(world, rng, subs, event, at)
    population.terminate(world, subs, at)


def _end_silence(world: World, rng: np.random.Generator) -> None:
    subs = world.subs
    back = np.flatnonzero(subs["pause_until"] == world.day)
    subs["presence"][back] = PRESENT
    subs["pause_until"][back] = NEVER
    subs["must_spend"][back] = 1
    # Silent for half a year: the operator takes the line down. The subscriber left long before.
    over = np.flatnonzero(subs["quit_day"] == world.day)
    at = world.start + rng.integers(1 * 3600, 5 * 3600, len(over))
    population.log(world, rng, over, "technical", at)
    population.terminate(world, over, at)


def _return(world: World, rng: np.random.Generator) -> None:
    subs = world.subs
    back = np.flatnonzero(subs["return_day"] == world.day)
    at = world.start + rng.integers(8 * 3600, 20 * 3600, len(back))
    gone = subs["presence"][back] == GONE
    population.restore_numbers(world, back[gone], at[gone])
    world.decisions["returned_at"][subs["decision"][back]] = at
    subs["presence"][back] = PRESENT
    subs["status"][back] = ACTIVE
    subs["terminated_at"][back] = NA
    subs["updated_at"][back] = at + 180
    subs["must_spend"][back] = 1
    for name in ("return_day", "quit_day", "silent_day"):
        subs[name][back] = NEVER
    subs["case"][back] = -1
    population.log(world, rng, back, "reactivation", at)


def _involuntary(world: World, rng: np.random.Generator) -> None:
    subs, yearly = world.subs, world.parameters.involuntary
    organisation = world.parties["kind"] == ORGANISATION
    for event, kind, share in (("fraud", FRAUD, yearly.fraud), ("technical", TECHNICAL, yearly.technical)):
        chosen = pick(rng, stable(world), share / 365)
        _cut(world, rng, chosen, _daytime(world, rng, chosen), event, kind)
    chosen = pick(rng, stable(world), yearly.death / 365)
    chosen = chosen[~organisation[subs["party"][chosen]]]
    _cut(world, rng, chosen, _daytime(world, rng, chosen), "death", DEATH)
    bankrupt = pick(rng, np.flatnonzero(organisation), yearly.liquidation / 365)
    if len(bankrupt):
        chosen = np.flatnonzero(np.isin(subs["party"], bankrupt))
        usable = (subs["presence"][chosen] != GONE) & (subs["activated_at"][chosen] < world.start)
        chosen = chosen[usable & (subs["presence"][chosen] != SILENT)]
        _cut(world, rng, chosen, _daytime(world, rng, chosen), "liquidation", LIQUIDATION)
    candidates = stable(world)
    owing = pick(rng, candidates[subs["product"][candidates] == 1], yearly.debt_suspension / 365)
    _suspend(world, rng, owing, _daytime(world, rng, owing), DEBT_BLOCK)


def _administer(world: World, rng: np.random.Generator) -> None:
    subs, yearly = world.subs, world.parameters.administration
    for event, share in (("plan_change", yearly.plan_change), ("migration", yearly.migration)):
        chosen = pick(rng, stable(world), share / 365)
        at = _daytime(world, rng, chosen)
        population.change_plans(world, rng, chosen, at)
        population.log(world, rng, chosen, event, at)
    chosen = pick(rng, stable(world), yearly.sim_swap / 365)
    population.log(world, rng, chosen, "sim_swap", _daytime(world, rng, chosen))
    chosen = pick(rng, stable(world), yearly.transfer / 365)
    at = _daytime(world, rng, chosen)
    subs["party"][chosen] = population.add_parties(world, rng, np.zeros(len(chosen), np.int8), at - 600)
    subs["updated_at"][chosen] = at + 60
    population.log(world, rng, chosen, "transfer", at)
    chosen = pick(rng, stable(world), yearly.voluntary_suspension / 365)
    _suspend(world, rng, chosen, _daytime(world, rng, chosen), OWN_WISH)
    candidates = stable(world)
    away = pick(rng, candidates[subs["product"][candidates] == 0], yearly.pause / 365)
    subs["presence"][away] = PAUSED
    subs["pause_until"][away] = world.day + rng.integers(15, 60, len(away))


def _daytime(world: World, rng: np.random.Generator, subs: Ints) -> Ints:
    at: Ints = world.start + rng.integers(9 * 3600, 21 * 3600, len(subs))
    return at


assert set(DECISION_KINDS[DEBT:]) <= set(EVENT)
