"""`retention reload`: read a table whole again for the night that its data stopped."""

from contextlib import closing

import psycopg2

from retention.local import settings
from retention.local.home import Home, LocalError
from retention.night import Night
from retention.warehouse import batches


def reload_table(home: Home, table: str) -> int:
    """Load `table` whole for the last night, when it is unfinished; returns the rows appended. LocalError otherwise."""
    found = unfinished_night(home, "retention reload")
    if found is None:
        raise LocalError(
            f"no night is unfinished, so nothing of {table} was read. The next one reads what changed: `retention run`."
        )
    night, batch_id = found
    return night.extract(batch_id, table, force=True)


def unfinished_night(home: Home, run_id: str) -> tuple[Night, int] | None:
    """The last night and its batch, to work on as `run_id`; None when it is published."""
    with closing(psycopg2.connect(settings.dsn(home, "warehouse", "etl"))) as conn, conn.cursor() as cur:
        batch_id = batches.unfinished_night(cur)
    if batch_id is None:
        return None
    environment, sources = settings.environment(home), settings.source_dsns(home)
    night = Night(
        etl_dsn=settings.dsn(home, "warehouse", "etl"),
        publisher_dsn=settings.dsn(home, "warehouse", "publisher"),
        source_dsn=lambda name: sources[name],
        project=home.project,
        work=home.work,
        profile=environment["RETENTION_SOURCES"],
        run_id=run_id,
        environment=environment,
    )
    return night, batch_id
