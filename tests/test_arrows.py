"""The allowed imports between rooms, read from the code: an arrow that is not drawn here does not exist."""

import ast
import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "workbench"

# room -> the rooms it may import. A room is a package or a module directly below workbench.
ARROWS: dict[str, set[str]] = {
    "errors": set(),
    "types": {"errors"},
    "source": set(),
    "cluster": {"errors"},
    "trading": set(),
    "orders": {"errors", "trading"},
    "paths": {"errors"},
    "strict_yaml": {"errors", "paths"},
    "disk": {"errors", "paths"},
    "clock": {"errors", "paths", "disk"},
    "sizing_params": set(),
    "params": {"errors", "paths", "strict_yaml", "clock", "sizing_params"},
    "risk_limits": {"errors", "params"},
    "state": {"errors", "params"},
    "commissions": {"params"},
    "sessions": {"errors"},
    "data": {"errors", "disk", "types", "params", "sessions"},
    "figures": {"errors", "types"},
    "features": {"errors", "disk", "types", "params", "sessions", "data", "figures"},
    "strategies": {"errors", "types", "params", "sizing_params", "features"},
    "backtest": {
        "errors",
        "disk",
        "types",
        "params",
        "commissions",
        "sessions",
        "data",
        "figures",
        "features",
        "source",
        "strategies",
        "live",  # only from the files in DOORS
    },
    "parity": {
        "errors",
        "disk",
        "types",
        "trading",
        "params",
        "commissions",
        "orders",
        "sessions",
        "data",
        "live",
        "registry",
    },
    "reports": {"errors", "disk", "types", "params", "backtest", "registry"},
    "registry": {
        "errors",
        "clock",
        "disk",
        "background",
        "interrupt",
        "types",
        "params",
        "risk_limits",
        "sizing_params",
        "sessions",
        "source",
        "data",
        "features",
        "strategies",
        "backtest",
        "state",
    },
    "alerts": {"errors", "params", "state"},
    "live": {
        "errors",
        "clock",
        "types",
        "trading",
        "params",
        "risk_limits",
        "sessions",
        "data",
        "strategies",
        "orders",
        "disk",
        "registry",  # only what is in PARTS
        "state",
        "commissions",
        "alerts",
    },
    "search": {
        "errors",
        "cluster",
        "disk",
        "interrupt",
        "types",
        "params",
        "data",
        "figures",
        "strategies",
        "backtest",
        "registry",
        "progress",
        "runs",
        "source",
        "step",
    },
    "pipeline": {
        "errors",
        "cluster",
        "disk",
        "background",
        "interrupt",
        "params",
        "plan",
        "runs",
        "execution",
        "kernels",
        "progress",
        "step",
    },
    "plan": {"errors", "params", "notebook", "kernels"},
    "runs": {"errors", "disk", "params", "step"},
    "execution": {"errors", "disk", "notebook", "kernels"},
    "progress": set(),
    "interrupt": set(),
    "background": set(),
    "notebook": {"errors", "params"},
    "kernels": {"errors"},
    "step": {"errors", "disk", "params"},
    "tws": set(),
    "cli": {"*"},
    "doctor": {"errors", "params", "data"},
    "scaffold": {"errors", "params"},
    "demo": {"errors", "params"},
}
# (room, room it imports) -> the only parts of it that it may see.
PARTS = {("live", "registry"): {"loader", "packs"}}
# (room, room it imports) -> the only files that may.
DOORS = {("backtest", "live"): {"backtest/replay.py"}}
# Heavy libraries and the only files that may import them.
HEAVY = {
    "vectorbt": {"backtest/engine.py"},
    "mlflow": {"registry/connection.py", "registry/recording.py", "registry/sweeps.py"},
    "optuna": {"search/study.py"},
    "great_expectations": {"data/suite.py"},
    "deltalake": {"data/lake.py", "data/table.py"},
    "ib_async": {f"live/ib/{name}.py" for name in ("book", "broker", "desk", "ears", "history", "translation", "wire")}
    | {"live/ib/connection.py"},
}


def room_of(file: Path) -> str:
    return file.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return names


FILES = sorted(file for file in SOURCE.rglob("*.py") if file != SOURCE / "__init__.py")


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(SOURCE)))
def test_every_import_follows_an_arrow(file):
    room = room_of(file)
    assert room in ARROWS, f"{room} is a new room: draw its arrows here and in docs/architecture.md"
    for name in imported(file):
        parts = name.split(".")
        if parts[0] != "workbench" or len(parts) < 2 or parts[1].startswith("__"):
            continue
        allowed = ARROWS[room] | {room}
        assert "*" in allowed or parts[1] in allowed, f"{file.relative_to(SOURCE)} must not import workbench.{parts[1]}"
        doors = DOORS.get((room, parts[1]))
        assert not doors or str(file.relative_to(SOURCE)) in doors, f"{file.relative_to(SOURCE)}: {name}"
        parts_seen = PARTS.get((room, parts[1]))
        assert not parts_seen or (len(parts) > 2 and parts[2] in parts_seen), f"{file.relative_to(SOURCE)}: {name}"


@pytest.mark.parametrize("library", HEAVY)
def test_each_heavy_library_has_its_rooms(library):
    found = {
        str(file.relative_to(SOURCE)) for file in FILES if any(name.split(".")[0] == library for name in imported(file))
    }
    assert found <= HEAVY[library]


def test_pandas_reads_no_table_from_memory():
    """A worker of pyarrow that lets go of such bytes while the process ends aborts it, two times in a hundred."""
    reads = re.compile(r"\b(pd|pandas)\.read_(parquet|feather)\(\s*(io\.)?BytesIO")
    assert [str(file) for file in FILES if reads.search(file.read_text())] == []
    assert reads.search("found = pd.read_parquet(io.BytesIO(content))")


def test_a_forbidden_import_would_be_seen(tmp_path):
    culprit = tmp_path / "culprit.py"
    culprit.write_text("def late():\n    from workbench.backtest import engine\n    import vectorbt as vbt\n")
    assert {"workbench.backtest.engine", "vectorbt"} <= imported(culprit)
