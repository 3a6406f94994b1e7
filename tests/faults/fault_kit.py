"""What the fault tests share: a PostgreSQL of their own cast from a mould, someone who strikes, and a reader.

A fault may end the server, so each module has a cluster of its own. The mould is made once a session: an operator, its
first night published (database `night_1`), a day more lived, the second night undisturbed, both just before its publish
(`checked`) and after it (`night_2`), and a third (`night_3`).
"""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import psutil
import psycopg2
from psycopg2 import sql

from conftest import Warehouse, create_database, create_roles
from harness import NightSpec, as_of_after, hashes, prepare
from retention.local.postgres import Cluster
from retention.night import STEPS, Night
from retention.simulator.run import create, forward
from retention.warehouse.install import install_schemas

SUBSCRIBERS, DAYS, SEED = 300, 30, 1
NIGHT_1, NIGHT_2, NIGHT_3 = (as_of_after(DAYS + nights) for nights in range(3))
#: What must not depend on what went wrong.
LAYERS = ("staging", "intermediate", "outcomes", "marts")
Hashes = dict[str, tuple[int, str]]
#: SQL over pg_stat_activity: rows on their way into raw; dbt making a table in the schema {}.
LOADING = "application_name like 'retention extract%' and query ilike 'copy%'"
BUILDING = "application_name = 'dbt' and state = 'active' and query like '%create%table%{}%'"


@dataclass(frozen=True)
class Site:
    """A running cluster with the operator's sources and warehouses, and a folder for what nights leave behind."""

    cluster: Cluster
    passwords: dict[str, str]
    sources: dict[str, str]
    operator: Path
    work: Path

    def warehouse(self, database: str) -> Warehouse:
        """One of the cluster's warehouses."""
        return Warehouse(self.cluster, database, self.passwords)

    def spec(self, database: str) -> NightSpec:
        """What nights on that warehouse need."""
        warehouse = self.warehouse(database)
        sources = {name: self.cluster.dsn(source) for name, source in self.sources.items()}
        environment = {**os.environ, "RETENTION_DROPS": str(self.operator / "drops")}
        work = str(self.work / database)
        return NightSpec(warehouse.dsn("etl"), warehouse.dsn("publisher"), sources, work, "simulator", environment)

    def clone(self, template: str, database: str) -> NightSpec:
        """A copy of a warehouse that nobody is connected to."""
        with closing(psycopg2.connect(self.cluster.dsn("postgres"))) as conn:
            conn.autocommit = True
            with conn.cursor() as cur:
                # A night in this process leaves idle connections (dbt's), which a template must not have.
                cur.execute(
                    "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = %s", (template,)
                )
                statement = sql.SQL("create database {} template {} strategy file_copy")
                cur.execute(statement.format(sql.Identifier(database), sql.Identifier(template)))
        with closing(self.warehouse(database).connect("postgres")) as conn:
            # Rights on the database itself are not copied.
            install_schemas(conn)
        return self.spec(database)


@dataclass(frozen=True)
class Mould:
    """A stopped site to be copied, and what undisturbed nights come to."""

    site: Site
    #: After each night.
    hashes: tuple[Hashes, ...]

    @contextmanager
    def cast(self, folder: Path) -> Iterator[Site]:
        """A running copy in `folder`."""
        folder.chmod(0o755)
        pg = folder / "pg"
        subprocess.run(["cp", "-a", str(self.site.cluster.folder), str(pg)], check=True)
        cluster = Cluster(pg, fsync=False)
        try:
            yield replace(self.site, cluster=cluster.start(), work=folder / "work")
        finally:
            cluster.stop("immediate")


def make_mould(folder: Path) -> Mould:
    """Create the operator, run its two nights, stop the cluster."""
    folder.chmod(0o755)
    cluster = Cluster(folder / "pg", fsync=False).start()
    try:
        sources = {name: create_database(cluster, name) for name in ("crm", "helpdesk")}
        site = Site(cluster, create_roles(cluster), sources, folder / "operator", folder / "work")
        crm, helpdesk = (cluster.dsn(name) for name in sources.values())
        create(crm, helpdesk, site.operator, SUBSCRIBERS, DAYS, SEED)
        with closing(psycopg2.connect(cluster.dsn("postgres"))) as conn:
            conn.autocommit = True
            with conn.cursor() as cur:
                cur.execute("create database night_1")
        with closing(site.warehouse("night_1").connect("postgres")) as conn:
            install_schemas(conn)
        prepare(site.warehouse("night_1"), site.work, {}, "simulator")
        first = site.spec("night_1")
        first.night("night 1").run(NIGHT_1)
        forward(crm, helpdesk, site.operator)
        second = site.clone("night_1", "night_2")
        run(second.night("night 2"), NIGHT_2, last="check_marts")
        site.clone("night_2", "checked")
        run(second.night("night 2"), NIGHT_2, first="publish")
        third = site.clone("night_2", "night_3")
        run(third.night("night 3"), NIGHT_3)
        return Mould(site, tuple(hashes(spec.etl_dsn, *LAYERS) for spec in (first, second, third)))
    finally:
        cluster.stop()


