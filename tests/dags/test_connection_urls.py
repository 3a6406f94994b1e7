"""Airflow's Connections as URLs: each field in its place, whatever characters it has."""

import json
from itertools import product

import pytest
from airflow.sdk import Connection
from sqlalchemy import make_url

from retention import tasks
from retention.sources.urls import UrlError, connection_url, url_of_variable


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        (("postgres", "u", "p@", "h", None, "d"), "postgresql://u:p%40@h:5432/d"),
        ((None, "u", "p", "h", 5433, "d", {"sslmode": "require"}), "postgresql://u:p@h:5433/d?sslmode=require"),
        (("postgres", None, None, "h1,h2", None, None), "postgresql://:@h1,h2:5432/"),
        (("mysql", "u", "a/b#c", "h", 3307, "desk"), "mysql+pymysql://u:a%2Fb%23c@h:3307/desk"),
        (("mariadb", "u", "p", "h", None, "d", {"ssl": {"ca": "c.pem"}}), "mysql+pymysql://u:p@h/d?ssl_ca=c.pem"),
        (("mssql", "u", "p", "h", None, "d"), "mssql+pymssql://u:p@h/d"),
        (("mssql", "u", "p", "h", None, "d", {"sqlalchemy_scheme": "mssql+pyodbc"}), "mssql+pyodbc://u:p@h/d"),
        (("oracle", "u", "p", "h", 1521, "", {"service_name": "x"}), "oracle+oracledb://u:p@h:1521/?service_name=x"),
        (("sqlite", None, None, "/data/x.db", None, None), "sqlite:////data/x.db"),
        (("sftp", "u", "p", "h", 22, None), "sftp://u:p@h:22/"),
        (("aws", "KEY", "se/cret+", None, None, None, {"endpoint_url": "http://s3:9000"}),
         "s3://KEY:se%2Fcret%2B@/?endpoint_url=http%3A%2F%2Fs3%3A9000"),
        (("clickhouse", "u", None, "h", None, "d", {"secure": True}), "clickhouse://u@h/d?secure=true"),
    ],
)  # fmt: skip
def test_the_fields_of_a_connection_make_its_url(fields: tuple[object, ...], url: str) -> None:
    assert connection_url(*fields) == url  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "uri",
    [
        "mysql://reader:p%40%2F%3A@desk.example:3306/helpdesk?charset=utf8mb4",
        "mariadb://reader@desk.example/helpdesk",
        "sqlite:////data/x.db",
        "mssql+pymssql://u:p@h/d",
        "aws://KEY:se%2Fcret@/?endpoint_url=http%3A%2F%2Fs3&region_name=eu",
        "sftp://u:p@h:22/",
        "my-kind://u:p@h/d?__extra__=%7B%22a%22%3A+%7B%22b%22%3A+1%7D%7D",
        "mysql://@/d",
    ],
)
def test_a_variable_is_read_as_airflow_reads_it(uri: str) -> None:
    conn = Connection(conn_id="x", uri=uri)
    fields = {name: getattr(conn, name) for name in ("login", "password", "host", "port", "schema")}
    expected = connection_url(conn.conn_type, **fields, extra=conn.extra_dejson)
    assert url_of_variable(uri) == expected
    assert url_of_variable(json.dumps({"conn_type": conn.conn_type, "extra": conn.extra, **fields})) == expected
    assert url_of_variable(conn.as_json()) == expected


def test_what_sqlalchemy_reads_is_what_was_given() -> None:
    url = make_url(connection_url("mysql", "us:er", "p@s/s?w#d%", "h", 3307, "desk", {"charset": "utf8mb4"}))
    assert (url.username, url.password, url.host, url.port, url.database) == ("us:er", "p@s/s?w#d%", "h", 3307, "desk")
    assert (url.drivername, dict(url.query)) == ("mysql+pymysql", {"charset": "utf8mb4"})


def test_a_uri_of_postgresql_is_libpqs_as_it_is() -> None:
    uri = "postgres://u:p%40@h1:5432,h2:5433/d?sslmode=verify-full&application_name=x"
    assert url_of_variable(uri) == uri.replace("postgres://", "postgresql://")
    assert url_of_variable('{"host": "h", "login": "u", "schema": "d"}') == "postgresql://u:@h:5432/d"


@pytest.mark.parametrize(
    ("scheme", "password"),
    [*product(["postgres", "mysql"], ["se@cret", "pa/cret", "1[cret"]), ("mysql", "cret#x"), ("mysql", "cret?x")],
)
def test_a_uri_that_would_be_cut_in_its_password_is_refused_without_it(scheme: str, password: str) -> None:
    with pytest.raises(UrlError, match="percent-encode") as caught:
        url_of_variable(f"{scheme}://user:{password}@h:5432/d")
    assert "cret" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    # To libpq these are of the password.
    assert url_of_variable("postgres://user:cret?x#y@h/d") == "postgresql://user:cret?x#y@h/d"


def test_tasks_pass_on_the_url_of_their_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_DESK", "mariadb://reader:p%40@desk.example/helpdesk")
    assert tasks._dsn("desk") == "mysql+pymysql://reader:p%40@desk.example/helpdesk"
    monkeypatch.setenv("AIRFLOW_CONN_DESK", "postgres://reader:p%40@desk.example/helpdesk?sslmode=require")
    assert tasks._dsn("desk") == "postgresql://reader:p%40@desk.example:5432/helpdesk?sslmode=require"
