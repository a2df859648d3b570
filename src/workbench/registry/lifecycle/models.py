"""What people see of promotions in MLflow: a registered model per name, a version per candidate, an alias per stage.

The record decides, MLflow shows. Nothing here makes or reads an MLmodel, a pickle or a conda file: a version's source
is the folder ``promotion`` of the run that made the pack.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.disk import writing
from workbench.errors import NoData, PackRefused
from workbench.registry.connection import Connection, load_mlflow
from workbench.registry.lifecycle.stages import ALIASES
from workbench.registry.lifecycle.state import State
from workbench.registry.packs.candidate import FOLDER, Candidate, read_candidate
from workbench.registry.packs.canonical import short
from workbench.registry.packs.files import is_there
from workbench.registry.packs.lines import evidence_line
from workbench.registry.packs.pack import NAME, Pack
from workbench.registry.storing import STRATEGY, candidate_folder

PACK, HEAD = "pack", "transition"  # tags of a version
UNKNOWN = ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND")


@dataclass(frozen=True)
class Shown:
    """A version as MLflow has it."""

    version: int
    run_id: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Model:
    """A registered model as MLflow has it: its versions, and which one each of our aliases names."""

    name: str
    versions: Mapping[int, Shown]
    aliases: Mapping[str, int]

    def differing(self, state: State) -> list[str]:
        """Say which aliases were moved by hand: they name another version than the record."""
        lines = []
        for stage, alias in ALIASES.items():
            standing = state.standing.get(stage)
            found, right = self.aliases.get(alias, 0), standing.version if standing else 0
            if found != right:
                moved = f"names version {found}" if found else "is gone"
                truth = f"version {right} stands there" if right else "nothing stands there"
                lines.append(
                    f"{state.name}: alias '{alias}' {moved} in MLflow, but by the record {truth}; it was moved by "
                    "hand and counts for nothing"
                )
        return lines

    def unrecorded(self, state: State) -> list[str]:
        """Say which versions were registered by hand, beside the record."""
        return [
            f"{state.name}: version {number} in MLflow is not in the record; it was registered by hand and counts "
            "for nothing"
            for number in sorted(self.versions.keys() - state.versions.keys())
        ]

    def heads(self) -> dict[str, str]:
        """Return, by version, the head of the record that it was last shown at."""
        return {
            f"version {number} of {self.name}": shown.tags[HEAD]
            for number, shown in self.versions.items()
            if shown.tags.get(HEAD)
        }


class Models:
    """The registered models of one MLflow store."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def find(self, kind: str, name: str) -> Model:
        """Return a model as MLflow has it, empty where it was never registered."""
        called, client = model_name(kind, name), self.connection.client()
        if not NAME.fullmatch(name):  # nothing is called so
            return Model(called, {}, {})
        with self.connection.doing(f"read the registered model {called}"):
            try:
                aliases = client.get_registered_model(called).aliases
            except load_mlflow().exceptions.MlflowException as error:
                if error.error_code not in UNKNOWN:
                    raise
                return Model(called, {}, {})
            versions: dict[int, Shown] = {}
            token = None
            while True:
                page = client.search_model_versions(f"name = '{called}'", max_results=200, page_token=token)
                for found in page:
                    number = int(found.version)
                    versions[number] = Shown(number, str(found.run_id or ""), dict(found.tags))
                token = page.token
                if not token:
                    break
        ours = {alias: int(number) for alias, number in aliases.items() if alias in ALIASES.values()}
        return Model(called, versions, ours)

    def register(self, pack: Pack, run_id: str, state: State, tags: Mapping[str, str], description: str) -> int:
        """Return the number of a pack's version in MLflow, made unless it is there: half-done once, finished now."""
        model = self.find(pack.kind, pack.name)
        for number in sorted(model.versions.keys() - state.versions.keys()):
            if model.versions[number].tags.get(PACK) == pack.digest and model.versions[number].run_id == run_id:
                return number
        client, place = self.connection.client(), self._source(run_id)
        with self.connection.doing(f"register {pack.name}"):
            if not model.versions:
                self._make(client, model.name, pack)
            made = client.create_model_version(
                model.name, place, run_id, tags={**tags, PACK: pack.digest}, description=description,
                await_creation_for=0,
            )  # fmt: skip
        return int(made.version)

    def candidate(self, state: State, version: int) -> Candidate:
        """Return a version's evidence with every byte verified, held against the pack that the record names."""
        known, again = state.version(version), _again(state)
        shown = self.find(state.kind, state.name).versions.get(version)
        if shown is None:
            raise PackRefused(
                f"{state.name}: version {version} is gone from MLflow, the record has it; restore "
                f"{self.connection.shown} from a backup, or {again}"
            )
        folder = self.folder(shown.run_id)
        if not is_there(folder, f"{state.name} version {version}"):
            raise NoData(
                f"{state.name}: the evidence of version {version} is gone ({self.connection.paths.short(folder)}); "
                f"restore mlruns/ from a backup, or {again}"
            )
        found = read_candidate(folder, f"{state.name} version {version}")
        if found.pack.digest != known.pack:
            raise PackRefused(
                f"{state.name} version {version}: holds pack {short(found.pack.digest)}, registered was "
                f"{short(known.pack)}; it was exchanged: {again}"
            )
        return found

    def folder(self, run_id: str) -> Path:
        """Return where a run's candidate lies on this machine."""
        return candidate_folder(self.connection, run_id)

    def keep(self, state: State, version: int, path: str, content: bytes) -> None:
        """Put a proposal or an approval beside a version's pack; on a disk it is there whole or not at all."""
        run_id = self.find(state.kind, state.name).versions[version].run_id
        place = self.connection.artifact_folder(run_id)
        if place is not None:
            target = place / FOLDER / path
            # Beside the candidate's folder, not in it: what a crash leaves there is no file added to the pack.
            with writing(target), tempfile.TemporaryDirectory(dir=place, prefix=".keeping-") as name:
                half = Path(name) / target.name
                half.write_bytes(content)
                target.parent.mkdir(parents=True, exist_ok=True)
                half.replace(target)
            return
        with tempfile.TemporaryDirectory() as name, self.connection.doing(f"keep {path} with run {run_id}"):
            half = Path(name) / Path(path).name
            half.write_bytes(content)
            self.connection.client().log_artifact(run_id, str(half), f"{FOLDER}/{Path(path).parent}")

    def show(self, state: State, tags: Mapping[int, Mapping[str, str]], descriptions: Mapping[int, str]) -> None:
        """Make MLflow show a state: its aliases, and the tags and descriptions of these versions."""
        client, model = self.connection.client(), self.find(state.kind, state.name)
        with self.connection.doing(f"show {state.name}"):
            for stage, alias in ALIASES.items():
                standing = state.standing.get(stage)
                if standing is not None and model.aliases.get(alias) != standing.version:
                    client.set_registered_model_alias(model.name, alias, str(standing.version))
                elif standing is None and alias in model.aliases:
                    client.delete_registered_model_alias(model.name, alias)
            for number in tags.keys() & model.versions.keys():
                shown = model.versions[number].tags
                for key, value in tags[number].items():
                    if shown.get(key) != value:  # each is a question of its own to the store
                        client.set_model_version_tag(model.name, str(number), key, value)
            for number in descriptions.keys() & model.versions.keys():
                client.update_model_version(model.name, str(number), descriptions[number])

    def _make(self, client: Any, called: str, pack: Pack) -> None:
        try:
            client.create_registered_model(called, tags={"kind": pack.kind}, description=ABOUT)
        except load_mlflow().exceptions.MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another process was first
                raise

    def _source(self, run_id: str) -> str:
        client = self.connection.client()
        with self.connection.doing(f"read run {run_id}"):
            return f"{str(client.get_run(run_id).info.artifact_uri).rstrip('/')}/{FOLDER}"


ABOUT = (
    "Aliases show the stage of a version to people. What is traded is decided by the signed evidence and the record "
    "of promotions; an alias that is moved here by hand counts for nothing."
)


def model_name(kind: str, name: str) -> str:
    """Return what a registered model is called: a strategy by its name, others behind their kind."""
    return name if kind == STRATEGY else f"{kind}.{name}"


def _again(state: State) -> str:
    return evidence_line(state.kind, state.name)
