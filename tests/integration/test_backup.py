"""The restore drill: marts after a restore equal those before, and the next night runs as if nothing had happened."""

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT, make_dsn

from conftest import Warehouse
from harness import as_of_after, hashes, scalar, simulate
from retention.backup import DUMP, MANIFEST, BackupError, back_up, find_backups, read_backup, restore
from retention.erasure.pseudonyms import hash_of
from retention.erasure.suppression import suppress_party
from retention.local import backups
from retention.local.home import Home, LocalError
from retention.local.postgres import binary
from retention.simulator.run import forward
from retention.sources.contract import create_raw_tables
from retention.warehouse.install import install_schemas
from retention.warehouse.lease import lease

DAYS = 30
LAYERS = ("staging", "intermediate", "outcomes", "marts")


def prepare_for(warehouse: Warehouse) -> Callable[[str], None]:
    def prepare(database: str) -> None:
        with closing(psycopg2.connect(warehouse.cluster.dsn(database))) as conn:
            install_schemas(conn)

    return prepare


@pytest.mark.soak
def test_after_a_restore_marts_are_those_of_the_backup_and_the_next_night_runs(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    spec = simulate(warehouse, tmp_path, subscribers=300, days=DAYS, seed=4)
    spec.night("night 1").run(as_of_after(DAYS))
    before = hashes(warehouse.dsn("etl"), *LAYERS)
    admin, name = warehouse.cluster.dsn("postgres"), warehouse.database
    folder = tmp_path / "backups"
    path = back_up(admin, name, folder, binary)
    assert find_backups(folder) == [path]
    assert read_backup(path).batch_id == 1
    assert read_backup(path).marts["fct_contacts"] == before["marts.fct_contacts"]

    forward(spec.sources["crm"], spec.sources["helpdesk"], tmp_path)
    spec.night("night 2").run(as_of_after(DAYS + 1))
    undisturbed = hashes(warehouse.dsn("etl"), *LAYERS)
    assert undisturbed != before

    restored = restore(admin, name, path, binary, prepare_for(warehouse))
    assert hashes(warehouse.dsn("etl"), *LAYERS) == before
    assert hashes(make_dsn(warehouse.dsn("etl"), dbname=restored.kept_as), *LAYERS) == undisturbed
    assert scalar(warehouse.dsn("bi_reader"), "select max(_batch_id) from marts.fct_contacts") == 1
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        scalar(warehouse.dsn("bi_reader"), "select count(*) from staging.stg_crm__parties")

    spec.night("night 2 again").run(as_of_after(DAYS + 1))
    assert hashes(warehouse.dsn("etl"), *LAYERS) == undisturbed


@pytest.fixture(scope="module")
def small(shared_warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of a warehouse with a row in it, and no night."""
    conn = shared_warehouse.connect("etl")
    create_raw_tables(conn)
    with conn, conn.cursor() as cur:
        cur.execute("insert into raw.crm__plans (plan_id, _load_id) values ('p1', 1)")
    conn.close()
    folder = tmp_path_factory.mktemp("backups")
    return back_up(shared_warehouse.cluster.dsn("postgres"), shared_warehouse.database, folder, binary)


def put_back(warehouse: Warehouse, path: Path) -> None:
    restore(warehouse.cluster.dsn("postgres"), warehouse.database, path, binary, prepare_for(warehouse))


def plans(warehouse: Warehouse) -> object:
    return scalar(warehouse.dsn("etl"), "select string_agg(plan_id, ',' order by plan_id) from raw.crm__plans")


def test_a_damaged_or_unfinished_backup_is_refused_before_anything_is_touched(
    shared_warehouse: Warehouse, small: Path, tmp_path: Path
) -> None:
    with pytest.raises(BackupError, match="no finished backup"):
        put_back(shared_warehouse, tmp_path)
    damaged = tmp_path / "damaged"
    (damaged / DUMP).mkdir(parents=True)
    for file in (small / DUMP).iterdir():
        (damaged / DUMP / file.name).write_bytes(file.read_bytes())
    (damaged / MANIFEST).write_bytes((small / MANIFEST).read_bytes())
    toc = damaged / DUMP / "toc.dat"
    toc.write_bytes(toc.read_bytes()[:-1] + b"\x01")
    with pytest.raises(BackupError, match=r"dump/toc\.dat is altered"):
        put_back(shared_warehouse, damaged)
    toc.unlink()
    with pytest.raises(BackupError, match=r"dump/toc\.dat is missing"):
        put_back(shared_warehouse, damaged)
    assert plans(shared_warehouse) == "p1"


def test_a_restore_whose_marts_differ_leaves_the_warehouse_as_it_was(
    shared_warehouse: Warehouse, small: Path, tmp_path: Path
) -> None:
    planted = json.loads((small / MANIFEST).read_text(encoding="utf-8")) | {"batch_id": 7}
    (tmp_path / DUMP).symlink_to(small / DUMP)
    (tmp_path / MANIFEST).write_text(json.dumps(planted), encoding="utf-8")
    with pytest.raises(BackupError, match="live batch None against 7"):
        put_back(shared_warehouse, tmp_path)
    assert plans(shared_warehouse) == "p1"


def test_no_restore_while_a_run_is_at_work(shared_warehouse: Warehouse, small: Path) -> None:
    with (
        lease(shared_warehouse.dsn("etl"), "night of today", "transform", 1),
        pytest.raises(BackupError, match=r"run night of today is working on .* \(step transform\)"),
    ):
        put_back(shared_warehouse, small)


def test_a_lost_warehouse_is_restored_with_sessions_still_knocking(shared_warehouse: Warehouse, small: Path) -> None:
    reader = shared_warehouse.connect("etl")
    with reader.cursor() as cur:
        cur.execute("update raw.crm__plans set plan_id = 'p2'")
    reader.commit()
    put_back(shared_warehouse, small)
    assert plans(shared_warehouse) == "p1"
    with pytest.raises(psycopg2.OperationalError), reader.cursor() as cur:
        cur.execute("select 1")

    with closing(psycopg2.connect(shared_warehouse.cluster.dsn("postgres"))) as conn:
        conn.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
        with conn.cursor() as cur:
            cur.execute(f'drop database "{shared_warehouse.database}" with (force)')
    put_back(shared_warehouse, small)
    assert plans(shared_warehouse) == "p1"


def test_a_dump_that_fails_leaves_nothing_behind(shared_warehouse: Warehouse, tmp_path: Path) -> None:
    def half(_: str) -> Path:
        program = tmp_path / "pg_dump"
        half_of_it = 'for last; do :; done\nmkdir -p "$last" && echo 79990000001 > "$last/1.dat"\nexit 1\n'
        program.write_text(f"#!/bin/sh\n{half_of_it}")
        program.chmod(0o700)
        return program

    folder = tmp_path / "backups"
    with pytest.raises(BackupError, match="pg_dump failed"):
        back_up(shared_warehouse.cluster.dsn("postgres"), shared_warehouse.database, folder, half)
    assert list(folder.iterdir()) == []


def test_a_server_of_ones_own_needs_its_connections_and_its_acts(tmp_path: Path) -> None:
    environment = {
        "RETENTION_ADMIN_URL": "postgresql://postgres@db/postgres", "RETENTION_WORK": "/srv/work",
        "AIRFLOW_CONN_WAREHOUSE_ETL": "postgres://etl@db/warehouse",
        "AIRFLOW_CONN_WAREHOUSE_PUBLISHER": "postgres://publisher@db/warehouse",
    }  # fmt: skip
    home = Home(tmp_path, tmp_path)
    where = backups.place(home, environment)
    assert (where.etl_dsn, where.publisher_dsn) == (
        "postgresql://etl@db/warehouse",
        "postgresql://publisher@db/warehouse",
    )
    for name in backups.NEEDED:
        with pytest.raises(LocalError, match=rf"RETENTION_ADMIN_URL is set and not {name}: .* Nothing was done"):
            backups.place(home, environment | {name: ""})


def test_whom_the_replaced_warehouse_has_on_its_list_is_known(shared_warehouse: Warehouse) -> None:
    admin, key = shared_warehouse.cluster.dsn("postgres"), "a secret of this installation"
    conn = shared_warehouse.connect("etl")
    with conn, conn.cursor() as cur:
        suppress_party(cur, "P1", key)
    conn.close()
    assert backups.suppressed(admin, shared_warehouse.database) == [hash_of("party", "P1", key)]
    assert backups.suppressed(admin, "nowhere") == []
    assert backups.suppressed(admin, "postgres") == []
