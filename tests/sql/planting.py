"""Plants rows in raw as the extract does, batch by batch, and runs the dbt layers of a night over them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from retention.quality.raw_versions import key_of
from retention.row_hash import row_hash
from retention.sources.contract import create_raw_tables, load_contract, raw_identifier
from retention.transform import Dbt, Project, _environment
from retention.warehouse import batches

PROJECT = Path(__file__).resolve().parents[2] / "dbt_project"
MOSCOW = ZoneInfo("Europe/Moscow")
LAYERS = ("staging", "intermediate")
Row = Mapping[str, object]


def at(day: float, hour: float = 0) -> datetime:
    """An instant: `day` days and `hour` hours after 2026-01-01 00:00 Moscow."""
    return datetime(2026, 1, 1, tzinfo=MOSCOW) + timedelta(days=day, hours=hour)


@dataclass
class Planted:
    """A warehouse whose raw tables are filled by hand; `as_of` and batches as a night sets them."""

    dsn: str
    conn: Connection
    target: Path
    dbt: Dbt = field(init=False)
    batch_id: int = 0
    before: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        create_raw_tables(self.conn)
        self.dbt = Dbt(Project(PROJECT, self.target, self.dsn))

    def open(self, as_of: datetime) -> None:
        """Open the batch of `as_of` and make it the current one."""
        batch = batches.open_batch(self.conn, as_of, "test")
        batches.set_current_run(self.conn, batch)
        self.batch_id = batch.batch_id

    def load(
        self, table: str, rows: Iterable[Row] = (), deleted: Iterable[Row] = (), watermark_to: datetime | None = None
    ) -> int:
        """One committed load of `table`: versions `rows`, tombstones for the keys in `deleted`; returns its id."""
        spec = load_contract().tables[table]
        versions = [{**defaults(table), **row, "_op": "u"} for row in rows]
        tombstones = [{key: row[key] for key in spec.key} | {"_op": "d"} for row in deleted]
        with self.conn, self.conn.cursor() as cur:
            cur.execute(
                "insert into ops.loads (batch_id, table_name, is_forced, watermark_to, rows_read, rows_appended,"
                " keys_new, keys_deleted, rows_rejected, live_keys, contract_hash, reader, seconds)"
                " values (%s, %s, true, %s, 0, %s, 0, 0, 0, 0, '', 'planted', 0) returning load_id",
                (self.batch_id, table, watermark_to, len(versions) + len(tombstones)),
            )
            (load_id,) = cur.fetchone() or (0,)
            for row in [*versions, *tombstones]:
                values = {**row, "_load_id": load_id}
                cur.execute(
                    sql.SQL("insert into {} ({}) values ({})").format(
                        sql.Identifier("raw", table.replace(".", "__")),
                        sql.SQL(", ").join(map(sql.Identifier, values)),
                        sql.SQL(", ").join(sql.Placeholder() * len(values)),
                    ),
                    list(values.values()),
                )
        return int(load_id)

    def set_aside(self, table: str, place: float) -> None:
        """Quarantine, in this batch, the version at that place (from 0 to below 1) among all of the table."""
        spec = load_contract().tables[table]
        raw, key = raw_identifier(table), key_of(spec, "r")
        with self.conn, self.conn.cursor() as cur:
            cur.execute(
                sql.SQL(
                    "insert into ops.quarantine (table_name, load_id, key, checks, batch_id)"
                    " select %s, _load_id, {key}, array['planted'], %s from {raw} as r where _op = 'u'"
                    " order by _load_id, {key} offset (select floor(count(*) * %s) from {raw} where _op = 'u') limit 1"
                    " on conflict do nothing"
                ).format(key=key, raw=raw),
                (table, self.batch_id, place),
            )

    def let_back(self, table: str, share: float) -> None:
        """Release, in this batch, that share of the table's versions in quarantine."""
        with self.conn, self.conn.cursor() as cur:
            cur.execute(
                "update ops.quarantine set released_batch_id = %s, released_because = 'passes'"
                " where released_batch_id is null and quarantine_id in (select quarantine_id from ops.quarantine"
                " where table_name = %s and released_batch_id is null order by quarantine_id"
                " limit (select round(count(*) * %s) from ops.quarantine"
                " where table_name = %s and released_batch_id is null))",
                (self.batch_id, table, share, table),
            )

    def hit(
        self, contact_id: str, load_id: int, verdict: str, phrase_id: str = "ru_leave_first", signal: str = "leaving"
    ) -> None:
        """What the reader of texts says about a version of a contact."""
        with self.conn, self.conn.cursor() as cur:
            cur.execute(
                "insert into signals.phrase_hits (contact_id, load_id, phrase_id, rule_version, starts_at_char,"
                " ends_at_char, verdict, signal) values (%s, %s, %s, '1', 0, 4, %s, %s)",
                (contact_id, load_id, phrase_id, verdict, signal),
            )

    def message(
        self, contact_id: str, load_id: int, sentiment: int = 0, topic: str | None = None, threat_kind: str = "none"
    ) -> None:
        """What the reader of texts says about a customer's message as a whole."""
        with self.conn, self.conn.cursor() as cur:
            cur.execute(
                "insert into signals.message_signals (contact_id, load_id, language, sentiment, sentiment_score, topic,"
                " threat_kind, mentions_public_review, mentions_regulator, rule_version)"
                " values (%s, %s, 'ru', %s, %s, %s, %s, false, %s, '1')",
                (contact_id, load_id, sentiment, sentiment / 2, topic, threat_kind, sentiment < 0),
            )

    def reply(self, contact_id: str, load_id: int, band_hashes: Sequence[int], gives_reason: bool = False) -> None:
        """What the reader of texts says about a reply of ours: a hash for each band."""
        with self.conn, self.conn.cursor() as cur:
            cur.execute(
                "insert into signals.reply_signals values (%s, %s, %s, false, '1')", (contact_id, load_id, gives_reason)
            )
            for band, value in enumerate(band_hashes):
                row = (contact_id, load_id, band, value)
                cur.execute("insert into signals.reply_bands values (%s, %s, %s, %s)", row)

    def transform(self) -> None:
        """Staging and intermediate as a night runs them."""
        names = [name for layer in ("seed", *LAYERS) for name in self.dbt.hashes(layer)]
        applied = {name: batches.applied_hash(self.conn, name) for name in names}
        self.dbt.build_seeds(applied)
        self.dbt.build_models(LAYERS, applied)
        for layer in ("seed", *LAYERS):
            batches.record_hashes(self.conn, self.dbt.hashes(layer))
        batches.consume_loads(self.conn, self.batch_id)
        with batches.recorded_step(self.conn, self.batch_id, "transform"):
            pass

    def refresh(self) -> None:
        """Everything in full, in place."""
        self.dbt.build_models(LAYERS, {})

    def compiled(self, *queries: str) -> list[str]:
        """The queries with their macros and refs rendered."""
        from dbt.cli.main import dbtRunner

        flags = ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT), "--target-path", str(self.target)]
        quiet = ["--quiet", "--log-level", "none", "--log-level-file", "none"]
        with _environment(self.dbt.project.environment()):
            inline = ["compile", "--inline", "-- next".join(queries)]
            result = dbtRunner(manifest=self.dbt.manifest).invoke([*quiet, *inline, *flags])
        assert result.success, result.exception
        return str(result.result.results[0].node.compiled_code).split("-- next")

    def hashes(self) -> dict[str, tuple[int, str]]:
        """(rows, hash less lineage) of every model of both layers."""
        with self.conn, self.conn.cursor() as cur:
            cur.execute(
                "select table_schema, table_name from information_schema.tables where table_schema = any(%s)",
                (list(LAYERS),),
            )
            return {table: row_hash(self.conn, schema, table) for schema, table in cur.fetchall()}

    def rows(self, query: str, *parameters: object) -> list[tuple[object, ...]]:
        """What a query returns."""
        with self.conn, self.conn.cursor() as cur:
            cur.execute(query, parameters or None)
            return cur.fetchall()

    def row(self, query: str, *parameters: object) -> tuple[object, ...]:
        """The only row of a query."""
        (only,) = self.rows(query, *parameters)
        return only


def defaults(table: str) -> dict[str, object]:
    """Values for required columns that a scenario does not care about."""
    return {
        "crm.parties": {"kind": "person", "segment": "mass", "updated_at": at(0)},
        "crm.subscriptions": {"product": "postpaid", "activated_at": at(-300), "updated_at": at(0)},
        "crm.msisdn_periods": {"updated_at": at(0)},
        "crm.usage_months": {"updated_at": at(0)},
        "helpdesk.tickets": {"updated_at": at(0)},
        "helpdesk.contacts": {
            "channel": "call", "direction": "inbound", "initiator": "customer", "updated_at": at(0),
        },
    }.get(table, {})  # fmt: skip


def differing(before: Mapping[str, object], after: Mapping[str, object]) -> Sequence[str]:
    """Names whose values differ."""
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
