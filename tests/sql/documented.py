"""Queries of a page of the documentation, and the cells of retention_metrics that they rebuild."""

import re
from collections.abc import Iterator

from planting import PROJECT, Planted

#: n and numerator by metric, breakdown, member and horizon (0 where the query names none).
Cells = dict[tuple[str, str, str, int], tuple[int, int]]


def queries(page: str, schema: str) -> list[str]:
    """Every SQL block of docs/`page`, over the marts of `schema`."""
    text = (PROJECT.parent / "docs" / page).read_text(encoding="utf-8")
    return [query.replace("marts.", f"{schema}.") for query in re.findall(r"```sql\n(.*?)```", text, flags=re.DOTALL)]


def rebuilt(planted: Planted, page: str, schema: str, about: str = "") -> Iterator[Cells]:
    """What each query that gives n and numerator of cells, and holds the words `about`, gives."""
    for query in queries(page, schema):
        if "as numerator" not in query or about not in query:
            continue
        with planted.conn, planted.conn.cursor() as cur:
            cur.execute(query)
            assert cur.description is not None
            names = [column.name for column in cur.description]
            rows = [dict(zip(names, row, strict=True)) for row in cur.fetchall()]
        yield {
            (row["metric"], row["breakdown"], row["member"], row.get("horizon_days", 0)): (row["n"], row["numerator"])
            for row in rows
            if row["n"]
        }


def published(planted: Planted, table: str) -> Cells:
    """The same of a table of metrics of one night, of all levels and segments, by horizon and without; n > 0 only."""
    rows = planted.rows(
        f"""select metric, breakdown, member, horizon_days, n, numerator from {table}
        where n > 0 and level = 'all' and segment = 'all'"""
    )
    return {(*place, days): (n, numerator) for *place, horizon, n, numerator in rows for days in (horizon, 0)}
