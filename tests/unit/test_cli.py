"""The command line as a newcomer meets it: help at once, and errors that say what to do."""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMANDS = ("up", "down", "status", "simulate", "run", "rollback", "doctor", "url", "install")


def retention(home: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "retention.cli", *words],
        env=os.environ | {"RETENTION_HOME": str(home), "COLUMNS": "120", "TERM": "dumb"} | environment,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_help_names_every_command(tmp_path: Path) -> None:
    done = retention(tmp_path, "--help")
    assert done.returncode == 0
    listed = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("│ ") and len(line.split()) > 2]
    assert set(COMMANDS) <= set(listed)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(tmp_path: Path, command: str) -> None:
    done = retention(tmp_path, command, "--help")
    assert done.returncode == 0
    assert len(done.stdout.split("\n\n")) > 0
    assert "Traceback" not in done.stderr


def test_help_imports_no_room() -> None:
    program = "import sys, retention.cli; print([m for m in ('airflow', 'pandas', 'psycopg2', 'yaml') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_costs_little_more_than_python_and_typer(tmp_path: Path) -> None:
    def seconds(*command: str) -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, *command], capture_output=True, check=True)
        return time.perf_counter() - began

    # As a ratio within one run, never as seconds.
    bare = statistics.median(seconds("-c", "import typer, rich.console, rich.markdown") for _ in range(3))
    help_ = statistics.median(seconds("-m", "retention.cli", "--help") for _ in range(3))
    assert help_ < 3 * bare


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
def test_an_expected_error_is_one_message_with_the_next_step(
    tmp_path: Path, words: tuple[str, ...], expected: str
) -> None:
    done = retention(tmp_path, *words)
    assert done.returncode == 1
    assert expected in done.stderr
    assert "Traceback" not in done.stderr


def test_down_where_nothing_runs_is_fine(tmp_path: Path) -> None:
    done = retention(tmp_path, "down")
    assert (done.returncode, done.stdout.strip()) == (0, "nothing was running")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_of_somebody_else_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    done = retention(tmp_path / "home", "up")
    assert done.returncode == 1
    assert "RETENTION_HOME" in done.stderr


def test_two_commands_do_not_work_in_one_home_at_once(tmp_path: Path) -> None:
    from retention.local.home import Home

    with Home(tmp_path, tmp_path).exclusive():
        done = retention(tmp_path, "run")
    assert done.returncode == 1
    assert f"(process {os.getpid()}) is at work" in done.stderr
