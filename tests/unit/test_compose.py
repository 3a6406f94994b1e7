"""The production shape: valid by the compose specification's schema, healthy, closed, and without a default secret.

compose-spec.json is the schema of github.com/compose-spec/compose-spec (Apache License 2.0), as carried by
check-jsonschema 0.39.0 on PyPI; sha256 d549057ebc2925f39f62799eab0db7b9e2c18b35b6c00595199116da3ed10e64.
"""

import copy
import hashlib
import json
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from jsonschema import Draft202012Validator

from retention.local.server import AIRFLOW
from retention.warehouse.install import ROLES

PROJECT = Path(__file__).resolve().parents[2]
SCHEMA = Path(__file__).with_name("compose-spec.json")
SECRET = re.compile(r"PASSWORD|SECRET|KEY|CONN", re.IGNORECASE)
#: Names that look like secrets and are not.
HARMLESS = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC"}
AUTH_MANAGER = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
#: What Airflow's processes must agree on: one signs, another verifies; one encrypts, another reads.
SHARED = (
    "AIRFLOW__API_AUTH__JWT_SECRET",
    "AIRFLOW__API__SECRET_KEY",
    "AIRFLOW__CORE__EXECUTION_API_SERVER_URL",
    "AIRFLOW__CORE__FERNET_KEY",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
)
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?P<rule>:\?|:-|\?|-)?(?P<rest>[^}]*)\}")
Compose = dict[str, Any]


def faults(compose: Compose) -> Iterator[str]:
    """What is wrong with a compose file, as messages."""
    for error in Draft202012Validator(json.loads(SCHEMA.read_text())).iter_errors(compose):
        yield f"schema: {error.json_path}: {error.message[:200]}"
    services = compose.get("services", {})
    once = {
        name
        for service in services.values()
        for name, on in service.get("depends_on", {}).items()
        if on.get("condition") == "service_completed_successfully"
    }
    for name, service in services.items():
        if name not in once and "test" not in service.get("healthcheck", {}):
            yield f"{name}: no healthcheck"
        if service.get("restart") not in ({"on-failure:3"} if name in once else {"unless-stopped"}):
            yield f"{name}: restart policy {service.get('restart')}"
        yield from (f"{name}: port {port} is open to the network" for port in service.get("ports", [])
                    if not str(port).startswith("127.0.0.1:"))  # fmt: skip
        for volume in service.get("volumes", []):
            if "/dags" in volume and not volume.endswith(":ro"):
                yield f"{name}: dags can be written"
            source = volume.split(":")[0]
            if re.fullmatch(r"\w+", source) and source not in compose.get("volumes", {}):
                yield f"{name}: volume {source} is not declared"
        for variable, value in service.get("environment", {}).items():
            if SECRET.search(variable) and variable not in HARMLESS and ":?" not in str(value):
                yield f"{name}: {variable} has a value in the file"
    for match in VARIABLE.finditer(json.dumps(compose)):
        if SECRET.search(match["name"]) and match["rule"] != ":?":
            yield f"{match['name']} has a default or may be empty"
    yield from airflow_faults(services)


def airflow_faults(services: Compose) -> Iterator[str]:
    """What would keep Airflow's processes apart, or let in who should not be."""
    airflow = {name: service for name, service in services.items() if name != "postgres"}
    for name, service in airflow.items():
        environment = service.get("environment", {})
        if environment.get("AIRFLOW__CORE__AUTH_MANAGER") != AUTH_MANAGER:
            yield f"{name}: auth manager {environment.get('AIRFLOW__CORE__AUTH_MANAGER')}"
        yield from (f"{name}: {variable} is for development only" for variable in environment if "SIMPLE" in variable)
        yield from (f"{name}: {variable} is not set" for variable in SHARED if not environment.get(variable))
    for variable in SHARED:
        if len({str(service.get("environment", {}).get(variable)) for service in airflow.values()}) > 1:
            yield f"{variable} differs between services"
    for name, service in airflow.items():
        url = urlsplit(str(service.get("environment", {}).get("AIRFLOW__CORE__EXECUTION_API_SERVER_URL")))
        if (url.hostname, url.path) != ("api-server", "/execution/"):
            yield f"{name}: tasks would report to {url.hostname}{url.path}"
        words = " ".join(service.get("command", []))
        if "--password" in words:
            yield f"{name}: a password in the process list"


@pytest.fixture
def compose() -> Compose:
    loaded: Compose = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())
    return copy.deepcopy(loaded)


def test_the_compose_file_is_sound(compose: Compose) -> None:
    assert list(faults(compose)) == []


