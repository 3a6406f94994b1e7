"""A night in which everything goes wrong with a person's data in it, and which is published in the end."""

import csv
import io
import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import psycopg2
import pytest

from conftest import Warehouse
from harness import NightSpec, as_of_after, scalar, simulate
from private_data import allowed_columns, personal_values

DAYS = 20
PHONE, NAME, EMAIL = "+79990001122", "Подсаженная Планида Ильинична", "planida.podsazhennaya@example.test"
TEXT = "мой номер карты 4111 и я от вас ухожу навсегда, Планида"
#: A word where a number, a date or one of a set is expected: messages about it like to quote it.
JUNK = "позвоните Планиде +79990003344"
PLANTED = {PHONE, NAME, EMAIL, TEXT, JUNK, "79990003344"}


@dataclass
class Aftermath:
    """What nights that went wrong left behind: files, tables, everything said."""

    spec: NightSpec
    warehouse: Warehouse
    files: Path
    failures: list[str] = field(default_factory=list)

    @property
    def values(self) -> set[str]:
        """Everything personal that the sources hold, and what was planted."""
        drops = Path(self.spec.environment["RETENTION_DROPS"])
        return personal_values(self.spec.sources, drops) | PLANTED

    @property
    def allowed(self) -> set[str]:
        """Columns that may hold personal data, and the one where the source itself wrote a number for a code."""
        manifest = Path(self.spec.work) / "dbt" / "marts_a" / "manifest.json"
        return allowed_columns(manifest) | {"raw.crm__subscription_events.kind"}

    def attempt(self, what: str, step: Callable[[], object]) -> None:
        """Run a step. An error is kept as a log has it, message and traceback with causes, and as it was booked."""
        try:
            step()
        except Exception as error:  # noqa: BLE001 - whatever it says is searched
            lines = [f"== {what}: {error}", *traceback.format_exception(error)]
            for table in ("failures", "checks", "quarantine", "lease_holds"):
                booked = f"select coalesce(string_agg(to_jsonb(b)::text, ' '), '') from ops.{table} as b"
                lines.append(str(scalar(self.spec.etl_dsn, booked)))
            with (self.files / "errors.log").open("a", encoding="utf-8") as stream:
                stream.write("\n".join(lines))
            self.failures.append(what)


@contextmanager
def listening(folder: Path) -> Iterator[None]:
    """Everything that is logged, at any level, and everything printed, goes to files."""
    handler = logging.FileHandler(folder / "everything.log", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    out = io.StringIO()
    try:
        with redirect_stdout(out), redirect_stderr(out):
            yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        handler.close()
        (folder / "printed.log").write_text(out.getvalue(), encoding="utf-8")


def change(dsn: str, *statements: str) -> None:
    with closing(psycopg2.connect(dsn)) as conn, conn, conn.cursor() as cur:
        for statement in statements:
            cur.execute(statement)


def plant(spec: NightSpec) -> None:
    """A person in both sources, a word of hers where a code belongs, and files that cannot be read."""
    change(
        spec.sources["crm"],
        f"update customers set full_name = '{NAME}', email = '{EMAIL}' where customer_id = "
        "(select min(customer_id) from customers)",
        f"update msisdn_periods set msisdn = '{PHONE}' where msisdn_period_id = "
        "(select min(msisdn_period_id) from msisdn_periods)",
        f"update subscription_events set kind = '{JUNK}' where subscription_event_id = "
        "(select min(subscription_event_id) from subscription_events)",
    )
    change(
        spec.sources["helpdesk"],
        f"update interactions set msisdn = '{PHONE}', body = '{TEXT}', language = 'ru' where interaction_id in "
        "(select interaction_id from interactions order by interaction_id limit 3)",
    )
    folder = Path(spec.environment["RETENTION_DROPS"]) / "call_attempts"
    header = min(folder.glob("*.csv")).read_text(encoding="utf-8").splitlines()[0].split(",")
    good = dict.fromkeys(header, "") | {"attempt_id": "planted-1", "vendor_id": "V1", "msisdn": PHONE}
    rows = [
        [*good.values(), JUNK],
        [value if name != "attempted_at" else JUNK for name, value in good.items()],
        [value if name != "connected_seconds" else JUNK for name, value in good.items()],
    ]
    with (folder / "2025-01-19-planted.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([header, *rows])


def go_through_it_all(warehouse: Warehouse, work: Path) -> Aftermath:
    """A night that fails in extraction, in a check, in a model and in publishing, and is published in the end."""
    spec = simulate(warehouse, work, subscribers=200, days=DAYS, seed=5)
    plant(spec)
    files = work / "said"
    files.mkdir()
    after = Aftermath(spec, warehouse, files)
    night, etl = spec.night(), spec.etl_dsn
    with listening(files):
        batch = night.open(as_of_after(DAYS))
        # Errors whose first line quotes a value: the server's log must not have it.
        for bad in (
            f"select '{JUNK}'::integer",
            f"select '{JUNK}'::timestamptz",
            f"select 1 from ops.batches as b{PHONE[1:]}x,",
        ):
            with pytest.raises(psycopg2.Error):
                change(etl, bad)
        # A row that the database refuses as it is loaded; PostgreSQL's message quotes it whole.
        change(etl, f"alter table raw.crm__parties add constraint planted check (email <> '{EMAIL}')")
        after.attempt("a refused row", lambda: night.extract(batch, "crm.parties"))
        change(etl, "alter table raw.crm__parties drop constraint planted")
        for table in night.supplied_tables():
            after.attempt(table, lambda table=table: night.extract(batch, table))  # type: ignore[misc]
        after.attempt("check_raw", lambda: night.check_raw(batch))
        change(
            spec.sources["crm"],
            f"update subscription_events set kind = 'plan_change', recorded_at = recorded_at where kind = '{JUNK}'",
        )
        after.attempt("reload", lambda: night.extract(batch, "crm.subscription_events", force=True))
        night.check_raw(batch)
        night.read_texts(batch)
        night.transform(batch)
        # The same in a model: a unique index and a check that a planted row breaks.
        change(
            etl, f"alter table staging.stg_crm__parties add constraint planted check (full_name <> '{NAME}') not valid"
        )
        after.attempt("a failing model", lambda: night.transform(batch))
        # What failed was undone with its transaction: the transform before it stands.
        change(etl, "alter table staging.stg_crm__parties drop constraint planted")
        night.track_outcomes(batch)
        night.build_marts(batch)
        # Two rows of one key in a private mart: the gate shows keys only.
        people = (
            f"{scalar(etl, 'select slot from ops.slots where state = %s', 'building')}.private_subscription_contacts"
        )
        change(
            etl,
            f"alter table {people} drop constraint private_subscription_contacts__dbt_tmp_pkey",
            f"insert into {people} select * from {people} limit 1",
        )
        after.attempt("check_marts", lambda: night.check_marts(batch))
        change(etl, f"delete from {people} where ctid = (select max(ctid) from {people})")
        night.check_marts(batch)
        night.publish(batch)
        spec.short_run().run(as_of_after(DAYS) + timedelta(minutes=10))
    return after
