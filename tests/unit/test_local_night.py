"""What a person is shown of a task's log while it runs."""

from pathlib import Path

from retention.local.night import PROGRESS_LOGGER, last_told
from retention.text import store


def test_the_last_word_of_a_reading_is_shown(tmp_path: Path) -> None:
    assert store.log.name == PROGRESS_LOGGER
    log = tmp_path / "attempt=1.log"
    assert last_told(log) is None
    log.write_text('{"event": "began", "logger": "task"}\nno json\n')
    assert last_told(log) is None
    line = '{"event": "replies: %s of 9", "level": "info", "logger": "retention.text.store"}\n'
    with log.open("a") as stream:
        stream.write(line % 3 + line % 6 + '{"event": "half a li')
    assert last_told(log) == "replies: 6 of 9"
