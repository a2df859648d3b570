"""What a pipeline is going to do: pipelines/<name>.yaml read, fan-outs expanded, all checked before anything runs.

name: backtest
warm:                                     # groups of modules that warm parents import; the first may be a group
  light: [numpy, pandas]
  research: [light, vectorbt, mlflow]
steps:
  ingest: {notebook: steps/ingest_sample, markets: [sample], settings: [market, sample], feeds: [validate], warm: light}
  validate: {notebook: steps/validate, needs: [ingest], writes: [prices_daily], timeout: 300, retries: 1}
  walk_forward: {notebook: steps/walk_forward, needs: [validate], foreach: {strategy: strategies}, warm: research}
"""

from __future__ import annotations

import hashlib
import platform
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

import workbench
from workbench.errors import ParamsRefused, did_you_mean
from workbench.kernels import BASE
from workbench.notebook import Notebook, read_notebook
from workbench.params import Paths, Section, Settings, digest, mistaken, read_yaml, strategy_names

FORMAT = 1  # raise it when a key means something else than before
FOLDER = "folder"
NAME = r"[A-Za-z0-9_.]+"
PACKAGE = Path(workbench.__file__).parent


class StepSpec(Section):
    """One step as written; docs/pipelines.md explains every key."""

    notebook: str
    needs: tuple[str, ...] = ()
    params: dict[str, Any] = Field(default_factory=dict)
    foreach: dict[str, str] = Field(default_factory=dict, max_length=1)
    settings: tuple[str, ...] | None = None
    tables: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    feeds: tuple[str, ...] = ()
    markets: tuple[str, ...] = ()
    always: bool = False
    warm: str = ""
    timeout: float = Field(1800.0, gt=0.0)
    retries: int = Field(0, ge=0, le=10)


class Pipeline(Section):
    """A pipeline as written: its steps, and the groups of modules that warm parents import."""

    name: str
    warm: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    steps: dict[str, StepSpec] = Field(min_length=1)


@dataclass(frozen=True)
class Task:
    """One step of one run: ``id`` is its ``name`` in the file and, in a fan-out, the item."""

    id: str
    name: str
    spec: StepSpec
    notebook: Notebook
    needs: tuple[str, ...]
    params: Mapping[str, Any]
    base: str  # the digest of all that is known before the run: notebook, parameters, settings, source


def read_pipeline(name: str, paths: Paths) -> Pipeline:
    """Return pipelines/<name>.yaml, validated in itself."""
    file = paths.pipelines / f"{name}.yaml"
    if not file.is_file():
        known = [other.stem for other in paths.pipelines.glob("*.yaml")]
        raise ParamsRefused(f"no pipeline '{name}' in {paths.short(paths.pipelines)}/.{did_you_mean(name, known)}")
    where = paths.short(file)
    content = read_yaml(file, paths)
    try:
        pipeline = Pipeline(**content)
    except ValidationError as error:
        raise ParamsRefused(f"{where}: {_explain(error)}") from error
    for at, wrong in mistaken(content, pipeline):
        raise ParamsRefused(f"{where}: '{'.'.join(at)}' {wrong}")
    if pipeline.name != name:
        raise ParamsRefused(f"{where}: 'name' is '{pipeline.name}'; it must be '{name}', as the file")
    writer: dict[str, str] = {}
    for id, step in pipeline.steps.items():
        if not re.fullmatch(NAME, id):
            raise ParamsRefused(f"{where}: step '{id}' cannot name a folder; use letters, digits, '_' and '.'")
        _known(f"{where}: 'steps.{id}.needs'", step.needs, pipeline.steps)
        _known(f"{where}: 'steps.{id}.feeds'", step.feeds, pipeline.steps)
        _known(f"{where}: 'steps.{id}.settings'", step.settings or (), Settings.model_fields)
        _known(f"{where}: 'steps.{id}.warm'", [step.warm] if step.warm else [], pipeline.warm)
        for key in step.foreach.keys() & step.params.keys():
            raise ParamsRefused(f"{where}: 'steps.{id}.params.{key}': 'foreach' fills it in; take one of them out")
        for table in step.writes:
            if writer.setdefault(table, id) != id:
                raise ParamsRefused(f"{where}: steps {writer[table]} and {id} both write '{table}'; let one of them")
    grows = {
        group: [module for module in modules if module in pipeline.warm] for group, modules in pipeline.warm.items()
    }
    for group, modules in pipeline.warm.items():
        if group == BASE or grows[group] not in ([], list(modules[:1])):
            raise ParamsRefused(f"{where}: 'warm.{group}': only its first entry may name a group, and none is '{BASE}'")
    _acyclic(f"{where}: 'warm'", grows)
    _acyclic(f"{where}: 'steps'", {id: step.needs for id, step in pipeline.steps.items()})
    return pipeline