def test_it_has_the_production_shape(compose: Compose) -> None:
    services = compose["services"]
    assert set(services) == {"postgres", "install", "api-server", "scheduler", "dag-processor", "triggerer"}
    assert services["postgres"]["image"] == "postgres:18"
    assert services["scheduler"]["environment"]["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    assert all("127.0.0.1" in port for service in services.values() for port in service.get("ports", []))


def put(path: str, value: object) -> Callable[[Compose], None]:
    def change(compose: Compose) -> None:
        *parents, last = path.split("/")
        place = compose
        for parent in parents:
            place = place[parent]
        if value is None:
            del place[last]
        else:
            place[last] = value

    return change


@pytest.mark.parametrize(
    ("plant", "message"),
    [
        (put("services/scheduler/healthcheck", None), "scheduler: no healthcheck"),
        (put("services/scheduler/restart", None), "scheduler: restart policy None"),
        (
            put("services/postgres/environment/POSTGRES_PASSWORD", "postgres"),
            "postgres: POSTGRES_PASSWORD has a value in the file",
        ),
        (
            put("services/postgres/environment/POSTGRES_PASSWORD", "${POSTGRES_PASSWORD:-postgres}"),
            "POSTGRES_PASSWORD has a default or may be empty",
        ),
        (
            put("services/api-server/environment/AIRFLOW__API__SECRET_KEY", "${AIRFLOW_SECRET_KEY}"),
            "AIRFLOW_SECRET_KEY has a default or may be empty",
        ),
        (put("services/api-server/ports", ["8080:8080"]), "api-server: port 8080:8080 is open to the network"),
        (put("services/scheduler/volumes", ["./dags:/opt/retention/dags"]), "scheduler: dags can be written"),
        (put("services/scheduler/volumes", ["lost:/data"]), "scheduler: volume lost is not declared"),
        (put("services/api-server/environment/AIRFLOW__CORE__AUTH_MANAGER", None), "api-server: auth manager None"),
        (
            put(
                "services/api-server/environment/AIRFLOW__CORE__AUTH_MANAGER",
                "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
            ),
            "api-server: auth manager airflow.api_fastapi.auth.managers.simple",
        ),
        (
            put("services/api-server/environment/AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS", "True"),
            "api-server: AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS is for development only",
        ),
        (
            put("services/scheduler/environment/AIRFLOW__API_AUTH__JWT_SECRET", "${OTHER_SECRET:?set}"),
            "AIRFLOW__API_AUTH__JWT_SECRET differs between services",
        ),
        (
            put("services/triggerer/environment/AIRFLOW__CORE__FERNET_KEY", None),
            "triggerer: AIRFLOW__CORE__FERNET_KEY is not set",
        ),
        (
            put(
                "services/scheduler/environment/AIRFLOW__CORE__EXECUTION_API_SERVER_URL",
                "http://localhost:8080/execution/",
            ),
            "scheduler: tasks would report to localhost/execution/",
        ),
        (
            put("services/install/command", ["sh", "-ec", "airflow users create --password $$RETENTION_UI_PASSWORD"]),
            "install: a password in the process list",
        ),
        (put("services/scheduler/helthcheck", {}), "schema: $.services.scheduler: "),
        (put("services/scheduler/healthcheck/intervall", "1s"), "schema: $.services.scheduler.healthcheck: "),
    ],
)
def test_a_planted_fault_is_found(compose: Compose, plant: Callable[[Compose], None], message: str) -> None:
    plant(compose)
    assert any(fault.startswith(message) for fault in faults(compose)), list(faults(compose))


def test_install_prepares_everything_once_and_in_order(compose: Compose) -> None:
    install = compose["services"]["install"]
    script = install["command"][-1]
    steps = ["retention install", "airflow db migrate", "airflow pools set sources ", "airflow users create"]
    places = [script.find(step) for step in steps]
    assert -1 not in places
    assert places == sorted(places)
    roles = {f"RETENTION_PASSWORD_{role.upper()}" for role in (*ROLES, AIRFLOW)}
    used = set(re.findall(r"\$\$(\w+)", script)) | roles | {"RETENTION_ADMIN_URL"}
    assert {name for name in used if ":?" not in install["environment"].get(name, "")} == set()


def test_each_process_is_asked_for_its_own_health(compose: Compose) -> None:
    checks = {name: " ".join(service["healthcheck"]["test"]) for name, service in compose["services"].items()
              if "healthcheck" in service}  # fmt: skip
    assert "/api/v2/monitor/health" in checks["api-server"]
    jobs = {"scheduler": "SchedulerJob", "dag-processor": "DagProcessorJob", "triggerer": "TriggererJob"}
    for name, job in jobs.items():
        assert checks[name] == f"CMD airflow jobs check --job-type {job} --local"


def test_the_image_has_the_auth_manager_and_the_lock_knows_it() -> None:
    syncs = re.findall(r"uv sync .*", (PROJECT / "Dockerfile").read_text())
    assert syncs
    assert [sync for sync in syncs if "--locked --no-dev --extra production" not in sync] == []
    with (PROJECT / "pyproject.toml").open("rb") as stream:
        extra = tomllib.load(stream)["project"]["optional-dependencies"]["production"]
    with (PROJECT / "uv.lock").open("rb") as stream:
        locked = {package["name"]: package.get("version") for package in tomllib.load(stream)["package"]}
    assert extra == [f"apache-airflow-providers-fab=={locked['apache-airflow-providers-fab']}"]


def test_every_variable_is_in_the_example_and_no_secret_has_a_value() -> None:
    used = {match["name"] for match in VARIABLE.finditer((PROJECT / "docker-compose.yml").read_text())}
    lines = (PROJECT / ".env.example").read_text().splitlines()
    example = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert set(example) == used
    assert [name for name, value in example.items() if SECRET.search(name) and value] == []


def test_the_schema_is_the_one_named_above() -> None:
    assert __doc__ is not None
    assert hashlib.sha256(SCHEMA.read_bytes()).hexdigest() in __doc__


def test_the_image_runs_as_nobody_special_and_holds_no_secret() -> None:
    lines = (PROJECT / "Dockerfile").read_text().splitlines()
    users = [line for line in lines if line.startswith("USER ")]
    assert users
    assert users[-1] != "USER root"
    assert not [line for line in lines if line.startswith(("ENV", "ARG")) and SECRET.search(line)]
