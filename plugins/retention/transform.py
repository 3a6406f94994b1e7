"""dbt in process: parse once, refresh what changed in full, run the rest incrementally.

A parse costs 5-10 s of CPU, so an invocation serves a whole layer and the manifest is reused. Each model has a hash of
its code, configuration, the project's macros it calls, and everything upstream; a hash that differs from the one last
applied refreshes the model, and so everything that depends on it.
"""

import errno
import hashlib
import json
import logging
import os
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psycopg2.extensions import make_dsn, parse_dsn

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

log = logging.getLogger(__name__)

Progress = Callable[[str, int, float], None]
_QUOTED_VALUE = re.compile(r'(: |=)(\(?"?[^"\n]*"?\)?)$')
#: What the operating system says stands where a value may stand, and is what a person needs: no space, refused.
_SYSTEM_ERRORS = frozenset(map(os.strerror, errno.errorcode))


class TransformError(RuntimeError):
    """A model or seed failed; the message names it and the database's error without row values."""


@dataclass(frozen=True)
class Project:
    """Where dbt works: the project, a folder for its artefacts, the warehouse, and the schemas it builds into."""

    folder: Path
    target: Path
    dsn: str
    slot: str = "marts_a"
    schema_prefix: str = ""
    run_schema: str = "ops"

    def environment(self) -> dict[str, str]:
        """The environment variables the project's profile and schema macro read."""
        parts = parse_dsn(make_dsn(self.dsn))
        return {
            "RETENTION_WAREHOUSE_HOST": parts["host"],
            "RETENTION_WAREHOUSE_PORT": parts.get("port", "5432"),
            "RETENTION_WAREHOUSE_USER": parts["user"],
            "RETENTION_WAREHOUSE_PASSWORD": parts["password"],
            "RETENTION_WAREHOUSE_DBNAME": parts["dbname"],
            "RETENTION_SLOT": self.slot,
            "RETENTION_SCHEMA_PREFIX": self.schema_prefix,
            "RETENTION_RUN_SCHEMA": self.run_schema,
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        }


@dataclass
class Built:
    """What a build did: rows written and seconds by node name, and which nodes were refreshed in full."""

    rows: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    refreshed: list[str] = field(default_factory=list)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def without_values(message: str) -> str:
    """A database error as dbt reports it, less everything that may quote a row: details, contexts, quoted values."""
    lines = [line.strip() for line in message.splitlines()]
    kept = [line for line in lines if line and not line.startswith(("DETAIL", "CONTEXT", "LINE", "HINT", "^", "Key ("))]
    return " ".join(_QUOTED_VALUE.sub(_hide, line) for line in kept[:3])


def _hide(found: re.Match[str]) -> str:
    return found[0] if found[2] in _SYSTEM_ERRORS else f"{found[1]}<value>"


