"""Where else personal columns are: the models that mark them, in staging, intermediate and the slots."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

from retention.erasure.errors import ErasureError
from retention.erasure.people import NUMBER
from retention.erasure.pseudonyms import hashed, normalised
from retention.sources.contract import Contract, raw_identifier

#: Columns by which a model's rows are a person's, the closest first.
ID_COLUMNS = (
    "contact_id", "response_id", "attempt_id", "review_id", "msisdn_period_id", "ticket_id", "subscription_id",
    "party_id",
)  # fmt: skip
#: Models that are kept right by statements of their own.
SPECIAL = frozenset({"int_contacts_gathered", "stg_raw__keys_touched"})


@dataclass(frozen=True)
class Ids:
    """Ids of one kind: of rows that are the person's, and of all that hold a number of the person's."""

    of_person: list[str]
    of_numbers: list[str]


def personal_models(dbt_project: Path, contract: Contract) -> dict[str, list[str]]:
    """Personal columns by model, as the YAML beside the models marks them (meta: {pii: true}).

    ErasureError for a model whose rows cannot be told apart by person: it has none of ID_COLUMNS.
    """
    found: dict[str, list[str]] = {}
    staged = {f"stg_{name.replace('.', '__')}" for name in contract.tables}
    for path in sorted((dbt_project / "models").rglob("*.yml")):
        for model in (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("models", []):
            columns = {column["name"]: column for column in model.get("columns", [])}
            personal = [name for name, column in columns.items() if _is_personal(column)]
            if not personal:
                continue
            found[model["name"]] = personal
            if model["name"] not in staged | SPECIAL and not columns.keys() & set(ID_COLUMNS):
                raise ErasureError(
                    f"{model['name']} has personal columns ({', '.join(personal)}) and none of {', '.join(ID_COLUMNS)}"
                    ": nobody's rows can be found in it. Nothing was erased. Give the model one of these columns."
                )
    return found


def _is_personal(column: Mapping[str, object]) -> bool:
    config = column.get("config")
    meta = config.get("meta") if isinstance(config, dict) else column.get("meta")
    return isinstance(meta, dict) and bool(meta.get("pii"))


def tables_of(cur: Cursor, schemas: list[str], models: Mapping[str, list[str]]) -> Iterator[tuple[str, str, list[str]]]:
    """(schema, table, columns) of the models' tables in some schemas; columns with data types other than text, too."""
    cur.execute(
        "select schemas.nspname::text, classes.relname::text, array_agg(attributes.attname::text)"
        " from pg_class as classes inner join pg_namespace as schemas on classes.relnamespace = schemas.oid"
        " inner join pg_attribute as attributes on classes.oid = attributes.attrelid"
        " where schemas.nspname = any(%s) and classes.relname = any(%s) and classes.relkind in ('r', 'p', 'm')"
        " and attributes.attnum > 0 and not attributes.attisdropped group by 1, 2 order by 1, 2",
        (schemas, list(models)),
    )
    yield from cur.fetchall()


def blank_staged(cur: Cursor, contract: Contract, name: str, schema: str) -> int:
    """Bring the personal columns of a staging model to what raw holds now, for the rows in `found_rows`."""
    table = contract.tables[name]
    sets = [
        sql.SQL("{} = {}").format(
            sql.Identifier(column),
            normalised(sql.SQL("latest.msisdn"))
            if column == NUMBER
            else sql.SQL("case when latest.is_person then null else s.{} end").format(sql.Identifier(column)),
        )
        for column in table.personal
    ]
    columns = sql.SQL(", ").join(sql.SQL("s.{}").format(sql.Identifier(column)) for column in table.personal)
    cur.execute(
        sql.SQL(
            "with latest as (select r.*, found.is_person from {raw} as r"
            " inner join found_rows as found on found.table_name = {name} and r.{key} = found.id)"
            " update {staged} as s set {sets} from latest"
            " where s.{key} = latest.{key} and s._load_id = latest._load_id"
            " and num_nonnulls({columns}) > 0 and (latest.is_person and num_nonnulls({texts}) > 0 or {number})"
        ).format(
            key=sql.Identifier(table.key[0]),
            raw=raw_identifier(name),
            name=sql.Literal(name),
            staged=sql.Identifier(schema, f"stg_{name.replace('.', '__')}"),
            sets=sql.SQL(", ").join(sets),
            columns=columns,
            texts=sql.SQL(", ").join(
                [sql.SQL("s.{}").format(sql.Identifier(c)) for c in table.personal if c != NUMBER] or [sql.SQL("null")]
            ),
            number=sql.SQL("s.msisdn is distinct from {}").format(normalised(sql.SQL("latest.msisdn")))
            if NUMBER in table.personal
            else sql.SQL("false"),
        )
    )
    return int(cur.rowcount)


