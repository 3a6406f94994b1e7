"""Where files are dropped: a folder, an SFTP server, an S3 bucket; with the credentials of a Connection."""

import hashlib
import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO
from urllib.parse import parse_qsl, unquote, urlsplit

import fsspec
from fsspec.utils import glob_translate

from retention.extract.copy import CHUNK
from retention.sources.profile import FilesSource

#: A server that does not answer is given up after so many seconds.
PATIENCE = 20
#: Schemes of Connections by the protocol that they speak.
PROTOCOLS = {"sftp": "sftp", "ssh": "sftp", "s3": "s3", "s3a": "s3", "aws": "s3"}


class UnreadableError(OSError):
    """Files cannot be listed or read; the message holds no credentials and nothing of a file's content."""


@dataclass(frozen=True)
class File:
    """A file as listed: `path` opens it, `name` is its path below the glob's first wildcard.

    `bytes` is its stored (perhaps packed) size. `stamp` is what its store says of it without reading: the ETag, else
    the time of its last change.
    """

    path: str
    name: str
    bytes: int
    stamp: str | None


class Content(io.RawIOBase):
    """A file's stored bytes, counted and hashed while they are read."""

    def __init__(self, stream: BinaryIO, words: Callable[[Exception], str]) -> None:
        super().__init__()
        self.stream = stream
        self.words = words
        self.digest = hashlib.sha256()
        self.bytes = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Bytes put into `buffer`; 0 at the end."""
        try:
            data = self.stream.read(len(buffer))
        except Exception as error:  # noqa: BLE001 - drivers raise what they like
            raise UnreadableError(self.words(error)) from None
        self.digest.update(data)
        self.bytes += len(data)
        buffer[: len(data)] = data
        return len(data)


class Drops:
    """An open place of files and the glob in it. Errors are UnreadableError."""

    def __init__(self, filesystem: Any, pattern: str, place: str, secrets: Sequence[str]) -> None:
        self.filesystem = filesystem
        self.pattern = pattern
        self.place = place
        self.secrets = secrets

    def words(self, error: Exception) -> str:
        """What went wrong where, without credentials."""
        return f"{self.place}: {_words(error, self.secrets)}"

    def files(self) -> list[File]:
        """Files that the glob matches, by name; none when nothing matches, an error when the folder is not there."""
        fixed = re.split(r"[*?\[]", self.pattern)[0].rpartition("/")[0]
        below = self.pattern.removeprefix(fixed).lstrip("/")
        depth = None if "**" in below else below.count("/") + 1
        matches = re.compile(glob_translate(self.pattern)).match
        try:
            # Not fsspec's own glob: it takes a folder that cannot be listed for an empty one.
            found = [
                File(info["name"], info["name"].removeprefix(fixed).lstrip("/"), int(info["size"]), _stamp(info))
                for info in self._walk(fixed or "/", depth)
                if matches(info["name"])
            ]
        except Exception as error:  # noqa: BLE001 - drivers raise what they like
            raise UnreadableError(self.words(error)) from None
        return sorted(found, key=lambda file: file.name)

    def _walk(self, folder: str, depth: int | None) -> Iterator[dict[str, Any]]:
        try:
            listed = self.filesystem.ls(folder, detail=True)
        except FileNotFoundError:
            # A bucket has no folders: this one begins with its first file.
            if "s3" in _protocols(self.filesystem) and "/" in folder:
                return
            raise
        for info in listed:
            if info["type"] != "directory":
                yield info
            elif depth != 1 and info["name"].rstrip("/") != folder.rstrip("/"):
                yield from self._walk(info["name"], depth and depth - 1)

    @contextmanager
    def open(self, path: str) -> Iterator[Content]:
        """The stored bytes of a file that `files` found."""
        try:
            stream = self.filesystem.open(path, "rb")
        except Exception as error:  # noqa: BLE001 - drivers raise what they like
            raise UnreadableError(self.words(error)) from None
        with stream:
            yield Content(stream, self.words)

    def sha256(self, path: str) -> str:
        """Hash of a file's stored bytes, which are read whole."""
        with self.open(path) as content:
            while content.read(CHUNK):
                pass
            return content.digest.hexdigest()


