"""Where the machine room keeps its things: `.local/` of the checkout, unless RETENTION_HOME names another folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from retention.local.postgres import Cluster


class LocalError(RuntimeError):
    """Something a newcomer can act on; the message says what happened, what was not done, and the next command."""


@dataclass(frozen=True)
class Home:
    """Paths of one installation: `project` is the checkout, `folder` holds everything that is not in git."""

    project: Path
    folder: Path

    @property
    def cluster(self) -> Cluster:
        """The embedded PostgreSQL."""
        return Cluster(self.folder / "pg")

    @property
    def airflow(self) -> Path:
        """AIRFLOW_HOME."""
        return self.folder / "airflow"

    @property
    def simulator(self) -> Path:
        """State, truth and daily files of the simulated operator."""
        return self.folder / "simulator"

    @property
    def drops(self) -> Path:
        """Where vendors' daily files land."""
        return self.simulator / "drops"

    @property
    def work(self) -> Path:
        """What a night leaves behind that may be deleted: dbt's targets."""
        return self.folder / "work"

    @property
    def run(self) -> Path:
        """Records of started processes."""
        return self.folder / "run"

    @property
    def logs(self) -> Path:
        """Output of the started processes."""
        return self.folder / "logs"

    @property
    def env_file(self) -> Path:
        """Generated passwords and settings, readable by the owner only."""
        return self.folder / "env"

    def create(self) -> None:
        """Make the folders; LocalError when they belong to another user."""
        try:
            for path in (self.folder, self.airflow, self.drops, self.work, self.run, self.logs):
                path.mkdir(parents=True, exist_ok=True)
            probe = self.run / "writable"
            probe.touch()
            probe.unlink()
        except PermissionError as error:
            raise LocalError(
                f"{error.filename} cannot be written by the user you are. Nothing was started. Run as its owner, "
                f"or set RETENTION_HOME to a folder of your own."
            ) from None

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold this home for one command; LocalError when another command is at work in it."""
        self.create()
        with (self.run / "lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                raise LocalError(
                    f"another `retention` command (process {lock.read().strip()}) is at work in {self.folder}. "
                    "Nothing was done. Wait for it, or stop it with Ctrl-C."
                ) from None
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield


def find_home() -> Home:
    """The installation that this package belongs to."""
    project = Path(__file__).resolve().parents[3]
    if not (project / "dags").is_dir():
        raise LocalError(f"{project} is no checkout of the platform (no folder dags/). Run from a clone: `make run`.")
    folder = os.environ.get("RETENTION_HOME")
    return Home(project, Path(folder).resolve() if folder else project / ".local")
