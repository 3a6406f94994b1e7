"""Processes of the machine room: started apart, found again, ended whole, and nobody else's touched."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from retention.local import processes
from retention.local.home import Home

#: Starts a child that ignores requests to end, then waits; both write their process ids.
STUBBORN = """
import os, signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)"],
    stdout=subprocess.PIPE)
child.stdout.readline()
open(sys.argv[1], "w").write(str(child.pid))
time.sleep(600)
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path, tmp_path / "home")
    home.create()
    yield home
    processes.stop(home, grace_seconds=0)


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def start_stubborn(home: Home) -> tuple[int, int]:
    """Process ids of a service and of its child."""
    note = home.folder / "child"
    leader = processes.start(home, "service", [sys.executable, "-c", STUBBORN, str(note)], os.environ)
    wait_for(lambda: note.exists() and note.read_text() != "")
    return leader.pid, int(note.read_text())


def lives(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_stop_ends_the_children_too_even_the_stubborn(home: Home) -> None:
    leader, child = start_stubborn(home)
    assert set(processes.alive(home)) == {"service"}
    assert processes.stop(home, grace_seconds=0.3) == ["service"]
    assert not lives(leader)
    assert not lives(child)
    assert processes.records(home) == {}


def test_children_of_a_killed_service_are_found(home: Home) -> None:
    leader, child = start_stubborn(home)
    os.kill(leader, signal.SIGKILL)
    os.waitpid(leader, 0)
    assert lives(child)
    assert processes.alive(home) == {}
    assert processes.stop(home, grace_seconds=0.3) == ["service"]
    assert not lives(child)


def test_a_reused_process_id_is_left_alone(home: Home) -> None:
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    try:
        record = processes.Record("old", other.pid, psutil.Process(other.pid).create_time(), psutil.boot_time(), "")
        assert record.leader() is not None
        older = replace(record, create_time=record.create_time - 100)
        assert (older.leader(), older.members()) == (None, [])
        before_reboot = replace(record, boot_time=record.boot_time - 1000)
        assert before_reboot.members() == []
    finally:
        other.kill()
        other.wait()


def test_stop_with_nothing_recorded(home: Home) -> None:
    assert processes.stop(home) == []


def test_the_log_tells_what_a_process_said(home: Home) -> None:
    processes.start(home, "teller", ["sh", "-c", "echo first; echo last >&2; exit 3"], os.environ).wait()
    assert processes.log_tail(home.logs / "teller.log") == "first\nlast"
    assert processes.alive(home) == {}
