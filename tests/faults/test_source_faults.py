"""A source that refuses, dawdles, falls silent or is cut: said clearly, nothing half loaded, and a rerun is equal."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from conftest import create_warehouse
from harness import NightSpec, as_of_after, hashes, on_another_warehouse, scalar, simulate
from proxy import Proxy, closed_port, proxy
from retention.extract import silence
from retention.extract.errors import ExtractError
from retention.local.postgres import Cluster
from retention.simulator.run import forward

DAYS = 20
#: One read whole each night, one by its write time, one with swept deletes.
TABLES = ("crm.plans", "crm.subscriptions", "crm.usage_months")


def count_rows(spec: NightSpec, relation: str) -> object:
    """Rows of a table of the warehouse."""
    return scalar(spec.etl_dsn, f"select count(*) from {relation}")


@dataclass(frozen=True)
class Line:
    """A warehouse whose sources are reached through a proxy, and a calm one beside it."""

    proxy: Proxy
    disturbed: NightSpec
    calm: NightSpec
    operator: Path

    def extract(self, spec: NightSpec, table: str, night: int = 1) -> int:
        """Load one table in a night; returns the rows appended."""
        one = spec.night(f"night {night}")
        return one.extract(one.open(as_of_after(DAYS + night - 1)), table)

    def loaded(self, spec: NightSpec) -> tuple[object, object]:
        """What raw holds and how many loads the ledger has."""
        return hashes(spec.etl_dsn, "raw"), count_rows(spec, "ops.loads")

    def failure(self, table: str, night: int) -> str | None:
        """The error of a load, nothing of which may then stay; None when it went well."""
        raw = "raw." + table.replace(".", "__")
        before = count_rows(self.disturbed, raw), count_rows(self.disturbed, "ops.loads")
        try:
            self.extract(self.disturbed, table, night)
        except ExtractError as error:
            message = str(error)
        else:
            return None
        assert (count_rows(self.disturbed, raw), count_rows(self.disturbed, "ops.loads")) == before
        assert message.startswith(f"{table}: ")
        assert "Nothing of this table was loaded" in message
        booked = scalar(self.disturbed.etl_dsn, "select message from ops.failures where step = %s", f"extract {table}")
        assert booked == f"ExtractError: {message}"
        return message

    def ends_well(self, table: str, night: int) -> None:
        """Undisturbed, the load comes to the same as one that never was disturbed."""
        self.proxy.well()
        for spec in (self.disturbed, self.calm):
            self.extract(spec, table, night)
        assert self.loaded(self.disturbed) == self.loaded(self.calm)


@pytest.fixture(scope="module")
def operator(
    cluster: Cluster, role_passwords: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Line]:
    """Both warehouses before their first night."""
    folder = tmp_path_factory.mktemp("sources")
    calm = simulate(create_warehouse(cluster, role_passwords), folder / "operator", 500, DAYS, seed=3)
    other = on_another_warehouse(calm, create_warehouse(cluster, role_passwords), folder / "disturbed")
    with proxy("127.0.0.1", cluster.port) as line:
        disturbed = replace(other, sources={name: line.through(dsn) for name, dsn in other.sources.items()})
        yield Line(line, disturbed, calm, folder / "operator")


@pytest.fixture
def line(operator: Line) -> Iterator[Line]:
    """The proxy behaves well again after each test."""
    yield operator
    operator.proxy.well()


def test_a_source_that_refuses(line: Line) -> None:
    port = closed_port()
    sources = {
        name: dsn.replace(f":{urlsplit(dsn).port}/", f":{port}/") for name, dsn in line.disturbed.sources.items()
    }
    closed = replace(line, disturbed=replace(line.disturbed, sources=sources))
    message = closed.failure("crm.plans", 1)
    assert message is not None
    assert "connecting to the source crm failed" in message
    assert "Connection refused" in message


@pytest.mark.parametrize("night", [1, 2])
def test_a_source_cut_anywhere(line: Line, night: int) -> None:
    """The first night streams into raw, the next one into staging tables; each load is cut later and later."""
    if night == 2:
        forward(line.calm.sources["crm"], line.calm.sources["helpdesk"], line.operator)
    for table in TABLES:
        line.proxy.cut_after = 100
        messages = []
        while (message := line.failure(table, night)) is not None:
            messages.append(message)
            line.proxy.cut_after = line.proxy.cut_after * 2
        assert len(messages) > 3
        assert all("connecting to the source" in one or "reading the source" in one for one in messages)
        line.ends_well(table, night)


@pytest.mark.parametrize(("table", "silent_after"), [("crm.regions", 1_500), ("crm.parties", 15_000)])
def test_a_source_that_falls_silent(line: Line, monkeypatch: pytest.MonkeyPatch, table: str, silent_after: int) -> None:
    """While it is asked what it has, and in the middle of a COPY."""
    monkeypatch.setattr(silence, "SILENCE_SECONDS", 0.5)
    line.proxy.silent_after = silent_after
    message = line.failure(table, 2)
    assert message is not None
    assert "has sent nothing for 0 s; the connection was given up" in message
    line.ends_well(table, 2)


def test_a_slow_source_is_waited_for(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slower than the limit of silence as a whole, never silent that long."""
    monkeypatch.setattr(silence, "SILENCE_SECONDS", 0.5)
    line.proxy.bytes_per_second = 20_000
    started = time.monotonic()
    assert line.failure("crm.subscription_events", 2) is None
    assert time.monotonic() - started > 1
    line.ends_well("crm.subscription_events", 2)


@pytest.mark.deep
def test_a_source_that_takes_calls_and_never_answers(line: Line) -> None:
    line.proxy.silent_after = 0
    message = line.failure("crm.consents", 2)
    assert message is not None
    assert "connecting to the source crm failed: " in message
    assert "timeout expired" in message
    line.ends_well("crm.consents", 2)
