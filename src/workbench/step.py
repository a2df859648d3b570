"""What a step notebook knows of its run: settings, what came before it, where to write, and how to hand over.

>>> step = open_step(folder)                       # `folder` is the notebook's parameter
>>> step.settings.market, step.inputs["validate"]["versions"]
>>> frame.to_parquet(step.folder / "curve.parquet")
>>> step.emit(sharpe=1.2, curve=step.folder / "curve.parquet")

Opened with an empty folder, as a person does in Jupyter, a step has the settings of today and a folder of its own, and
``upstream`` looks into the newest run that has what it asks for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path, PurePath
from typing import Any

from workbench.disk import read_json, write_json, writing
from workbench.errors import InputRefused, NoData, did_you_mean
from workbench.params import Paths, Settings, load_settings, settings_from

HANDOVER, OUTPUTS, SETTINGS, MANIFEST = "step.json", "outputs.json", "settings.json", "manifest.json"
INTERACTIVE = "interactive"


@dataclass(frozen=True)
class Done:
    """A finished step: what it handed over, and the folder that it wrote to."""

    step: str
    outputs: Mapping[str, Any]
    folder: Path


@dataclass(frozen=True)
class Step:
    """The step that a notebook is, or would be."""

    name: str
    run_id: str
    settings: Settings
    paths: Paths
    folder: Path
    done: tuple[Done, ...] = ()

    @property
    def inputs(self) -> dict[str, Mapping[str, Any]]:
        """The outputs of every step that this one needs, by the step's id."""
        return {done.step: done.outputs for done in self.done}

    def upstream(self, name: str) -> list[Done]:
        """Return the finished step of that name, or all of its fan-out, in the order of the run."""
        found = [done for done in self.done if _is(done.step, name)]
        if found:
            return found
        if self.run_id != INTERACTIVE:
            known = [done.step for done in self.done]
            raise InputRefused(f"step {self.name} does not need '{name}'.{did_you_mean(name, known)}")
        for folder in sorted(self.paths.runs.glob("*/"), reverse=True):
            manifest = read_json(folder / MANIFEST) or {"steps": {}}
            steps = [step for step in manifest["steps"].values() if _is(step["id"], name)]
            if steps and all(step["status"] in ("done", "reused") for step in steps):
                return [Done(step["id"], step["outputs"], self.paths.root / step["folder"]) for step in steps]
        raise NoData(f"no run has finished a step '{name}' yet; run the pipeline once: make backtest")

    def emit(self, **outputs: Any) -> None:
        """Hand values over to the steps that follow; a second call adds to the first.

        Paths are handed over relative to the project's root, dates in ISO format.
        """
        for name, value in outputs.items():
            try:
                json.dumps(value, default=self._plain)
            except (TypeError, ValueError) as error:
                raise InputRefused(
                    f"emit: output '{name}' holds a {type(value).__name__} that is not JSON ({error}); "
                    "write it to a file in step.folder and hand over the path"
                ) from error
        before = read_json(self.folder / OUTPUTS) or {"outputs": {}, "files": []}
        files: list[str] = before["files"]
        after = json.loads(json.dumps(outputs, default=lambda value: self._plain(value, files)))
        write_json(self.folder / OUTPUTS, {"outputs": before["outputs"] | after, "files": sorted(set(files))})

    def _plain(self, value: Any, files: list[str] | None = None) -> Any:
        if isinstance(value, PurePath):
            name = self.paths.short(self.paths.root / value)
            if files is not None:
                files.append(name)
            return name
        if isinstance(value, date):  # and datetime, and pandas' Timestamp
            return value.isoformat()
        if isinstance(value, (set, frozenset)):
            return sorted(value)
        if hasattr(value, "item") and not getattr(value, "shape", ()):  # a number of numpy's
            return value.item()
        raise TypeError(f"cannot write a {type(value).__name__}")


def open_step(folder: str = "") -> Step:
    """Return the step whose folder this is; with an empty folder, one for working by hand."""
    paths = Paths()
    if not folder:
        by_hand = paths.runs / INTERACTIVE / datetime.now(UTC).strftime("%Y%m%d")
        with writing(by_hand):
            by_hand.mkdir(parents=True, exist_ok=True)
        return Step(INTERACTIVE, INTERACTIVE, load_settings(paths), paths, by_hand)
    place = paths.root / folder
    handover = read_json(place / HANDOVER)
    if handover is None:
        raise InputRefused(f"{folder}: no step of a run; leave `folder` empty to run this notebook by hand")
    done = tuple(Done(d["step"], d["outputs"], paths.root / d["folder"]) for d in handover["inputs"])
    settings = settings_from(place.parent / SETTINGS)
    return Step(handover["step"], handover["run_id"], settings, paths, place, done)


def _is(step: str, name: str) -> bool:
    return step == name or step.startswith(f"{name}-")
