"""The warehouse's disk is full in mid-load and in mid-build: said by step and without values; given space, all is well.

The disk is a tmpfs that is made smaller while a step is at work, and large again afterwards.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fault_kit import BUILDING, LAYERS, LOADING, NIGHT_2, Mould, Reader, Site, Strike, run

from harness import hashes
from retention.extract.errors import ExtractError
from retention.transform import TransformError

pytest_plugins = ["moulds"]
pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

ROOMY = "2g"


def resize(disk: Path, size: str) -> bool:
    """Give the tmpfs another size; False when more is taken."""
    return subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=False).returncode == 0


def fill(disk: Path) -> None:
    """Leave no space but what is taken."""
    for _ in range(100):
        blocks = os.statvfs(disk)
        # Somebody is writing: what is taken now may be more already.
        if resize(disk, str((blocks.f_blocks - blocks.f_bfree + 4) * blocks.f_frsize)):
            return
    raise AssertionError(f"{disk} could not be made smaller")


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("disk")
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={ROOMY}", "tmpfs", str(folder)],
        check=False,
        capture_output=True,
        text=True,
    )
    if mount.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted here (root with CAP_SYS_ADMIN needed): {mount.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture(scope="module")
def site(mould: Mould, disk: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with mould.cast(disk) as site:
        # Only PostgreSQL's disk is full.
        yield replace(site, work=tmp_path_factory.mktemp("work"))


def test_a_full_disk_in_mid_load_and_in_mid_build(mould: Mould, site: Site, disk: Path) -> None:
    spec = site.clone("night_1", "full")
    with Reader(site.warehouse("full").dsn("bi_reader"), survives=True) as reader:
        for first, last, at_work, error, said in (
            ("extract", "extract", LOADING, ExtractError, r"^\w+\.\w+: .*Nothing of this table was loaded"),
            ("extract", "transform", BUILDING.format("intermediate"), TransformError, r"^dbt run: "),
            ("transform", "build_marts", BUILDING.format("marts_b"), TransformError, r"^dbt run: "),
        ):  # fmt: skip
            with pytest.raises(error, match=said) as failure, Strike(site.cluster, at_work, lambda: fill(disk)):
                run(spec.night("night 2"), NIGHT_2, first, last)
            assert re.search("DiskFull|No space left on device|connection", str(failure.value))
            assert not re.search(r"\d{9,}|@|[А-Яа-я]", str(failure.value)), "a value of a row?"
            assert resize(disk, ROOMY)
            if not site.cluster.is_running():
                # No space for its log is the end of a PostgreSQL: whoever gives space starts it again.
                site.cluster.start()
        run(spec.night("night 2"), NIGHT_2, "build_marts")
    assert hashes(spec.etl_dsn, *LAYERS) == mould.hashes[1]
    assert reader.failure is None
    assert reader.seen == {frozenset({1}), frozenset({2})}
