"""The entity tables as they stand in the state: whole, or only what was written since an instant."""

import numpy as np

from retention.simulator import codes
from retention.simulator.codes import NA, Ints
from retention.simulator.state import World

# Tables of the state with a cursor, and those that are small and always written whole.
ENTITIES = ("customers", "subscriptions", "msisdn_periods", "consents", "tickets")
_FRAMES = {
    "customers": "parties",
    "subscriptions": "subs",
    "msisdn_periods": "periods",
    "team_memberships": "memberships",
}
SMALL = ("plans", "regions", "agents", "teams", "team_memberships", "vendors")


def rows(world: World, name: str, since: int, start: int, stop: int) -> Ints:
    """Rows of an entity table among the positions [start, stop), written at or after `since` (NA: all that exist)."""
    frame = world.frames[_FRAMES.get(name, name)]
    # A ticket whose `opened` event was not written yet has no cursor and is not there.
    position = start + np.flatnonzero(frame["updated_at"][start:stop] >= max(since, NA + 1))
    columns = {
        "customers": ("kind", "segment", "region", "language", "name", "", "is_staff", "is_test", "updated_at"),
        "subscriptions": (
            "party", "product", "plan", "region", "status", "activated_at", "terminated_at", "updated_at",
        ),
        "msisdn_periods": ("msisdn", "sub", "valid_from", "valid_to", "updated_at"),
        "consents": ("party", "kind", "granted_at", "withdrawn_at", "updated_at"),
        "tickets": (
            "sub", "party", "msisdn", "topic", "channel", "priority", "status", "closure", "opened_at", "resolved_at",
            "closed_at", "merged_into", "agent", "team", "has_leaving_flag", "is_test", "is_spam", "recorded_at",
            "updated_at",
        ),
    }[name]  # fmt: skip
    # "" stands for what is made of the position itself (the e-mail address).
    return np.stack([position, *(frame[column][position] if column else position for column in columns)]).astype(
        np.int64
    )


def size(world: World, name: str) -> int:
    """How many positions `rows` may be asked for."""
    return len(world.frames[_FRAMES.get(name, name)])


def small(world: World, name: str) -> Ints:
    """A small table, whole."""
    if name == "plans":
        return _stack(codes.PLAN_PRODUCT, codes.PLAN_FEE, named=True)
    if name == "regions":
        return _stack(np.arange(len(codes.REGIONS)), named=True)
    if name == "vendors":
        return _stack(np.arange(len(codes.VENDORS)), named=False)
    if name == "teams":
        vendor = np.where(codes.TEAM_VENDOR < 0, NA, codes.TEAM_VENDOR)
        calendar, zone = (np.array([team[position] for team in codes.TEAMS]) for position in (2, 3))
        return _stack(vendor, calendar, zone, named=True)
    frame = world.frames[_FRAMES.get(name, name)]
    columns = {
        "agents": ("name", "kind", "role", "hired_at", "left_at"),
        "team_memberships": ("agent", "team", "valid_from", "valid_to"),
    }[name]
    return np.stack([np.arange(len(frame)), *(frame[column] for column in columns)]).astype(np.int64)


def _stack(first: Ints, *others: Ints, named: bool) -> Ints:
    position = np.arange(len(first))
    return np.stack([position, *([position] if named else []), first, *others]).astype(np.int64)
