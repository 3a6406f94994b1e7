"""Drops on a real SFTP server and a real S3-compatible one, both in this process on free ports of 127.0.0.1."""

import asyncio
import gzip
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import asyncssh
import boto3
import pytest
from extract_kit import Bench
from files_kit import HEADER, call, empty_bench, seconds_by_attempt
from moto.server import ThreadedMotoServer

from retention.extract import ExtractError
from retention.extract.drops import Drops, UnreadableError, storage_options
from retention.local.postgres import Cluster
from retention.sources.doctor import diagnose
from retention.sources.profile import load_profile
from retention.sources.urls import url_of_variable

if TYPE_CHECKING:
    from tests.conftest import Warehouse

TABLE = "vendor.call_attempts"
USER, PASSWORD = "vendor", "s3cret/of:the@vendor"
QUOTED = "s3cret%2Fof%3Athe%40vendor"


@pytest.fixture
def bench(cluster: Cluster, shared_warehouse: "Warehouse", tmp_path: Path) -> Bench:
    return empty_bench(cluster, shared_warehouse, tmp_path)


def profile(glob: str) -> str:
    return f'zone: UTC\ntables:\n  {TABLE}: {{files: "{glob}", connection: drops}}\n'


class PasswordOnly(asyncssh.SSHServer):
    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == (USER, PASSWORD)


@dataclass
class Sftp:
    """A server that shows `root` as /; `opened` are the files that clients opened."""

    root: Path
    port: int = 0
    host_key: str = ""
    key_file: Path | None = None
    opened: list[str] = field(default_factory=list)
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def serve(self, folder: Path) -> None:
        key, own = asyncssh.generate_private_key("ssh-ed25519"), asyncssh.generate_private_key("ssh-ed25519")
        self.host_key = key.export_public_key().decode().strip()
        self.key_file = folder / "id"
        own.write_private_key(self.key_file)
        own.write_public_key(folder / "authorized")
        server = self

        class Rooted(asyncssh.SFTPServer):
            def __init__(self, chan: asyncssh.SSHServerChannel) -> None:  # type: ignore[type-arg]
                super().__init__(chan, chroot=os.fsencode(server.root))

            def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
                server.opened.append(Path(os.fsdecode(path)).name)
                return super().open(path, pflags, attrs)

            def read(self, file_obj: object, offset: int, size: int) -> object:
                if server.opened[-1] == "cut.csv" and offset:
                    raise asyncssh.SFTPConnectionLost("planted")
                return super().read(file_obj, offset, size)

            def scandir(self, path: bytes) -> object:
                if path.endswith(b"locked"):
                    raise asyncssh.SFTPPermissionDenied("planted")
                return super().scandir(path)

        async def listen() -> None:
            listener = await asyncssh.listen(
                "127.0.0.1", 0, server_factory=PasswordOnly, server_host_keys=[key], sftp_factory=Rooted,
                authorized_client_keys=str(folder / "authorized"),
            )  # fmt: skip
            server.port = listener.get_port()

        self.loop.run_until_complete(listen())
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def url(self, password: str = QUOTED, **extras: str) -> str:
        query = "&".join(f"{name}={value.replace(' ', '%20').replace('+', '%2B')}" for name, value in extras.items())
        return f"sftp://{USER}:{password}@127.0.0.1:{self.port}/" + (f"?{query}" if query else "")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sftp]:
    sftp = Sftp(tmp_path_factory.mktemp("sftp"))
    sftp.serve(tmp_path_factory.mktemp("keys"))
    yield sftp
    sftp.loop.call_soon_threadsafe(sftp.loop.stop)


@pytest.fixture
def sftp(server: Sftp, request: pytest.FixtureRequest) -> Sftp:
    """The server with an empty folder /<test>/calls."""
    (server.root / request.node.name / "calls").mkdir(parents=True)
    server.opened.clear()
    return server


def put(sftp: Sftp, folder: str, name: str, text: str, at: int) -> None:
    path = sftp.root / folder / "calls" / name
    path.write_text(text)
    os.utime(path, (at, at))