class Dbt:
    """One parsed project, ready to build layers of it."""

    def __init__(self, project: Project, on_progress: Progress | None = None) -> None:
        """Parse the project; TransformError when it does not parse."""
        self.project = project
        self._on_progress = on_progress
        self._manifest: Manifest | None = None
        self._pinned: dict[str, str] = {}
        started = time.perf_counter()
        result = self._invoke(["parse"])
        self._manifest = result.result
        log.info("dbt parsed the project in %.1f s", time.perf_counter() - started)

    @property
    def manifest(self) -> "Manifest":
        """The parsed project."""
        assert self._manifest is not None
        return self._manifest

    def hashes(self, layer: str) -> dict[str, str]:
        """Cumulative hash (own code and everything upstream) of the models and seeds whose path lies in `layer`."""
        known = dict(self._pinned)
        nodes = self.manifest.nodes
        wanted = {
            uid: node for uid, node in nodes.items()
            if node.resource_type in ("model", "seed") and layer in (node.fqn[1], node.resource_type.value)
        }  # fmt: skip
        return {nodes[uid].name: self._hash(uid, known) for uid in wanted}

    def pin_seeds(self, hashes: Mapping[str, str]) -> None:
        """Go on as if these seeds had the hashes that were applied: nothing is built for what changed since."""
        nodes = self.manifest.nodes
        self._pinned = {
            uid: hashes[node.name] for uid, node in nodes.items()
            if node.resource_type == "seed" and node.name in hashes
        }  # fmt: skip

    def digest(self, *layers: str) -> str:
        """One hash of everything in `layers`."""
        parts = sorted(digest for layer in layers for digest in self.hashes(layer).values())
        return hashlib.sha256("".join(parts).encode()).hexdigest()

    def code_digest(self, text_model: Path) -> str:
        """One hash of the models, of the Python that writes what they read, and of the model of texts."""
        package = Path(__file__).parent
        sources = sorted(path for room in ("text", "outcomes") for path in (package / room).glob("*.py"))
        digest = hashlib.sha256(self.digest("staging", "intermediate", "marts").encode())
        for path in (*sources, text_model):
            digest.update(path.read_bytes())
        return digest.hexdigest()

    def _hash(self, uid: str, known: dict[str, str]) -> str:
        if uid not in known:
            node = self.manifest.nodes[uid]
            parts: list[str] = [str(node.checksum.checksum)]
            if node.resource_type == "model":
                config = node.config.to_dict(omit_none=True)
                keys = ("materialized", "unique_key", "incremental_strategy", "pre-hook", "post-hook", "indexes")
                parts.append(json.dumps({key: config.get(key) for key in keys}, sort_keys=True, default=str))
                # What analysts may read is granted when the table is made.
                parts += sorted(name for name, c in node.columns.items() if c.config.meta.get("pii"))
                parts += sorted(self._macro_sources(node.depends_on.macros, set()))
                parents = (parent for parent in node.depends_on.nodes if parent in self.manifest.nodes)
                parts += sorted(self._hash(parent, known) for parent in parents)
            known[uid] = hashlib.sha256("\x00".join(parts).encode()).hexdigest()
        return known[uid]

    def _macro_sources(self, names: Sequence[str], seen: set[str]) -> set[str]:
        """The text of the project's own macros among `names` and of those they call."""
        sources: set[str] = set()
        for name in names:
            macro = self.manifest.macros.get(name)
            if macro is None or name in seen or macro.package_name != self.manifest.metadata.project_name:
                continue
            seen.add(name)
            sources.add(macro.macro_sql)
            sources |= self._macro_sources(macro.depends_on.macros, seen)
        return sources

    def build_seeds(self, applied: Mapping[str, str | None]) -> Built:
        """Load the seeds whose hash differs from the one last applied."""
        changed = sorted(name for name, digest in self.hashes("seed").items() if applied.get(name) != digest)
        built = Built(refreshed=changed)
        if changed:
            self._run(["seed", "--full-refresh", "--select", *changed], built)
        return built

    def upstream(self, name: str, kind: str = "model") -> set[str]:
        """What a model is built from, of one kind: models (itself, too) or seeds."""
        nodes = self.manifest.nodes
        waiting = [uid for uid, node in nodes.items() if node.name == name and node.resource_type == "model"]
        if not waiting:
            raise TransformError(f"there is no model {name} in {self.project.folder}: nothing was built")
        seen = set(waiting)
        while waiting:
            node = nodes[waiting.pop()]
            parents = node.depends_on.nodes if node.resource_type == "model" else ()
            fresh = {uid for uid in parents if uid in nodes} - seen
            seen |= fresh
            waiting += fresh
        return {nodes[uid].name for uid in seen if nodes[uid].resource_type == kind}

    def build_models(
        self, layers: Sequence[str], applied: Mapping[str, str | None], only: Collection[str] | None = None
    ) -> Built:
        """Run the models of `layers` (among `only`): those with a changed hash in full, after the others."""
        current = {name: digest for layer in layers for name, digest in self.hashes(layer).items()}
        if only is not None:
            current = {name: digest for name, digest in current.items() if name in only}
        changed = sorted(name for name, digest in current.items() if applied.get(name) != digest)
        unchanged = sorted(set(current) - set(changed))
        built = Built(refreshed=changed)
        if unchanged:
            self._run(["run", "--select", *unchanged], built)
        if changed:
            self._run(["run", "--full-refresh", "--select", *changed], built)
        return built

    def _run(self, arguments: list[str], built: Built) -> None:
        result = self._invoke(arguments)
        for one in result.result.results:
            name = one.node.name
            built.rows[name] = int((one.adapter_response or {}).get("rows_affected") or 0)
            built.seconds[name] = float(one.execution_time)

    def _invoke(self, arguments: list[str]) -> Any:
        from dbt.cli.main import dbtRunner

        flags = [
            "--project-dir", str(self.project.folder), "--profiles-dir", str(self.project.folder),
            "--target-path", str(self.project.target), "--log-path", str(self.project.target / "logs"),
        ]  # fmt: skip
        # dbt's own log would print database errors whole, row values included: errors are reported by us instead.
        quiet = ["--quiet", "--log-level", "none", "--log-level-file", "none"]
        with _environment(self.project.environment()):
            result = dbtRunner(manifest=self._manifest, callbacks=[self._report]).invoke([*quiet, *arguments, *flags])
        if result.success:
            return result
        if result.exception is not None:
            raise TransformError(f"dbt {arguments[0]}: {without_values(str(result.exception))}") from None
        failed = [one for one in result.result.results if str(one.status) in ("error", "fail")]
        skipped = sum(str(one.status) == "skipped" for one in result.result.results)
        lines = "; ".join(f"{one.node.name}: {without_values(str(one.message))}" for one in failed)
        raise TransformError(f"dbt {arguments[0]}: {lines}. {skipped} models after it were not built.")

    def _report(self, event: Any) -> None:
        if self._on_progress is None or event.info.name != "LogModelResult":
            return
        self._on_progress(event.data.node_info.node_name, 0, event.data.execution_time)
