"""The gate every DAG file passes, and the program that Airflow's import runs in: a process of its own."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

MAX_LINES = 60
MAX_PARSE_SECONDS = 1.0
#: Imports Airflow first, as the dag-processor has, then times each file.
_PARSE = """
import json, sys, time
from pathlib import Path
from airflow.dag_processing.dagbag import DagBag
from airflow._shared.module_loading.file_discovery import find_path_from_directory
from airflow.sdk import dag, task
plugins = [Path(path).name for path in find_path_from_directory(sys.argv[2], ".airflowignore", "glob")]
report = {}
for path in sorted(Path(sys.argv[1]).glob("**/*.py")):
    began = time.process_time()
    bag = DagBag(dag_folder=str(path), bundle_path=Path(sys.argv[1]), safe_mode=False)
    report[path.name] = {
        "seconds": time.process_time() - began,
        "errors": [text.strip().splitlines()[-1] for text in bag.import_errors.values()],
        "dags": [
            {"id": d.dag_id, "doc": d.doc_md, "tags": sorted(d.tags), "tasks": len(d.tasks),
             "owners": sorted({t.owner for t in d.tasks})}
            for d in bag.dags.values()
        ],
    }
print("REPORT " + json.dumps({"files": report, "plugins": plugins}))
"""


@dataclass(frozen=True)
class DagFile:
    """A DAG file as Airflow sees it. `seconds` is processor time."""

    name: str
    lines: int
    seconds: float
    errors: list[str]
    dags: list[dict[str, object]]


@dataclass(frozen=True)
class Report:
    """What Airflow found: DAG files, and Python files it would import as plugins."""

    files: list[DagFile]
    plugins: set[str]


def parse(folder: Path, home: Path) -> Report:
    """Every Python file of a DAG folder through Airflow's own loader, with an AIRFLOW_HOME of its own."""
    plugins = str(Path(__file__).resolve().parents[2] / "plugins")
    environment = os.environ | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": plugins,
    }
    done = subprocess.run(
        [sys.executable, "-c", _PARSE, str(folder), plugins],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    reports = [line for line in done.stdout.splitlines() if line.startswith("REPORT ")]
    assert reports, done.stderr[-2000:]
    report = json.loads(reports[-1].removeprefix("REPORT "))
    files = [
        DagFile(name, len((folder / name).read_text().splitlines()), **found) for name, found in report["files"].items()
    ]
    return Report(files, {name for name in report["plugins"] if name.endswith(".py")})


def faults(files: list[DagFile]) -> list[str]:
    """What keeps these files from being accepted."""
    found = [] if any(file.dags for file in files) else ["no DAG was found at all"]
    for file in files:
        found += [f"{file.name}: {error}" for error in file.errors]
        if not file.dags and not file.errors:
            found.append(f"{file.name}: no DAG in it")
        if file.lines > MAX_LINES:
            found.append(f"{file.name}: {file.lines} lines, at most {MAX_LINES}")
        if file.seconds > MAX_PARSE_SECONDS:
            found.append(f"{file.name}: {file.seconds:.1f} s to parse, at most {MAX_PARSE_SECONDS}")
        for dag in file.dags:
            if [dag["id"]] != [file.name.removesuffix(".py")]:
                found.append(f"{file.name}: DAG {dag['id']} is not named as its file")
            for needed in ("doc", "tags", "tasks"):
                if not dag[needed]:
                    found.append(f"{file.name}: no {needed}")
            if dag["owners"] in ([], ["airflow"]):
                found.append(f"{file.name}: no owner")
    return found
