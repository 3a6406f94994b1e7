"""Texts that are gone (erased, or past their age): what was found in them stays, and goes over to new versions.

Levels, temperature and substance rest on it, and the text cannot be read again.
"""

from collections.abc import Mapping

#: Tables of the schema signals, by whose message they speak of, and their columns less the key (contact_id, load_id).
OF_CUSTOMERS: Mapping[str, tuple[str, ...]] = {
    "phrase_hits": ("phrase_id", "rule_version", "starts_at_char", "ends_at_char", "verdict", "signal"),
    "message_signals": (
        "language", "sentiment", "sentiment_score", "topic", "topic_score", "threat_kind", "mentions_public_review",
        "mentions_regulator", "rule_version", "model_version",
    ),
}  # fmt: skip
OF_REPLIES: Mapping[str, tuple[str, ...]] = {
    "reply_signals": ("gives_reason", "states_result", "rule_version"),
    "reply_bands": ("band", "band_hash"),
}
COLUMNS: Mapping[str, tuple[str, ...]] = {**OF_CUSTOMERS, **OF_REPLIES}

#: The version that was read is there and has no text; `found` is a table of signals.
_IS_GONE = """(
    exists (
        select from raw.helpdesk__contacts as m
        where m.contact_id = found.contact_id and m._load_id = found.load_id and m.body is null
    )
    or exists (
        select from raw.web__public_reviews as m
        where 'review:' || m.review_id = found.contact_id and starts_with(found.contact_id, 'review:')
            and m.review_id = substr(found.contact_id, 8) and m._load_id = found.load_id and m.body is null
    )
)"""
_INHERIT = """
    insert into signals.{signals} (contact_id, load_id, {columns})
    select found.contact_id, m._load_id, {values}
    from {table} as m
    cross join lateral (
        select p._load_id, p.body from {table} as p
        where p.{key} = m.{key} and p._load_id < m._load_id and p._op = 'u'
        order by p._load_id desc limit 1
    ) as former
    inner join signals.{signals} as found
        on found.contact_id = {prefix} || m.{key} and found.load_id = former._load_id
    where m._load_id = any(%s) and m._op = 'u' and m.body is null and former.body is null
    on conflict do nothing
"""
_SOURCES = {
    "helpdesk.contacts": {"table": "raw.helpdesk__contacts", "key": "contact_id", "prefix": "''"},
    "web.public_reviews": {"table": "raw.web__public_reviews", "key": "review_id", "prefix": "'review:'"},
}


def forget(signals: str) -> str:
    """SQL: delete what a table of signals says of texts that are still there."""
    return f"delete from signals.{signals} as found where not {_IS_GONE}"  # noqa: S608 - names of ours


def forget_loads(signals: str) -> str:
    """SQL with one parameter, the loads: the same for the versions of those loads."""
    return f"{forget(signals)} and found.load_id = any(%s)"


def inherit(signals: str, table: str) -> str:
    """SQL with one parameter, the loads: a version whose text was gone already says what the one before it said.

    One step of a chain of such versions: to be repeated until it inserts nothing.
    """
    columns = COLUMNS[signals]
    return _INHERIT.format(
        signals=signals,
        columns=", ".join(columns),
        values=", ".join(f"found.{column}" for column in columns),
        **_SOURCES[table],
    )
