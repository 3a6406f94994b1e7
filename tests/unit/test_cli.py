"""The command line as a newcomer meets it: help at once, and errors that say what to do."""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from retention.cli import app
from retention.local.home import Home

COMMANDS = (
    "up", "down", "status", "simulate", "run", "rollback", "reload", "rejects", "rebuild", "accept-drift",
    "accept-loss", "doctor", "url", "install", "escalations", "text", "calendars",
)  # fmt: skip


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RETENTION_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path


def retention(*words: str) -> Result:
    return CliRunner().invoke(app, words, prog_name="retention")


def test_help_names_every_command() -> None:
    done = retention("--help")
    assert done.exit_code == 0
    listed = {line.split()[1] for line in done.stdout.splitlines() if line.startswith("│ ") and len(line.split()) > 2}
    assert set(COMMANDS) <= listed


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    done = retention(command, "--help")
    assert done.exit_code == 0
    usage, explanation = done.stdout.strip().splitlines()[0], done.stdout.strip().splitlines()[2]
    assert f"retention {command}" in usage
    assert len(explanation.split()) >= 5


def test_help_imports_no_room() -> None:
    rooms = ("airflow", "pandas", "psycopg2", "yaml", "dbt")
    program = f"import sys, retention.cli; print([name for name in {rooms} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_costs_little_more_than_python_and_typer() -> None:
    def seconds(*command: str) -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, *command], capture_output=True, check=True)
        return time.perf_counter() - began

    # As a ratio within one run, never as seconds.
    bare = statistics.median(seconds("-c", "import typer, rich.console, rich.markdown") for _ in range(3))
    helped = statistics.median(seconds("-m", "retention.cli", "--help") for _ in range(3))
    assert helped < 4 * bare


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("url",), "run `retention up`"),
        (("url", "billing"), "take one of warehouse, crm, helpdesk"),
        (("status",), "run `retention up`"),
        (("rollback",), "run `retention up`"),
        (("doctor",), "run `retention up`"),
        (("install",), "not set: RETENTION_ADMIN_URL"),
    ],
)
def test_an_expected_error_is_one_message_with_the_next_step(home: Path, words: tuple[str, ...], expected: str) -> None:
    done = retention(*words)
    assert done.exit_code == 1
    assert expected in done.stderr
    assert "Traceback" not in done.stderr


def test_down_where_nothing_runs_is_fine(home: Path) -> None:
    done = retention("down")
    assert (done.exit_code, done.stdout.strip()) == (0, "nothing was running")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_of_somebody_else_is_named(home: Path) -> None:
    home.chmod(0o500)
    done = retention("up")
    assert done.exit_code == 1
    assert "RETENTION_HOME" in done.stderr


def test_two_commands_do_not_work_in_one_home_at_once(home: Path) -> None:
    with Home(home, home).exclusive():
        done = retention("run")
    assert done.exit_code == 1
    assert f"(process {os.getpid()}) is at work" in done.stderr
