"""Drift as a pure comparison: which changes of a source's columns are one, and what is said of them."""

import pytest

from retention.extract.drift import GONE, family, find_drifts, refuse
from retention.extract.errors import DriftError
from retention.sources.contract import load_contract
from retention.sources.mapping import Mapped
from retention.sources.profile import ColumnRule, SqlSource

TICKETS = load_contract().tables["helpdesk.tickets"]
PLAIN = SqlSource(connection="db", table="tickets")
TYPES = {"ticket_id": "text", "priority": "text", "opened_at": "timestamp with time zone",
         "updated_at": "timestamp with time zone", "odd": "text"}  # fmt: skip
KNOWN = {name: kind for name, kind in TYPES.items() if name != "odd"}


def fits(field: Mapped) -> bool:
    """Everything does."""
    return True


def said(types: dict[str, str], source: SqlSource = PLAIN, known: dict[str, str] = KNOWN) -> list[str]:
    return [drift.describe() for drift in find_drifts(TICKETS, source, known, types, ["odd"], fits)]


def test_columns_as_they_were_are_no_drift() -> None:
    assert said(TYPES) == []
    assert said(TYPES | {"new": "text"}) == []


@pytest.mark.parametrize(
    ("was", "now", "is_drift"),
    [
        ("character varying", "text", False),
        ("VARCHAR(20) COLLATE utf8mb4_bin", "longtext", False),
        ("smallint", "bigint", False),
        ("numeric(12,2)", "DECIMAL(14, 2)", False),
        ("text", "integer", True),
        ("timestamp with time zone", "timestamp without time zone", True),
        ("bigint", "numeric", True),
        ("date", "timestamp without time zone", True),
    ],
)
def test_types_of_one_family_hold_the_same_values(was: str, now: str, is_drift: bool) -> None:
    assert (family(was) != family(now)) == is_drift
    assert bool(said(TYPES | {"priority": now}, known=KNOWN | {"priority": was})) == is_drift


def test_a_new_column_of_the_family_is_proposed_and_an_old_one_is_not() -> None:
    types = {name: kind for name, kind in TYPES.items() if name != "priority"}
    assert said(types) == ['column "priority" is gone from the source']
    assert said(types | {"prio": "varchar(9)", "number": "integer"}) == [
        'column "priority" is gone from the source; "prio" (varchar(9)) is new there: if it was renamed, map it in the '
        "profile (priority: prio)"
    ]
    named = PLAIN.model_copy(update={"columns": {"priority": ColumnRule(column="prio")}})
    assert said(types | {"prio": "varchar(9)"}, named) == []
    assert said(types, named) == ['column "prio" is gone from the source (it fills priority)']


def test_the_first_row_of_a_file_without_a_header_is_no_list_of_new_columns() -> None:
    cells = dict.fromkeys(["t17", "Anna Petrova", "+7 916 000-00-00"], "text")
    told = " ".join(drift.describe() for drift in find_drifts(TICKETS, PLAIN, KNOWN, cells, ["odd"]))
    assert "ticket_id" in told
    assert not [cell for cell in cells if cell in told]


def test_what_the_profile_leaves_out_or_somebody_accepted_is_no_drift() -> None:
    types = {name: kind for name, kind in TYPES.items() if name != "priority"}
    assert said(types, PLAIN.model_copy(update={"columns": {"priority": None}})) == []
    assert said(types, known=KNOWN | {"priority": GONE}) == []
    assert said(TYPES, known=KNOWN | {"priority": GONE}) == []


def test_what_cannot_be_accepted_is_told_from_what_can() -> None:
    without_key = {name: kind for name, kind in TYPES.items() if name not in ("ticket_id", "priority")}
    kinds = [(d.name, d.kind, d.is_acceptable) for d in find_drifts(TICKETS, PLAIN, KNOWN, without_key)]
    assert kinds == [("ticket_id", "gone", False), ("priority", "gone", True)]
    never = find_drifts(TICKETS, PLAIN, {}, without_key)
    assert [(d.name, d.kind, d.is_acceptable) for d in never] == [("ticket_id", "missing", False)]
    with pytest.raises(DriftError, match=r"Mend the source or the profile, then clear the task\. See docs/runbooks"):
        refuse("helpdesk.tickets", never)
    with pytest.raises(DriftError, match=r"`retention accept-drift helpdesk\.tickets`\. See docs/runbooks"):
        refuse("helpdesk.tickets", [find_drifts(TICKETS, PLAIN, KNOWN, without_key)[1]])
