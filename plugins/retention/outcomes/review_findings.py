"""What reviewers found: how often each cause is seen among cases that left and among those that stayed.

A cause that is as common among those who stayed explains nothing. The difference of the two shares has Newcombe's
hybrid score interval (Statistics in Medicine 17, 1998, method 10). Pairs are matched, so that it is rather too wide
than too narrow. Reviewers judge what they see: a difference is a lead to follow, no effect.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

from retention.outcomes.intervals import wilson
from retention.outcomes.suppression import ALL, Cell, hidden_cells
from retention.outcomes.surveys import newcombe

UNKNOWN = "unknown"
KINDS = ("cause", "decision", "preventable")
#: Codes that are no seed's: whether it could have been prevented, and a decision about a case that no pack has.
PREVENTABLE, NO_SUCH_CASE = "yes", "no_such_case"
#: The latest word of each reviewer on each case that was known then.
_LATEST = """
with latest as (
    select *, row_number() over (
        partition by week_on, case_number, reviewer order by recorded_at desc, decision_id desc
    ) as place
    from reviews.case_decisions where recorded_at < %s
)
select
    packs.week_on is not null, latest.week_on, latest.case_number, latest.reviewer,
    coalesce(causes.code, %s), coalesce(decisions.code, %s), latest.is_preventable, packs.outcome, packs.level,
    packs.vendor
from latest
left join {packs} as packs on latest.week_on = packs.week_on and latest.case_number = packs.case_number
left join seeds.review_codes as causes on causes.kind = 'cause' and latest.cause_code = causes.code
left join seeds.review_codes as decisions on decisions.kind = 'decision' and latest.decision_code = decisions.code
where latest.place = 1
order by latest.week_on, latest.case_number, latest.reviewer collate "C"
"""


@dataclass(frozen=True)
class Judgement:
    """One reviewer's latest word on a case. `outcome` (left, stayed), level and vendor are the case's."""

    case: tuple[object, int]
    reviewer: str
    cause: str
    decision: str
    is_preventable: bool | None
    outcome: str
    level: str
    vendor: str


@dataclass(frozen=True)
class FindingRow:
    """One row of outcomes.case_review_findings. Shares and their difference are NULL exactly when there is a refusal.

    left_n, stayed_n: reviewed cases of either outcome; left_with, stayed_with: of them with the code, by any reviewer.
    judged_twice: cases with several reviewers; agreed: of them with one and the same answer of that kind.
    """

    kind: str
    code: str
    level: str
    vendor: str
    left_n: int
    left_with: int | None
    stayed_n: int
    stayed_with: int | None
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    judged_twice: int
    agreed: int | None
    refusal_reason: str | None


def read_codes(cur: Cursor) -> dict[str, list[str]]:
    """Codes of the seed review_codes by kind, in order."""
    cur.execute("select kind, code from seeds.review_codes order by 1, 2")
    codes: dict[str, list[str]] = {}
    for kind, code in cur.fetchall():
        codes.setdefault(kind, []).append(code)
    return codes


def read_judgements(cur: Cursor, as_of: datetime, outcomes_schema: str) -> tuple[list[Judgement], int]:
    """What was entered before `as_of`, and how many words are about a case that no pack has."""
    query = sql.SQL(_LATEST).format(packs=sql.Identifier(outcomes_schema, "case_review"))
    cur.execute(query, (as_of, UNKNOWN, UNKNOWN))
    found = cur.fetchall()
    known = [Judgement((row[1], row[2]), *row[3:]) for row in found if row[0]]
    return known, len(found) - len(known)


def findings(
    judgements: Sequence[Judgement], codes: Mapping[str, Sequence[str]], strays: int, min_cell_n: int
) -> Iterator[FindingRow]:
    """Every kind and code by level x vendor and their totals.

    codes: those of causes and decisions; any other is counted as `unknown`. strays: words about no case of any pack.
    min_cell_n: cells with fewer reviewed cases are suppressed together with their complements.
    """
    cases: dict[tuple[object, int], list[Judgement]] = {}
    for one in judgements:
        cases.setdefault(one.case, []).append(one)
    cells: dict[Cell, list[list[Judgement]]] = {(ALL, ALL): []}
    for case in cases.values():
        for level in (case[0].level, ALL):
            for vendor in (case[0].vendor, ALL):
                cells.setdefault((level, vendor), []).append(case)
    sizes = {cell: len(members) for cell, members in cells.items()}
    hidden = hidden_cells(sizes, {cell for cell, n in sizes.items() if 0 < n < min_cell_n}, min_cell_n)
    for kind in KINDS:
        known = [PREVENTABLE] if kind == "preventable" else [*codes.get(kind, []), UNKNOWN]
        for code in known:
            for cell in sorted(cells):
                yield _finding(kind, code, cell, cells[cell], is_hidden=cell in hidden)
    yield FindingRow(
        NO_SUCH_CASE, NO_SUCH_CASE, ALL, ALL, strays, None, 0, None, None, None, None, 0, None, "not_estimated"
    )


def _finding(kind: str, code: str, cell: Cell, cases: Sequence[Sequence[Judgement]], *, is_hidden: bool) -> FindingRow:
    left = [case for case in cases if case[0].outcome == "left"]
    stayed = [case for case in cases if case[0].outcome == "stayed"]
    twice = [{_answer(one, kind) for one in case} for case in cases if len(case) > 1]
    key = (kind, code, *cell)
    if is_hidden or not left or not stayed:
        refusal = "small_cell" if is_hidden else "zero_denominator"
        return FindingRow(*key, len(left), None, len(stayed), None, None, None, None, len(twice), None, refusal)
    with_code = [sum(any(_answer(one, kind) == code for one in case) for case in some) for some in (left, stayed)]
    shares = [some / len(cases) for some, cases in zip(with_code, (left, stayed), strict=True)]
    own, others = (wilson(some, len(cases)) for some, cases in zip(with_code, (left, stayed), strict=True))
    assert own is not None, "some left"
    assert others is not None, "some stayed"
    interval = newcombe(shares[0], own, shares[1], others)
    agreed = sum(len(answers) == 1 for answers in twice)
    return FindingRow(
        *key, len(left), with_code[0], len(stayed), with_code[1], shares[0] - shares[1], interval.low, interval.high,
        len(twice), agreed, None,
    )  # fmt: skip


def _answer(one: Judgement, kind: str) -> str:
    if kind == "preventable":
        return {True: PREVENTABLE, False: "no", None: UNKNOWN}[one.is_preventable]
    return one.cause if kind == "cause" else one.decision
