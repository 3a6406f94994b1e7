"""Processes that outlive a command: started in a session of their own, recorded, and stopped with all their children.

A record holds the process id and its creation time, so a reused id is never touched. Children are found by their
session, which survives the death of the leader: after `kill -9` of a scheduler its workers are still known as ours.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from retention.local.home import Home, LocalError

#: How long a process may take to end by itself before it is killed, seconds.
GRACE_SECONDS = 8.0


@dataclass(frozen=True)
class Record:
    """A started process: also the id of its session. `boot_time` tells a record of before a restart of the machine."""

    name: str
    pid: int
    create_time: float
    boot_time: float
    log: str

    def leader(self) -> psutil.Process | None:
        """The process itself while it lives."""
        try:
            process = psutil.Process(self.pid)
            is_same = process.create_time() == self.create_time and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return None
        return process if is_same else None

    def members(self) -> list[psutil.Process]:
        """Every living process of the session, the leader included."""
        if self.boot_time != psutil.boot_time():
            return []
        if psutil.pid_exists(self.pid) and psutil.Process(self.pid).create_time() != self.create_time:
            # A system gives an id away again only when no session of that number is left.
            return []
        return [process for process in psutil.process_iter() if _session(process) == self.pid]


def start(home: Home, name: str, command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start `command` in a session of its own, in the checkout, with its output in logs/<name>.log, and record it."""
    log = home.logs / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=dict(environment), cwd=home.project, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    record = Record(name, process.pid, psutil.Process(process.pid).create_time(), psutil.boot_time(), str(log))
    path = home.run / f"{name}.json"
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(record)))
    fresh.replace(path)
    return process


def records(home: Home) -> dict[str, Record]:
    """What was started and not yet stopped, by name; living or dead."""
    found = {}
    for path in sorted(home.run.glob("*.json")):
        found[path.stem] = Record(**json.loads(path.read_text()))
    return found


def alive(home: Home) -> dict[str, Record]:
    """The recorded processes that live."""
    return {name: record for name, record in records(home).items() if record.leader() is not None}


def stop(home: Home, grace_seconds: float = GRACE_SECONDS) -> list[str]:
    """End every recorded process with all its children and forget them; returns the names of those that lived.

    Asks first (SIGTERM to each session), kills what is left after `grace_seconds`. Safe to interrupt: the record of a
    process goes last.
    """
    known = records(home)
    members = {name: record.members() for name, record in known.items()}
    for process in (process for group in members.values() for process in group):
        _signal(process, signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    for name, record in known.items():
        psutil.wait_procs(members[name], timeout=max(deadline - time.monotonic(), 0.1))
        # Asked again: a scheduler may have started a worker in between.
        while left := record.members():
            for process in left:
                _signal(process, signal.SIGKILL)
            psutil.wait_procs(left, timeout=5)
            if time.monotonic() > deadline + 30:
                raise LocalError(f"{name} (process {record.pid}) does not end. See {record.log}")
        (home.run / f"{name}.json").unlink(missing_ok=True)
    return [name for name, group in members.items() if group]


def log_tail(path: Path, lines: int = 15) -> str:
    """The last lines of a log file."""
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""


def _session(process: psutil.Process) -> int | None:
    try:
        return os.getsid(process.pid)
    except (ProcessLookupError, PermissionError):
        return None


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
