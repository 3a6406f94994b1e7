"""Who the subscribers are: parties, subscriptions, numbers, consents; the stock at the start and the daily arrivals."""

import numpy as np

from retention.simulator import texts
from retention.simulator.codes import (
    EVENT,
    NA,
    ORGANISATION,
    PERSON,
    PLAN_FEE,
    PLAN_PRODUCT,
    REGION_SHARE,
    TERMINATED,
    Array,
    Ints,
)
from retention.simulator.parameters import DAY
from retention.simulator.state import GONE, NEVER, Stream, World, pick

# A bijection of 0..10^9-1, so that numbers look random and never collide.
_STEP, _NUMBERS = 387_420_489, 10**9
QUARANTINE_DAYS = 60
REUSED_SHARE = 0.4


def found(world: World) -> None:
    """The stock on day 0: years of history before the simulation, up to the wanted number of subscriptions."""
    rng = world.rng(Stream.FOUNDATION)
    wanted = world.subscribers
    is_organisation = rng.random(wanted) < 0.01
    sizes = np.where(
        is_organisation,
        np.minimum(2 + rng.geometric(0.08, wanted), max(3, wanted // 20)),
        1 + (rng.random(wanted) < 0.12) + (rng.random(wanted) < 0.03),
    )
    parties = int(np.searchsorted(np.cumsum(sizes), wanted)) + 1
    since = -(rng.exponential(3 * 365, parties).clip(1, 7 * 365) * DAY).astype(np.int64)
    owners = add_parties(world, rng, is_organisation[:parties].astype(np.int8), since)
    owner = np.repeat(owners, sizes[:parties])[:wanted]
    # A party's contracts come one after the other, between its first and now.
    begins = world.parties["updated_at"][owner]
    is_first = np.append(True, owner[1:] != owner[:-1])
    activated = np.where(is_first, begins, (begins * rng.random(wanted)).astype(np.int64) - 3600)
    _add_subscriptions(world, rng, owner, activated)


def arrive(world: World) -> None:
    """New subscriptions of the day: mostly new people, some further contracts of known parties."""
    rng = world.rng(Stream.ARRIVALS)
    count = int(rng.poisson(world.subscribers * world.parameters.arrivals_per_year / 365))
    if count == 0:
        return
    is_known = rng.random(count) < 0.12
    kind = np.where(rng.random(count) < 0.01, ORGANISATION, PERSON)
    at = world.start + rng.integers(7 * 3600, 21 * 3600, count)
    owner = np.empty(count, np.int64)
    owner[is_known] = rng.integers(0, len(world.parties), int(is_known.sum()))
    owner[~is_known] = add_parties(world, rng, kind[~is_known].astype(np.int8), at[~is_known])
    _add_subscriptions(world, rng, owner, at)


def withdraw_consents(world: World) -> None:
    """A few parties a day take a consent back."""
    rng = world.rng(Stream.CONSENTS)
    consents = world.consents
    share = world.parameters.administration.consent_withdrawal / 365
    chosen = pick(rng, np.arange(len(consents), dtype=np.int64), share)
    chosen = chosen[(consents["withdrawn_at"][chosen] == NA) & (consents["granted_at"][chosen] < world.start)]
    at = world.start + rng.integers(8 * 3600, 22 * 3600, len(chosen))
    consents["withdrawn_at"][chosen] = at
    consents["updated_at"][chosen] = at + 60


def add_parties(world: World, rng: np.random.Generator, kind: Array, at: Ints) -> Ints:
    """New parties with their consents."""
    count = len(kind)
    segment = np.where(kind == ORGANISATION, 2, rng.random(count) < 0.07)
    parties = world.parties.append(
        count,
        kind=kind,
        segment=segment,
        region=rng.choice(len(REGION_SHARE), count, p=REGION_SHARE),
        language=rng.random(count) < 0.2,
        name=rng.integers(0, texts.NAMES, count),
        is_staff=(rng.random(count) < 0.006) & (kind == PERSON),
        is_test=(rng.random(count) < 0.001) & (kind == PERSON),
        updated_at=at,
    )
    for code, share in enumerate((0.70, 0.60, 0.97)):
        granted = parties[rng.random(count) < share]
        since = world.parties["updated_at"][granted]
        world.consents.append(len(granted), party=granted, kind=code, granted_at=since, updated_at=since + 60)
    return parties


def _add_subscriptions(world: World, rng: np.random.Generator, owner: Ints, at: Ints) -> None:
    count = len(owner)
    decisions = world.parameters.decisions
    segment = world.parties["segment"][owner]
    product = (rng.random(count) > np.array([0.66, 0.25, 0.15])[segment]).astype(np.int8)
    plan = _plans(rng, product, segment)
    z = rng.standard_normal(count)
    # E[exp(b z)] = exp(b^2 / 2): divided out, so that the base hazard is the mean.
    frailty = np.exp(decisions.frailty_log_hr * z - decisions.frailty_log_hr**2 / 2)
    rate = np.where(product == 1, 0.5, rng.beta(2, 3, count) * 0.6 + 0.13)
    subs = world.subs.append(
        count,
        party=owner,
        segment=segment,
        product=product,
        plan=plan,
        region=world.parties["region"][owner],
        activated_at=at,
        updated_at=at + 120,
        z=z,
        hazard=np.asarray(decisions.base_hazard_per_year)[segment, product] * frailty / 365,
        rate=rate,
        spend=PLAN_FEE[plan] * np.exp(0.5 * rng.standard_normal(count)) / (30 * rate),
        # Whoever is new uses the line at once.
        must_spend=at >= 0,
    )
    give_numbers(world, rng, subs, at)
    log(world, rng, subs, "activation", at)


def _plans(rng: np.random.Generator, product: Array, segment: Array) -> Ints:
    prepaid, postpaid = np.flatnonzero(PLAN_PRODUCT == 0), np.flatnonzero(PLAN_PRODUCT == 1)
    drawn = np.where(
        product == 0, prepaid[rng.integers(0, len(prepaid), len(product))], postpaid[rng.integers(0, 3, len(product))]
    )
    return np.where((segment == 2) & (product == 1), postpaid[3], drawn).astype(np.int64)


def change_plans(world: World, rng: np.random.Generator, subs: Ints, at: Ints) -> None:
    """A new plan of the same product."""
    world.subs["plan"][subs] = _plans(rng, world.subs["product"][subs], world.subs["segment"][subs])
    world.subs["updated_at"][subs] = at + 60


def give_numbers(world: World, rng: np.random.Generator, subs: Ints, at: Ints) -> None:
    """A phone number for each subscription: some from those long free, the others new."""
    head = world.counters["pool_head"]
    free = int(np.searchsorted(world.pool["free_day"][head:], world.day, side="right"))
    reused = min(free, int(rng.binomial(len(subs), REUSED_SHARE)))
    world.counters["pool_head"] = head + reused
    fresh = world.ids("number", len(subs) - reused)
    if len(fresh) and fresh[-1] >= _NUMBERS:
        raise ValueError(f"{world.counters['number']} numbers wanted, +79XXXXXXXXX has {_NUMBERS}: simulate fewer")
    numbers = np.concatenate([world.pool["msisdn"][head : head + reused], (fresh * _STEP + world.seed) % _NUMBERS])
    _open_periods(world, subs, numbers, at)


def restore_numbers(world: World, subs: Ints, at: Ints) -> None:
    """Those who come back get the number that was kept for them."""
    _open_periods(world, subs, world.subs["msisdn"][subs], at)


def _open_periods(world: World, subs: Ints, numbers: Ints, at: Ints) -> None:
    periods = world.periods.append(len(subs), msisdn=numbers, sub=subs, valid_from=at, updated_at=at + 120)
    world.subs["period"][subs] = periods
    world.subs["msisdn"][subs] = numbers


def log(world: World, rng: np.random.Generator, subs: Ints, kind: str, at: Ints, order: Ints | int = NA,
        effective_at: Ints | int = NA) -> None:  # fmt: skip
    """Rows of crm.subscription_events. Facts that start with the operator's own entry are written within hours."""
    may_be_late = kind not in ("port_request", "disconnect_order", "activation")
    recorded = world.written(rng, at, may_be_late)
    world.outbox.add(
        "subscription_events", recorded, world.day,
        subscription_event_id=world.ids("event", len(subs)), subscription_id=subs, kind=EVENT[kind], order_id=order,
        event_at=at, effective_at=effective_at, recorded_at=recorded,
    )  # fmt: skip


def terminate(world: World, subs: Ints, at: Ints) -> None:
    """Ends subscriptions in the CRM; numbers of those who will not come back go to the pool."""
    columns = world.subs
    periods = columns["period"][subs]
    columns["presence"][subs] = GONE
    columns["status"][subs] = TERMINATED
    columns["terminated_at"][subs] = at
    columns["updated_at"][subs] = at + 60
    columns["order"][subs] = 0
    for name in ("suspended_until", "pause_until", "quit_day"):
        columns[name][subs] = NEVER
    world.periods["valid_to"][periods] = at
    world.periods["updated_at"][periods] = at + 60
    lost = subs[columns["return_day"][subs] == NEVER]
    world.pool.append(len(lost), msisdn=columns["msisdn"][lost], free_day=world.day + QUARANTINE_DAYS)