def test_sftp_each_file_once_and_known_ones_unread(bench: Bench, sftp: Sftp, request: pytest.FixtureRequest) -> None:
    folder, drops = request.node.name, {"drops": url_of_variable(sftp.url(host_key=sftp.host_key))}
    text = profile(f"sftp:///{folder}/calls/*.csv")
    put(sftp, folder, "1.csv", HEADER + call("a", 1), at=1_000)
    put(sftp, folder, "2.csv", HEADER + call("b", 1), at=1_000)
    first = bench.load(TABLE, text, connections=drops)
    assert (first.rows_read, first.keys_new, sorted(sftp.opened)) == (2, 2, ["1.csv", "2.csv"])
    assert bench.query("select file, stamp from ops.files order by 1") == [
        ("1.csv", "1970-01-01 00:16:40+00:00"), ("2.csv", "1970-01-01 00:16:40+00:00"),
    ]  # fmt: skip

    sftp.opened.clear()
    assert bench.load(TABLE, text, connections=drops).rows_read == 0
    assert sftp.opened == []

    # Of the same size, another time and other content; the other file was only touched.
    put(sftp, folder, "1.csv", HEADER + call("a", 2), at=2_000)
    put(sftp, folder, "2.csv", HEADER + call("b", 1), at=2_000)
    again = bench.load(TABLE, text, connections=drops)
    assert (again.rows_read, again.rows_appended, {*sftp.opened}) == (1, 1, {"1.csv", "2.csv"})
    sftp.opened.clear()
    bench.load(TABLE, text, connections=drops)
    assert sftp.opened == []
    assert seconds_by_attempt(bench) == {"a": 2, "b": 1}


def test_sftp_by_key_and_the_doctor_looks_there_too(bench: Bench, sftp: Sftp, request: pytest.FixtureRequest) -> None:
    folder = request.node.name
    drops = {"drops": f"ssh://{USER}@127.0.0.1:{sftp.port}/?key_file={sftp.key_file}"}
    put(sftp, folder, "1.csv", HEADER + call("a"), at=1_000)
    assert bench.load(TABLE, profile(f"sftp:///{folder}/calls/*.csv"), connections=drops).keys_new == 1
    read = load_profile(bench.folder / "profile.yml")
    assert read.connections == ["drops"]
    found = {table.table: table for table in diagnose(read, drops).tables}[TABLE]
    assert (found.state, found.unmapped) == ("ready", ("ignored",))
    assert found.origin == f"1 files of sftp:///{folder}/calls/*.csv"


def refused(bench: Bench, text: str, url: str, *secrets: str) -> str:
    """The message of a load that fails, after looking that nothing was loaded and no credential told."""
    with pytest.raises(ExtractError, match=r"^vendor\.call_attempts: files cannot be read: .*Nothing of") as caught:
        bench.load(TABLE, text, connections={"drops": url})
    assert bench.query("select count(*) from ops.loads") == [(0,)]
    diagnosis = diagnose(load_profile(bench.folder / "profile.yml"), {"drops": url})
    found = {table.table: table for table in diagnosis.tables}
    assert found[TABLE].state == "unreachable"
    chain = [caught.value, caught.value.__cause__, caught.value.__context__]
    told = f"{chain} {found[TABLE]}"
    assert not [secret for secret in (PASSWORD, QUOTED, *secrets) if secret in told]
    return str(caught.value)


