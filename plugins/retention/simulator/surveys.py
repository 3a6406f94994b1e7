"""Opinions: surveys after a case and at random, quality audits, public reviews."""

import numpy as np

from retention.simulator import texts
from retention.simulator.codes import (
    CSAT,
    NA,
    RELATIONAL_NPS,
    SITES,
    TRANSACTIONAL_NPS,
    Array,
    Ints,
)
from retention.simulator.parameters import DAY
from retention.simulator.state import PRESENT, Stream, World, pick

INVITED_SHARE, AUDITED_SHARE, ANSWERED_SHARE = 0.6, 0.08, 0.28
CSAT_SCALE, NPS_SCALE, REVERSED_SCALE = range(3)


def after_resolution(world: World, rng: np.random.Generator, cases: Ints, tickets: Ints, resolved_at: Ints) -> None:
    """Invitations for some resolved cases and audits of a few; answers follow what the case was really like."""
    columns = world.cases
    draws = rng.random(len(cases))
    some = np.flatnonzero(draws < INVITED_SHARE)
    case = cases[some]
    sent = resolved_at[some] + (rng.uniform(0.5, 24, len(some)) * 3600).astype(np.int64)
    mood = 0.8 * columns["is_resolved"][case] + 0.5 * (columns["handled"][case] <= 1) - 0.5 * columns["repeats"][case]
    kind = np.where(rng.random(len(some)) < 0.6, CSAT, TRANSACTIONAL_NPS)
    # The second vendor asks on a scale where 1 is best.
    scale = np.where(kind == CSAT, np.where(columns["vendor"][case] == 1, REVERSED_SCALE, CSAT_SCALE), NPS_SCALE)
    _invite(world, rng, columns["sub"][case].astype(np.int64), sent, kind, scale, mood, tickets[some])

    audited = np.flatnonzero(draws > 1 - AUDITED_SHARE)
    at = resolved_at[audited] + (rng.uniform(1, 14, len(audited)) * DAY).astype(np.int64)
    score = 74 + 8 * (columns["handled"][cases[audited]] <= 1) + rng.normal(0, 10, len(audited))
    recorded = world.written(rng, at, may_be_late=False)
    world.outbox.add(
        "qa_audits", recorded, world.day,
        audit_id=world.ids("audit", len(audited)), ticket_id=tickets[audited],
        agent_id=columns["agent"][cases[audited]], score=(score.clip(0, 100) * 100).astype(np.int64), audited_at=at,
        recorded_at=recorded,
    )  # fmt: skip


def ask_at_random(world: World) -> None:
    """Relational surveys of the base."""
    rng = world.rng(Stream.SURVEYS)
    subs = world.subs
    present = np.flatnonzero((subs["presence"] == PRESENT) & (subs["activated_at"] < world.start))
    sub = pick(rng, present, 0.15 / 365)
    at = world.local_time(rng, subs["region"][sub], 10, 20)
    kind, scale = np.full(len(sub), RELATIONAL_NPS), np.full(len(sub), NPS_SCALE)
    _invite(world, rng, sub, at, kind, scale, 0.6 - 0.5 * subs["z"][sub], NA)


def _invite(world: World, rng: np.random.Generator, sub: Ints, sent: Ints, kind: Array, scale: Array, mood: Array,
            ticket: Ints | int) -> None:  # fmt: skip
    count = len(sub)
    ids = world.ids("invitation", count)
    delivered = np.where(rng.random(count) < 0.93, sent + rng.integers(5, 600, count), NA)
    recorded = world.written(rng, np.maximum(sent, delivered), may_be_late=False)
    world.outbox.add(
        "survey_invitations", recorded, world.day,
        invitation_id=ids, survey_kind=kind, subscription_id=sub, ticket_id=ticket, sent_at=sent,
        delivered_at=delivered, recorded_at=recorded,
    )  # fmt: skip
    answered = np.flatnonzero((delivered != NA) & (rng.random(count) < ANSWERED_SHARE))
    twice = answered[rng.random(len(answered)) < 0.03]
    language = world.parties["language"][world.subs["party"][sub]]
    for some in (answered, twice):
        _answer(world, rng, ids[some], delivered[some], kind[some], scale[some], mood[some], language[some])


def _answer(world: World, rng: np.random.Generator, invitation: Ints, delivered: Ints, kind: Array, scale: Array,
            mood: Array, language: Array) -> None:  # fmt: skip
    count = len(invitation)
    pleasure = mood + rng.normal(0, 1, count)
    stars = (3 + 1.2 * pleasure).round().clip(1, 5)
    score = np.select(
        [scale == CSAT_SCALE, scale == NPS_SCALE], [stars, (6 + 2.5 * pleasure).round().clip(0, 10)], 6 - stars
    )
    words = texts.compose(rng, np.where(pleasure > 0.5, texts.PRAISE, texts.BLAME), language, np.zeros(count, np.int64))
    at = delivered + (rng.exponential(20, count).clip(0.05, 200) * 3600).astype(np.int64)
    recorded = world.written(rng, at, may_be_late=False)
    world.outbox.add(
        "survey_responses", recorded, world.day,
        response_id=world.ids("response", count), invitation_id=invitation, survey_kind=kind, scale_version=scale,
        score=score.astype(np.int64), comment=np.where(rng.random(count) < 0.4, words, NA), responded_at=at,
        recorded_at=recorded,
    )  # fmt: skip


def review(world: World) -> None:
    """Reviews in public places: some by complainers of the last days, most by anybody; few carry a number."""
    rng = world.rng(Stream.REVIEWS)
    cases, subs = world.cases, world.subs
    recent = np.flatnonzero(cases["started_at"] > world.start - 10 * DAY)
    authors = cases["sub"][recent[rng.random(len(recent)) < 0.004]].astype(np.int64)
    strangers = rng.integers(0, len(subs), int(rng.poisson(world.subscribers * 0.01 / 365)))
    sub = np.concatenate([authors, strangers])
    count = len(sub)
    is_angry = np.arange(count) < len(authors)
    language = world.parties["language"][subs["party"][sub]]
    at = world.local_time(rng, subs["region"][sub])
    recorded = world.written(rng, at)
    is_known = is_angry & (rng.random(count) < 0.25) & (subs["presence"][sub] == PRESENT)
    world.outbox.add(
        "public_reviews", recorded, world.day,
        review_id=world.ids("review", count), site=rng.integers(0, len(SITES), count),
        author_name=rng.integers(0, texts.NAMES, count), msisdn=np.where(is_known, subs["msisdn"][sub], NA),
        region_id=subs["region"][sub], rating=np.where(is_angry, 10, rng.integers(2, 11, count) * 5),
        body=texts.compose(rng, np.full(count, texts.REVIEW), language, rng.integers(0, 8, count)), posted_at=at,
        recorded_at=recorded,
    )  # fmt: skip