@contextmanager
def open_drops(source: FilesSource, connection_url: str | None) -> Iterator[Drops]:
    """The place of a source's files; `connection_url` is that of the Connection it names, None without one.

    Raises UnreadableError when the server cannot be reached or refuses.
    """
    options = storage_options(connection_url) if connection_url is not None else {}
    protocol = source.files.partition("://")[0] if "://" in source.files else "file"
    place = source.files
    if connection_url is not None:
        given = urlsplit(connection_url)
        if PROTOCOLS.get(protocol) != PROTOCOLS[given.scheme]:
            raise UnreadableError(
                f"{place}: connection {source.connection} is for {PROTOCOLS[given.scheme]}, the files are not"
            )
        place = f"{place} ({source.connection})"
    secrets = [word for name in ("username", "password", "key", "secret", "token", "passphrase")
               if len(word := str(options.get(name) or "")) > 2]  # fmt: skip
    try:
        # Fresh: a listing or a server's session of an earlier load must not answer for this one.
        filesystem, pattern = fsspec.url_to_fs(source.files, skip_instance_cache=True, **options)
    except Exception as error:  # noqa: BLE001 - drivers raise what they like
        raise UnreadableError(f"{place}: {_words(error, secrets)}") from None
    try:
        yield Drops(filesystem, pattern, place, secrets)
    finally:
        if "sftp" in _protocols(filesystem):
            filesystem.client.close()


def storage_options(url: str) -> dict[str, Any]:
    """What fsspec needs to know of a Connection given as `scheme://login:password@host:port/?extra=value`.

    sftp (or ssh): extras `key_file`, `passphrase` and `host_key`, the server's public key ('ssh-ed25519 AAAA...'),
    without which any server is believed. s3 (or aws): login and password are the access key and its secret, extras
    `endpoint_url`, `region_name`, `session_token`. Raises UnreadableError, which names no value.
    """
    given = urlsplit(url)
    login, password = (unquote(word) if word else None for word in (given.username, given.password))
    extras = dict(parse_qsl(given.query))
    if extras.get("no_host_key_check") == "true":
        # How Airflow's own connections say what is the default here.
        del extras["no_host_key_check"]
    protocol = PROTOCOLS.get(given.scheme)
    if protocol == "sftp":
        extras = _renamed(extras, {"key_filename": "key_file", "private_key_passphrase": "passphrase"})
        _refuse_unknown(given.scheme, extras, ("key_file", "passphrase", "host_key"))
        options = {
            "host": given.hostname,
            "port": given.port or 22,
            "username": login,
            "password": password,
            "key_filename": extras.get("key_file"),
            "passphrase": extras.get("passphrase"),
            "host_key_policy": _host_key_policy(extras["host_key"]) if "host_key" in extras else None,
            "timeout": PATIENCE,
            "banner_timeout": PATIENCE,
            "auth_timeout": PATIENCE,
            # What happens to lie in the home of whoever runs this is nobody's decision.
            "look_for_keys": False,
            "allow_agent": False,
        }
    elif protocol == "s3":
        extras = _renamed(extras, {"region": "region_name"})
        _refuse_unknown(given.scheme, extras, ("endpoint_url", "region_name", "session_token"))
        options = {
            "key": login,
            "secret": password,
            "token": extras.get("session_token"),
            "endpoint_url": extras.get("endpoint_url"),
            "client_kwargs": {"region_name": extras["region_name"]} if "region_name" in extras else None,
            "config_kwargs": {"connect_timeout": PATIENCE, "read_timeout": PATIENCE, "retries": {"max_attempts": 1}},
            "use_listings_cache": False,
        }
    else:
        raise UnreadableError(f"a connection of the kind {given.scheme or 'unknown'} holds no files: give sftp or s3")
    return {name: value for name, value in options.items() if value is not None}


def _renamed(extras: dict[str, str], names: dict[str, str]) -> dict[str, str]:
    return {names.get(name, name): value for name, value in extras.items()}


def _refuse_unknown(scheme: str, extras: dict[str, str], known: tuple[str, ...]) -> None:
    if unknown := sorted(extras.keys() - set(known)):
        raise UnreadableError(f"extra {unknown[0]} of a {scheme} connection is not known: take {', '.join(known)}")


def _host_key_policy(expected: str) -> Any:
    import paramiko  # type: ignore[import-untyped]

    class OnlyThis(paramiko.MissingHostKeyPolicy):  # type: ignore[misc]
        def missing_host_key(self, _client: object, hostname: str, key: Any) -> None:
            # A plus that nobody escaped in the URL is a blank by now.
            if key.get_base64() not in expected.replace(" ", "+"):
                raise paramiko.SSHException(f"the host key of {hostname} is not that of the connection")

    return OnlyThis()


def _protocols(filesystem: Any) -> tuple[str, ...]:
    protocol = filesystem.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)


def _stamp(info: dict[str, Any]) -> str | None:
    for name in ("ETag", "mtime", "LastModified"):
        if info.get(name) is not None:
            return str(info[name]).strip('"')
    return None


def _words(error: Exception, secrets: Sequence[str]) -> str:
    words = " ".join(str(error).split())
    for secret in secrets:
        words = words.replace(secret, "***")
    return f"{type(error).__name__} {words}".rstrip(". ")