def blank_numbers_named(cur: Cursor, prefix: str) -> int:
    """int_contacts_gathered: the number of a contact, or its ticket's, as staging has them now."""
    cur.execute(
        sql.SQL(
            "update {gathered} as g set msisdn_named = named.msisdn from ("
            " select g.contact_id, coalesce(contacts.msisdn, reviews.msisdn, tickets.msisdn) as msisdn"
            " from {gathered} as g"
            " left join {contacts} as contacts on g.contact_id = contacts.contact_id"
            " left join {reviews} as reviews on g.contact_id = 'review:' || reviews.review_id"
            " left join {tickets} as tickets on g.ticket_id = tickets.ticket_id"
            " where exists (select from found_rows where (table_name = 'helpdesk.contacts' and id = g.contact_id)"
            " or (table_name = 'web.public_reviews' and 'review:' || id = g.contact_id)"
            " or (table_name = 'helpdesk.tickets' and id = g.ticket_id))) as named"
            " where g.contact_id = named.contact_id and g.msisdn_named is distinct from named.msisdn"
        ).format(
            gathered=sql.Identifier(f"{prefix}intermediate", "int_contacts_gathered"),
            contacts=sql.Identifier(f"{prefix}staging", "stg_helpdesk__contacts"),
            reviews=sql.Identifier(f"{prefix}staging", "stg_web__public_reviews"),
            tickets=sql.Identifier(f"{prefix}staging", "stg_helpdesk__tickets"),
        )
    )
    return int(cur.rowcount)


def blank_touched(cur: Cursor, party_hash: str, schema: str) -> int:
    """The work list of the last transform: numbers that only this party held."""
    cur.execute(
        sql.SQL(
            "update {touched} as k set entity_id = s.token from ops.suppressions as s"
            " where k.entity = 'msisdn' and s.kind = 'number' and s.party_hash = {party}"
            " and s.subject_hash = {hash} and not exists (select from raw.crm__msisdn_periods as p"
            " where {number} = k.entity_id)"
        ).format(
            touched=sql.Identifier(schema, "stg_raw__keys_touched"),
            party=sql.Literal(party_hash),
            hash=hashed("number", sql.SQL("k.entity_id")),
            number=normalised(sql.SQL("p.msisdn")),
        )
    )
    return int(cur.rowcount)


def find_ids(cur: Cursor, party: str) -> dict[str, Ids]:
    """Ids of `found_rows` by column name, as models have them: there a contact may be a review or a ticket."""
    cur.execute("select table_name, id, is_person from found_rows")
    rows = cur.fetchall()
    keys = {
        "helpdesk.contacts": ("contact_id", "", ""), "vendor.survey_responses": ("response_id", "", ""),
        "vendor.call_attempts": ("attempt_id", "", ""), "crm.msisdn_periods": ("msisdn_period_id", "", ""),
        "helpdesk.tickets": ("ticket_id", "contact_id", "ticket:"),
        "web.public_reviews": ("review_id", "contact_id", "review:"),
    }  # fmt: skip
    ids = {column: Ids([], []) for column in ID_COLUMNS}
    ids["party_id"].of_person.append(party)
    cur.execute("select id from ours where kind = 'crm.subscriptions'")
    ids["subscription_id"].of_person.extend(id_ for (id_,) in cur.fetchall())
    for table, id_, is_person in rows:
        own, other, prefix = keys.get(table, ("", "", ""))
        for column, value in ((own, id_), (other, prefix + id_)):
            if column:
                ids[column].of_numbers.append(value)
                if is_person:
                    ids[column].of_person.append(value)
    for one in ("party_id", "subscription_id"):
        ids[one].of_numbers.extend(ids[one].of_person)
    return ids


def blank_copy(
    cur: Cursor, schema: str, table: str, columns: list[str], personal: list[str], ids: Mapping[str, Ids], dry: bool
) -> tuple[int, set[str]]:
    """NULL in the personal columns of a person's rows, numbers also where they stand in another's row.

    Returns the rows changed and the texts that were there. With `dry` nothing is changed.
    """
    key = next(column for column in ID_COLUMNS if column in columns)
    present = [name for name in personal if name in columns]
    is_ours = {
        name: sql.SQL("{} = any({})").format(
            sql.Identifier(key), sql.Literal(ids[key].of_numbers if NUMBER in name else ids[key].of_person)
        )
        for name in present
    }
    condition = sql.SQL(" or ").join(
        sql.SQL("({} and {} is not null)").format(is_ours[name], sql.Identifier(name)) for name in present
    )
    target = sql.Identifier(schema, table)
    texts = [name for name in present if NUMBER not in name]
    values: set[str] = set()
    if texts:
        cur.execute(
            sql.SQL("select {} from {} where {}").format(
                sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name in texts),
                target,
                sql.SQL("{} = any({})").format(sql.Identifier(key), sql.Literal(ids[key].of_person)),
            )
        )
        values = {value for row in cur.fetchall() for value in row if value}
    if dry:
        cur.execute(sql.SQL("select count(*) from {} where {}").format(target, condition))
        (count,) = cur.fetchone() or (0,)
        return int(count), values
    sets = sql.SQL(", ").join(
        sql.SQL("{0} = case when {1} then null else {0} end").format(sql.Identifier(name), is_ours[name])
        for name in present
    )
    cur.execute(sql.SQL("update {} set {} where {}").format(target, sets, condition))
    return int(cur.rowcount), values
