"""`retention accept-drift` and `accept-loss` as typed, on a home with its own PostgreSQL."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg2
import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from retention.cli import app
from retention.extract import DeletesRefusedError, DriftError
from retention.local import settings, setup
from retention.local.console import Progress
from retention.local.home import Home
from retention.night import Night

PROJECT = Path(__file__).resolve().parents[2]
PROFILE = "zone: Europe/Moscow\ntables:\n  helpdesk.vendors: {connection: helpdesk, table: vendors}\n"
NIGHT = datetime(2026, 1, 5, 23, tzinfo=UTC)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    made = Home(PROJECT, tmp_path_factory.mktemp("acceptance") / "home")
    setup.up_databases(made, Progress(Console(quiet=True)))
    yield made
    setup.down(made)


def at_source(home: Home, statements: str) -> None:
    with psycopg2.connect(home.cluster.dsn("helpdesk")) as conn, conn.cursor() as cur:
        cur.execute(statements)
    conn.close()


def test_a_drift_and_a_loss_are_accepted_as_typed(home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    profile = tmp_path / "profile.yml"
    profile.write_text(PROFILE)
    monkeypatch.setenv("RETENTION_HOME", str(home.folder))
    monkeypatch.setenv("RETENTION_SOURCES", str(profile))

    def night() -> Night:
        sources = settings.source_dsns(home)
        return Night(
            etl_dsn=settings.dsn(home, "warehouse", "etl"), publisher_dsn=settings.dsn(home, "warehouse", "publisher"),
            source_dsn=lambda name: sources[name], project=PROJECT, work=home.work, profile=str(profile), run_id="test",
            environment=settings.environment(home),
        )  # fmt: skip

    def retention(*words: str) -> Result:
        return CliRunner().invoke(app, words, prog_name="retention")

    at_source(
        home,
        "create table vendors as select n::text as vendor_id, 'x' as name from generate_series(1, 50) n;"
        f"grant select on vendors to {settings.SOURCE_READER}",
    )
    night().extract(night().open(NIGHT), "helpdesk.vendors")
    early = retention("accept-loss", "helpdesk.vendors")
    assert (early.exit_code, "did not refuse it for a loss. Nothing was accepted" in early.stderr) == (1, True)

    batch_id = night().open(NIGHT + timedelta(days=1))
    at_source(home, "alter table vendors drop column name")
    with pytest.raises(DriftError):
        night().extract(batch_id, "helpdesk.vendors")
    done = retention("accept-drift", "helpdesk.vendors", "--note", "the desk dropped it")
    said = " ".join(done.stdout.split())
    assert (done.exit_code, "name -> name: text -> gone" in said, "its 50 live rows get" in said) == (0, True, True)
    again = retention("accept-drift", "helpdesk.vendors")
    assert (again.exit_code, "There is nothing to accept" in again.stderr) == (1, True)
    assert night().extract(batch_id, "helpdesk.vendors") == 50

    batch_id = night().open(NIGHT + timedelta(days=2))
    at_source(home, "delete from vendors where right(vendor_id, 1) < '5'")
    with pytest.raises(DeletesRefusedError):
        night().extract(batch_id, "helpdesk.vendors")
    done = retention("accept-loss", "helpdesk.vendors", "--note", "25 vendors left")
    assert done.exit_code == 0
    assert "refused: DeletesRefusedError: helpdesk.vendors: the source has 25 of the 50 keys" in done.stdout.replace(
        "\n", " "
    )
    assert night().extract(batch_id, "helpdesk.vendors") == 25
    with psycopg2.connect(settings.dsn(home, "warehouse", "etl")) as conn, conn.cursor() as cur:
        cur.execute("select note, load_id is not null from ops.accepted_losses")
        assert cur.fetchall() == [("25 vendors left", True)]
        cur.execute("select note from ops.shape_versions")
        assert cur.fetchall() == [("the desk dropped it",)]
    conn.close()