def test_sftp_that_cannot_be_read_is_an_error(bench: Bench, sftp: Sftp, request: pytest.FixtureRequest) -> None:
    folder = request.node.name
    text = profile(f"sftp:///{folder}/calls/*.csv")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"sftp://{USER}:{QUOTED}@127.0.0.1:{free.getsockname()[1]}/"
        assert "Unable to connect" in refused(bench, text, nobody)
    assert "AuthenticationException" in refused(bench, text, sftp.url("wrong-password"), "wrong-password")
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    assert "is not that of the connection" in refused(bench, text, sftp.url(host_key=other))
    assert "FileNotFoundError" in refused(bench, text.replace("/calls/", "/cals/"), sftp.url())
    # A file that breaks off in the middle is no shorter file, a folder that may not be looked into no empty one.
    put(sftp, folder, "cut.csv", HEADER + "".join(call(str(number)) for number in range(50_000)), at=1_000)
    assert "OSError" in refused(bench, text, sftp.url())
    (sftp.root / folder / "calls" / "cut.csv").unlink()
    (sftp.root / folder / "locked").mkdir()
    assert "Permission" in refused(bench, text.replace("/calls/", "/*/"), sftp.url())
    assert "connection drops is for s3, the files are not" in refused(bench, text, "s3://key:secret@")


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The endpoint of an S3-compatible server."""
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    yield f"http://{host}:{port}"
    moto.stop()


def test_s3_each_file_once_and_known_ones_unread(bench: Bench, s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The caller's own AWS settings must not help.
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    bucket = boto3.resource("s3", endpoint_url=s3, region_name="eu-north-1", aws_access_key_id="AKIA1",
                            aws_secret_access_key=PASSWORD).create_bucket(
        Bucket="drops", CreateBucketConfiguration={"LocationConstraint": "eu-north-1"})  # fmt: skip
    drops = {"drops": url_of_variable(f"aws://AKIA1:{QUOTED}@/?endpoint_url={s3}&region_name=eu-north-1")}
    text = profile("s3://drops/vendor/calls/**/*.csv.gz")
    # A bucket without the folder: nothing was dropped yet.
    assert bench.load(TABLE, text, connections=drops).rows_read == 0

    def put_object(name: str, rows: str) -> None:
        bucket.put_object(Key=f"vendor/calls/{name}", Body=gzip.compress((HEADER + rows).encode(), mtime=0))

    put_object("2026/1.csv.gz", call("a", 1))
    put_object("2026/2.csv.gz", call("b", 1))
    bucket.put_object(Key="vendor/calls/readme.txt", Body=b"not a drop")
    first = bench.load(TABLE, text, connections=drops)
    assert (first.rows_read, first.keys_new) == (2, 2)
    etags = dict(bench.query("select file, stamp from ops.files"))
    assert etags == {
        key.removeprefix("vendor/calls/"): bucket.Object(key).e_tag.strip('"')
        for key in ("vendor/calls/2026/1.csv.gz", "vendor/calls/2026/2.csv.gz")
    }

    opened: list[str] = []
    really = Drops.open
    monkeypatch.setattr(Drops, "open", lambda drops, path: opened.append(path) or really(drops, path))
    assert bench.load(TABLE, text, connections=drops).rows_read == 0
    assert opened == []
    put_object("2026/1.csv.gz", call("a", 2))
    assert bench.load(TABLE, text, connections=drops).rows_appended == 1
    assert {*opened} == {"drops/vendor/calls/2026/1.csv.gz"}
    assert seconds_by_attempt(bench) == {"a": 2, "b": 1}


def test_s3_that_cannot_be_read_is_an_error(bench: Bench, s3: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
        url = f"s3://AKIA1:{QUOTED}@/?endpoint_url={nobody}&region=eu-north-1"
        assert "EndpointConnectionError" in refused(bench, profile("s3://drops/*.csv"), url, "AKIA1")
    url = f"s3://AKIA1:{QUOTED}@/?endpoint_url={s3}&region=eu-north-1"
    assert "FileNotFoundError" in refused(bench, profile("s3://no-such-bucket/*.csv"), url, "AKIA1")


def test_a_connection_says_what_the_drivers_take() -> None:
    options = storage_options(f"sftp://me:{QUOTED}@sftp.example:2022/?key_file=/k&passphrase=p")
    assert {options[name] for name in ("host", "port", "username", "password", "key_filename", "passphrase")} == {
        "sftp.example", 2022, "me", PASSWORD, "/k", "p",
    }  # fmt: skip
    assert storage_options("s3://?region=eu-north-1")["client_kwargs"] == {"region_name": "eu-north-1"}
    for url, words in (
        ("postgresql://u:p@h/d", "kind postgresql holds no files"),
        ("sftp://u:p@h/?role_arn=x", "extra role_arn of a sftp connection is not known"),
    ):
        with pytest.raises(UnreadableError, match=words):
            storage_options(url)
