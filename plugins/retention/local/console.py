"""What a person sees while things work: finished steps as lines; on a terminal, what runs now in a line below."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.status import Status

LOG_EVERY_SECONDS = 5.0


class Progress:
    """Lines of `step  rows  seconds`; the same on a terminal and in a log file."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._status: Status | None = None
        self._counted_at = time.monotonic()

    def step(self, name: str, rows: int | None, seconds: float) -> None:
        """A finished step: rows it wrote (if it counts them) and wall-clock seconds."""
        counted = "" if rows is None else f"{rows:,} rows"
        self.console.print(
            f"  [green]done[/]  {escape(name):<34} {counted:>16} {seconds:>7.1f} s", highlight=False, soft_wrap=True
        )

    def say(self, text: str) -> None:
        """A line of its own: what comes next."""
        self.console.print(f"  {escape(text)}", highlight=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        """Something that may still turn out well."""
        self.console.print(f"  [yellow]again[/] {escape(text)}", highlight=False, soft_wrap=True)

    def running(self, names: list[str]) -> None:
        """What is at work now; shown on a terminal only."""
        if self._status is not None:
            self._status.update(", ".join(names) if names else "waiting for the scheduler")

    def count(self, name: str, rows: int) -> None:
        """How far a long step has come: on a terminal at once, in a log every few seconds."""
        text = f"{name}  {rows:,} rows"
        if self._status is not None:
            self._status.update(text)
        elif time.monotonic() - self._counted_at >= LOG_EVERY_SECONDS:
            self._counted_at = time.monotonic()
            self.console.print(f"  ...   {escape(text)}", highlight=False, soft_wrap=True)

    @contextmanager
    def doing(self, name: str) -> Iterator[None]:
        """Time a piece of work and show it as a step; nothing is shown as done when it fails."""
        began = time.monotonic()
        with self.live(name):
            yield
        self.step(name, None, time.monotonic() - began)

    @contextmanager
    def live(self, first: str) -> Iterator[None]:
        """A status line for the time of the block; only one at a time."""
        if self._status is not None or not self.console.is_terminal:
            yield
            return
        with self.console.status(first) as status:
            self._status = status
            try:
                yield
            finally:
                self._status = None