def run(night: Night, as_of: datetime, first: str = STEPS[0], last: str = STEPS[-1]) -> None:
    """Run a night from one of its steps to another, both included."""
    batch_id = night.open(as_of)
    for step in STEPS[STEPS.index(first) : STEPS.index(last) + 1]:
        if step == "extract":
            for table in night.supplied_tables():
                night.extract(batch_id, table)
        else:
            getattr(night, step)(batch_id)


def exit_code(process: "subprocess.Popen[bytes]", seconds: float) -> int:
    """How a night's process ended; it is not left behind when it did not."""
    try:
        return process.wait(seconds)
    finally:
        process.kill()


def kill_server(cluster: Cluster) -> None:
    """kill -9 of every process of a PostgreSQL, as when the machine's memory ran out."""
    postmaster = psutil.Process(int((cluster.data / "postmaster.pid").read_text().split()[0]))
    server = [postmaster, *postmaster.children(recursive=True)]
    for process in server:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    _, alive = psutil.wait_procs(server, timeout=10)
    assert not alive


class Strike(threading.Thread):
    """Waits until a backend of the cluster fits `at_work` (SQL over pg_stat_activity), then does `deed`, once."""

    def __init__(self, cluster: Cluster, at_work: str, deed: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self.dsn = cluster.dsn("postgres")
        self.at_work = at_work
        self.deed = deed
        self.is_done = False
        self.missed = threading.Event()

    def run(self) -> None:
        with closing(psycopg2.connect(self.dsn)) as conn, conn.cursor() as cur:
            conn.autocommit = True
            while not self.missed.is_set():
                cur.execute(f"select from pg_stat_activity where pid <> pg_backend_pid() and {self.at_work}")
                if cur.rowcount:
                    self.deed()
                    self.is_done = True
                    return
                time.sleep(0.003)

    def __enter__(self) -> "Strike":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.missed.set()
        self.join()
        assert self.is_done, f"nobody was ever seen at work: {self.at_work}"


class Reader(threading.Thread):
    """Polls every mart in one snapshot, as BI does; keeps every distinct set of batches it saw."""

    def __init__(self, dsn: str, survives: bool = False) -> None:
        super().__init__(daemon=True)
        self.dsn = dsn
        #: Whether it connects again when the server went away.
        self.survives = survives
        self.seen: set[frozenset[int]] = set()
        self.polls = 0
        self.failure: psycopg2.Error | None = None
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.is_set():
            try:
                self._poll()
            except psycopg2.Error as failure:  # reported by the test: a thread cannot fail it
                is_gone = isinstance(failure, psycopg2.OperationalError | psycopg2.InterfaceError)
                if not (self.survives and is_gone):
                    self.failure = failure
                    return
                time.sleep(0.1)

    def _poll(self) -> None:
        with closing(psycopg2.connect(self.dsn)) as conn:
            with conn.cursor() as cur:
                cur.execute(
                    "select table_name from information_schema.columns where table_schema = 'marts'"
                    " and column_name = '_batch_id'"
                )
                marts = [name for (name,) in cur.fetchall()]
            conn.rollback()
            each = [sql.SQL("select distinct _batch_id from marts.{}").format(sql.Identifier(mart)) for mart in marts]
            while not self.done.is_set():
                with conn, conn.cursor() as cur:
                    cur.execute(sql.SQL(" union ").join(each))
                    self.seen.add(frozenset(batch for (batch,) in cur.fetchall()))
                    self.polls += 1
                time.sleep(0.02)

    def __enter__(self) -> "Reader":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        # One more look at how it ended.
        time.sleep(0.2)
        self.done.set()
        self.join()
