"""Keyed hashes of ids and numbers, and the tokens that stand for the numbers of erased persons, all computed in SQL.

HMAC-SHA256 (RFC 2104) with a secret of the installation. Who has the key can try all numbers: with the key gone, hashes
and tokens say nothing. PostgreSQL without contrib has sha256() but no hmac(): the two padded keys are settings of the
transaction, so that no statement carries them but the one that sets them.
"""

import hashlib
import hmac

from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

from retention.erasure.errors import ErasureError

#: Variable that holds the secret.
KEY_VARIABLE = "RETENTION_PSEUDONYM_KEY"
#: No number has more than 15 digits (E.164) or begins with 000. Checks of numbers let 19 characters pass.
TOKEN_PREFIX = "000"  # noqa: S105 - no secret
TOKEN_PATTERN = "^000[0-9]{16}$"  # noqa: S105 - no secret
MIN_KEY_CHARS = 16
_BLOCK = 64


def hash_of(kind: str, value: str, key: str) -> str:
    """Hex digest of an id or number; `kind` keeps equal texts of different kinds apart."""
    return hmac.new(key.encode(), f"{kind}:{value}".encode(), hashlib.sha256).hexdigest()


def arm(cur: Cursor, key: str) -> None:
    """Give the key to the SQL below, for this transaction. ErasureError when it is not the one used before."""
    if len(key) < MIN_KEY_CHARS:
        raise ErasureError(
            f"{KEY_VARIABLE} is {'not set' if not key else f'shorter than {MIN_KEY_CHARS} characters'}. Nothing was "
            "done: without it nobody can be recognised who was erased. See docs/runbooks/erasure.md"
        )
    padded = (hashlib.sha256(key.encode()).digest() if len(key.encode()) > _BLOCK else key.encode()).ljust(
        _BLOCK, b"\0"
    )
    pads = [bytes(byte ^ pad for byte in padded).hex() for pad in (0x36, 0x5C)]
    cur.execute("select set_config('retention.pad_inner', %s, true), set_config('retention.pad_outer', %s, true)", pads)
    cur.execute("select count(*) from ops.suppressions where key_check <> %s", (hash_of("check", "", key),))
    (others,) = cur.fetchone() or (0,)
    if others:
        raise ErasureError(
            f"{KEY_VARIABLE} is not the key that {others:,} rows of ops.suppressions were made with. Nothing was done: "
            "persons who were erased would come back. Put the former key back. See docs/runbooks/erasure.md"
        )


def hashed(kind: str, value: sql.Composable) -> sql.Composed:
    """SQL: the same as `hash_of` for a text expression; NULL for NULL."""
    return sql.SQL(
        "encode(sha256(decode(current_setting('retention.pad_outer'), 'hex') || sha256("
        "decode(current_setting('retention.pad_inner'), 'hex') || convert_to({prefix} || ({value}), 'UTF8'))), 'hex')"
    ).format(prefix=sql.Literal(f"{kind}:"), value=value)


def token(party: sql.Composable, number: sql.Composable) -> sql.Composed:
    """SQL: what stands for a party's number: digits that are no number, the same for the same party and number."""
    digest = hashed("token", sql.SQL("{} || ' ' || {}").format(party, number))
    return sql.SQL(
        "{prefix} || lpad((('x' || substr({digest}, 1, 14))::bit(56)::bigint % 10000000000000000)::text, 16, '0')"
    ).format(prefix=sql.Literal(TOKEN_PREFIX), digest=digest)


def normalised(value: sql.Composable) -> sql.Composed:
    """SQL: one key for a phone number, as dbt's macro normalise_msisdn has it (a test compares them)."""
    # `offset 0` keeps the planner from writing the digits' expression, the dear part, in each of their places.
    return sql.SQL(
        "(select case when length(d) = 0 then null"
        " when length(d) = 11 and substr(d, 1, 1) = '8' and left(trim(v), 1) <> '+' then '7' || substr(d, 2)"
        " when length(d) = 10 and left(trim(v), 1) <> '+' then '7' || d else d end"
        " from (select {value} as v, regexp_replace("
        "translate({value}, 'оОoOзЗбlIiіІ', '000033611111'), '[^0-9]', '', 'g') as d offset 0) as digits)"
    ).format(value=value)
