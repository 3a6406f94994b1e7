"""What a gate found, where it is written, and the message that stops a night."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from psycopg2.extensions import connection as Connection
from psycopg2.extras import execute_values

from retention.quality.suites import Gate, Severity

MAX_KEYS = 20
#: How many failed checks a message lists.
MAX_LINES = 20
RUNBOOK = "docs/runbooks/checks.md"


@dataclass(frozen=True)
class Check:
    """One check on one table. `failing_keys`: up to MAX_KEYS surrogate keys; `message` holds no value of the data.

    `is_quarantined`: it failed, its rows were set aside and it stops nothing.
    """

    table: str
    name: str
    severity: Severity
    is_passed: bool
    rows_examined: int | None
    rows_failed: int | None
    failing_keys: tuple[dict[str, str | None], ...]
    message: str | None
    is_quarantined: bool = False

    def __str__(self) -> str:
        if self.rows_failed is None or self.rows_examined is None:
            text = f"{self.table}: {self.name} failed"
        else:
            text = f"{self.table}: {self.name} failed for {self.rows_failed:,} of {self.rows_examined:,} rows"
        if self.message:
            text += f" ({self.message})"
        if self.failing_keys:
            columns = ", ".join(self.failing_keys[0])
            shown = "; ".join(" ".join(str(value) for value in key.values()) for key in self.failing_keys)
            more = f"; the first {MAX_KEYS}" if len(self.failing_keys) == MAX_KEYS else ""
            text += f". Keys ({columns}{more}): {shown}"
        return text


@dataclass(frozen=True)
class Verdict:
    """All checks of one gate."""

    checks: tuple[Check, ...]

    @property
    def critical_failures(self) -> tuple[Check, ...]:
        """What stops the night."""
        return tuple(
            check
            for check in self.checks
            if not check.is_passed and check.severity == "critical" and not check.is_quarantined
        )

    @property
    def quarantined(self) -> tuple[Check, ...]:
        """Critical failures whose rows were set aside: the night goes on without them."""
        return tuple(check for check in self.checks if check.is_quarantined)

    @property
    def warnings(self) -> tuple[Check, ...]:
        """What is reported and stops nothing."""
        return tuple(check for check in self.checks if not check.is_passed and check.severity == "warning")


class GateFailed(RuntimeError):
    """A critical check failed, the night stops before publish; the message names checks, rows and keys, no values."""

    def __init__(self, gate: Gate, verdict: Verdict, serving: str) -> None:
        self.verdict = verdict
        failed = verdict.critical_failures
        lines = [f"gate {gate}: {len(failed)} critical of {len(verdict.checks)} checks failed."]
        lines += [f"- {check}" for check in failed[:MAX_LINES]]
        if len(failed) > MAX_LINES:
            lines.append(f"- and {len(failed) - MAX_LINES} more, all in ops.checks")
        lines.append(f"Nothing was published; {serving}.")
        lines.append(f"Next: `retention status` lists all checks; what to do about each is in {RUNBOOK}.")
        super().__init__("\n".join(lines))


def book_checks(conn: Connection, batch_id: int, gate: Gate, checks: Sequence[Check], is_added: bool = False) -> None:
    """Replace the batch's rows of that gate in ops.checks, in one transaction; or add to them."""
    rows = [
        (batch_id, gate, c.table, c.name, c.severity, c.is_passed, c.rows_examined, c.rows_failed,
         json.dumps(c.failing_keys) if c.failing_keys else None, c.message, c.is_quarantined)
        for c in checks
    ]  # fmt: skip
    with conn, conn.cursor() as cur:
        if not is_added:
            cur.execute("delete from ops.checks where batch_id = %s and gate = %s", (batch_id, gate))
        execute_values(
            cur,
            "insert into ops.checks (batch_id, gate, table_name, check_name, severity, is_passed, rows_examined,"
            " rows_failed, failing_keys, message, is_quarantined) values %s",
            rows,
        )


def what_is_served(conn: Connection) -> str:
    """What BI reads meanwhile, as the end of a sentence."""
    with conn, conn.cursor() as cur:
        cur.execute(
            "select b.batch_id, to_char(b.as_of at time zone 'UTC', 'YYYY-MM-DD HH24:MI') from ops.slots s"
            " join ops.batches b on b.batch_id = s.batch_id where s.state = 'live'"
        )
        row = cur.fetchone()
    return "marts have never been published" if row is None else f"marts still serve batch {row[0]} of {row[1]} UTC"
