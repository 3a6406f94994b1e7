"""Airflow Connections as URLs: libpq's for PostgreSQL, SQLAlchemy's for other databases, plain ones for the rest."""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

#: Schemes by conn_type, with the drivers that are installed or usual. What is not here is a scheme itself.
SCHEMES = {
    "postgres": "postgresql",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
    "mssql": "mssql+pymssql",
    "oracle": "oracle+oracledb",
    "aws": "s3",
}
POSTGRES_PORT = 5432
#: Airflow's name for extras that are no flat words, in a Connection's URI.
EXTRA_KEY = "__extra__"


NOT_A_URL = "the connection's URL is not one: percent-encode its user and its password"
#: A host of a URL with its port, as it may be.
HOST = re.compile(r"(\[[^\]]*\]|[^:@]*)(:\d*)?")


class UrlError(ValueError):
    """What is given for a URL is none; the message holds nothing of it."""


def connection_url(
    conn_type: str | None,
    login: str | None = None,
    password: str | None = None,
    host: str | None = None,
    port: int | None = None,
    schema: str | None = None,
    extra: Mapping[str, Any] | None = None,
) -> str:
    """A URL from the fields of an Airflow Connection; without a type it is PostgreSQL's.

    Extras become the query, nested ones with both names: {"ssl": {"ca": ...}} is `ssl_ca=...`. The extra
    `sqlalchemy_scheme` names another driver.
    """
    kind = conn_type or "postgres"
    options = _flat(extra or {})
    scheme = options.pop("sqlalchemy_scheme", None) or SCHEMES.get(kind, kind.replace("_", "-"))
    query = f"?{urlencode(options, quote_via=quote)}" if options else ""
    if scheme.startswith("sqlite"):
        return f"{scheme}:///{host or schema or ''}{query}"
    is_postgres = scheme == "postgresql"
    # Several hosts, or an address of IPv6, are one to libpq.
    place = quote(host or "", safe=",:[]") + (f":{port or POSTGRES_PORT}" if port or is_postgres else "")
    user = ""
    if login or password or is_postgres:
        user = _quoted(login) + (f":{_quoted(password)}" if password or is_postgres else "") + "@"
    return f"{scheme}://{user}{place}/{_quoted(schema)}{query}"


def url_of_variable(value: str) -> str:
    """The same from an AIRFLOW_CONN_* variable: a Connection as JSON or as Airflow's URI.

    Raises UrlError for a URI that would be cut inside its password, ValueError for other texts.
    """
    if value.lstrip().startswith("{"):
        given: dict[str, Any] = json.loads(value)
        extra = given.get("extra") or {}
        return connection_url(
            _normalised(str(given.get("conn_type") or "")),
            given.get("login"),
            given.get("password"),
            given.get("host"),
            int(given["port"]) if given.get("port") else None,
            given.get("schema"),
            json.loads(extra) if isinstance(extra, str) else extra,
        )
    try:
        parts = urlsplit(value)
    except ValueError:
        raise UrlError(NOT_A_URL) from None
    kind = _normalised(parts.scheme)
    is_libpq = kind == "postgres" and EXTRA_KEY not in value
    # To libpq a password ends at the first @ or /, also behind a question mark.
    place = value.partition("://")[2].partition("/")[0] if is_libpq else parts.netloc
    hosts = re.split("[?#]", place.partition("@")[2] if "@" in place else place)[0]
    if not all(HOST.fullmatch(host) for host in hosts.split(",")):
        raise UrlError(NOT_A_URL)
    if is_libpq:
        # It is libpq's already.
        return re.sub(r"^[a-z]+://", "postgresql://", value)
    extra = dict(parse_qsl(parts.query, keep_blank_values=True))
    if EXTRA_KEY in extra:
        extra = json.loads(extra[EXTRA_KEY])
    login, password, path = (unquote(part) if part else None for part in (parts.username, parts.password, parts.path))
    return connection_url(kind, login, password, unquote(parts.hostname or ""), parts.port, (path or "")[1:], extra)


def _normalised(kind: str) -> str:
    return "postgres" if kind == "postgresql" else kind.replace("-", "_")


def _quoted(part: str | None) -> str:
    return quote(part or "", safe="")


def _flat(extra: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in extra.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{key}_")
        elif value is not None:
            found[prefix + key] = str(value).lower() if isinstance(value, bool) else str(value)
    return found
