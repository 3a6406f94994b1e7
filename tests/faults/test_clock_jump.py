"""The clock jumps by years, of what runs the night and then of the server: nothing computed depends on it."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_kit import LAYERS, NIGHT_2, NIGHT_3, Mould, Site, exit_code

from harness import NightSpec, hashes, scalar

pytest_plugins = ["moulds"]
pytestmark = [pytest.mark.deep, pytest.mark.timeout(900)]

#: Loaded before the C library, it moves the wall clock and nothing else. Debian's libfaketime also takes over sleeping
#: and waiting, and lets threads hang.
SHIM = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

int clock_gettime(clockid_t id, struct timespec *t) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(id, t);
    char *jump = getenv("CLOCK_JUMP_SECONDS");
    if (!failed && jump && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) t->tv_sec += atol(jump);
    return failed;
}

int gettimeofday(struct timeval *t, void *zone) {
    struct timespec now;
    int failed = clock_gettime(CLOCK_REALTIME, &now);
    t->tv_sec = now.tv_sec, t->tv_usec = now.tv_nsec / 1000;
    return failed;
}

time_t time(time_t *t) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (t) *t = now.tv_sec;
    return now.tv_sec;
}
"""


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled shim."""
    folder = tmp_path_factory.mktemp("shim")
    # The server runs as another user.
    folder.chmod(0o755)
    (folder / "jump.c").write_text(SHIM)
    if shutil.which("cc") is None:
        pytest.skip("no C compiler to make a clock that jumps (Debian: apt-get install gcc libc6-dev)")
    command = ["cc", "-shared", "-fPIC", "-O2", "-o", str(folder / "jump.so"), str(folder / "jump.c"), "-ldl"]
    subprocess.run(command, check=True)
    return folder / "jump.so"


def jump(monkeypatch: pytest.MonkeyPatch, shim: Path, days: int) -> None:
    """Programs started from now on live so many days later; their pauses last as long as ever."""
    monkeypatch.setenv("LD_PRELOAD", str(shim))
    monkeypatch.setenv("CLOCK_JUMP_SECONDS", str(days * 86_400))


@pytest.fixture(scope="module")
def site(mould: Mould, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with mould.cast(tmp_path_factory.mktemp("clock")) as site:
        yield site


def complete(spec: NightSpec, log: Path, night: int) -> None:
    """Run a night in processes of its own, as the clock now is for new programs."""
    as_of = {2: NIGHT_2, 3: NIGHT_3}[night]
    process = spec.start_in_a_process(as_of, "extract", log, f"night {night}")
    assert exit_code(process, 400) == 0, log.read_text()[-2000:]


def test_nights_with_clocks_that_jump(
    mould: Mould, site: Site, shim: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spec = site.clone("night_1", "jumped")
    log = tmp_path / "night.log"
    with monkeypatch.context() as ahead:
        jump(ahead, shim, 400)
        complete(spec, log, 2)
    assert hashes(spec.etl_dsn, *LAYERS) == mould.hashes[1]

    real = scalar(spec.etl_dsn, "select clock_timestamp()")
    site.cluster.stop()
    with monkeypatch.context() as back:
        jump(back, shim, -800)
        site.cluster.start()
    assert scalar(spec.etl_dsn, "select clock_timestamp() < %s - interval '799 days'", real)
    complete(spec, log, 3)
    assert hashes(spec.etl_dsn, *LAYERS) == mould.hashes[2]
    # In the books each moment is the server's, however it jumped.
    first = "select batch_id from ops.batches order by published_at limit 1"
    assert scalar(spec.etl_dsn, first) == 3