def plan(pipeline: Pipeline, settings: Settings, paths: Paths, only: Iterable[str] | None = None) -> list[Task]:
    """Return the steps of a run, each after what it needs, with every notebook and parameter checked.

    A step that does not serve the settings' market is left out. ``only`` names steps to keep, with what they need.
    """
    where = paths.short(paths.pipelines / f"{pipeline.name}.yaml")
    source = _Source(paths)
    tasks: list[Task] = []
    ids: dict[str, list[str]] = {}  # name: the step, or all of its fan-out
    for name in TopologicalSorter({id: step.needs for id, step in pipeline.steps.items()}).static_order():
        spec = pipeline.steps[name]
        file = paths.notebooks / f"{spec.notebook.removesuffix('.ipynb')}.ipynb"
        notebook = read_notebook(file, paths.short(file))
        if FOLDER not in notebook.parameters:
            raise ParamsRefused(f'{notebook.name}: a step takes the parameter  {FOLDER}: str = ""  and this has none')
        if FOLDER in spec.params:
            raise ParamsRefused(f"{where}: 'steps.{name}.params.{FOLDER}': the pipeline fills it in; take it out")
        needs = tuple(id for need in spec.needs for id in ids[need])
        ids[name] = []
        if spec.markets and settings.market not in spec.markets:
            continue
        for suffix, item in _fan_out(f"{where}: 'steps.{name}.foreach'", spec, settings):
            params = {**spec.params, **item}
            notebook.check({**params, FOLDER: ""})
            known = [notebook.digest, params, settings.digest(spec.settings), source.digest(notebook, params)]
            ids[name].append(name + suffix)
            tasks.append(Task(name + suffix, name, spec, notebook, needs, params, digest([FORMAT, known])))
    if only is None:
        return tasks
    chosen = list(only)
    _known("only", chosen, {*ids, *(task.id for task in tasks)})
    wanted = {id for name in chosen for id in ids.get(name, [name])}
    for task in reversed(tasks):
        wanted |= set(task.needs) if task.id in wanted else set()
    return [task for task in tasks if task.id in wanted]


def outside_tables(pipeline: Pipeline, tasks: Iterable[Task]) -> list[str]:
    """Return the tables that steps of a run read and no step of it fills: they must be there before.

    A step fills what it ``writes``, unless it lives on what others feed it and none of those runs.
    """
    tasks = list(tasks)
    running = {task.name for task in tasks}
    starved = {
        name
        for name in running
        if (feeders := {other for other, spec in pipeline.steps.items() if name in spec.feeds})
        and not feeders & running
    }
    filled = {table for task in tasks if task.name not in starved for table in task.spec.writes}
    return list(dict.fromkeys(table for task in tasks for table in task.spec.tables if table not in filled))


def _explain(error: ValidationError) -> str:
    # A misspelt key is often also a missing one: say the misspelling.
    first = min(error.errors(include_url=False), key=lambda one: one["type"] != "extra_forbidden")
    path, key = ".".join(map(str, first["loc"])), str(first["loc"][-1])
    if first["type"] == "extra_forbidden":
        model = StepSpec if first["loc"][0] == "steps" else Pipeline
        return f"unknown key '{path}'.{did_you_mean(key, model.model_fields)}"
    given = "" if first["type"] == "missing" else f" is {first['input']!r}"
    return f"'{path}'{given}: {first['msg']}"


def _fan_out(where: str, spec: StepSpec, settings: Settings) -> Iterator[tuple[str, dict[str, Any]]]:
    if not spec.foreach:
        yield "", {}
    for parameter, path in spec.foreach.items():
        items: Any = settings.model_dump(mode="json")
        for part in path.split("."):
            _known(where, [part], items if isinstance(items, dict) else ())
            items = items[part]
        if not isinstance(items, list) or not items:
            raise ParamsRefused(f"{where}: settings.{path} is {items!r}; it must be a list with at least one item")
        for item in dict.fromkeys(map(str, items)):
            if not re.fullmatch(NAME, item):
                raise ParamsRefused(f"{where}: '{item}' of settings.{path} cannot name a folder")
            yield f"-{item}", {parameter: item}


def _known(where: str, words: Iterable[str], known: Iterable[str]) -> None:
    for word in words:
        if word not in known:
            raise ParamsRefused(f"{where}: unknown '{word}'.{did_you_mean(word, known)}")


def _acyclic(where: str, graph: Mapping[str, Iterable[str]]) -> None:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = " -> ".join(reversed(error.args[1]))
        raise ParamsRefused(f"{where} runs in a circle: {circle}; take one arrow out") from error


class _Source:
    """The digest of our own code and of the lock: of all strategies, only those that a step names count."""

    def __init__(self, paths: Paths) -> None:
        self.paths, self.strategies = paths, set(strategy_names(paths))
        self.files = {str(file.relative_to(PACKAGE)): _sha256(file) for file in sorted(PACKAGE.rglob("*.py"))}
        self.rest = [platform.python_version(), sys.platform, _sha256(paths.root / "locks" / "research.lock")]

    def digest(self, notebook: Notebook, params: Mapping[str, Any]) -> str:
        """Return the digest for one step."""
        named: set[str] = set()
        for parameter in {"strategy", "strategies"} & set(notebook.parameters):
            value = params.get(parameter, notebook.parameters[parameter].default)
            named |= {value} if isinstance(value, str) else set(value or ())
        others = {str(Path("strategies", f"{name}.py")) for name in self.strategies - named}
        files = {name: content for name, content in self.files.items() if name not in others}
        chosen = [_sha256(self.paths.params / "strategies" / f"{name}.yaml") for name in sorted(named)]
        return digest([files, chosen, self.rest])


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""
