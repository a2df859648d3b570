"""MLflow that answers otherwise than asked, and a real server."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from tests.registry.loader.conftest import complete
from workbench.registry.connection import Connection

# MLflow uses a loader strategy of SQLAlchemy that is deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


def answering(monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    """Put a client that answers otherwise in front of the real store."""
    real = Connection.client

    def client(connection: Connection) -> Any:
        inner = real(connection)

        class Other(type(inner)):  # type: ignore[misc]
            def get_model_version(self, name: str, version: str) -> Any:
                return change(super().get_model_version, name, version)

        return Other(tracking_uri=connection.uri, registry_uri=connection.uri)

    monkeypatch.setattr(Connection, "client", client)


def test_mlflow_answering_with_another_version_than_asked_is_refused(runner, monkeypatch):
    runner.stand()
    runner.stand(spoil=lambda parts: complete(parts, params={"fast": 10, "slow": 150}))
    assert runner.load().version == 2
    answering(monkeypatch, lambda ask, name, version: ask(name, "1"))
    assert "sma_cross version 2: MLflow (mlruns/mlflow.db) answers with sma_cross version 1" in runner.refusal()


def test_mlflow_answering_with_the_right_number_and_another_run_is_refused(runner, monkeypatch):
    old = runner.stand()
    new = runner.stand(spoil=lambda parts: complete(parts, params={"fast": 10, "slow": 150}))

    def swapped(ask: Any, name: str, version: str) -> Any:
        found = ask(name, version)
        found._run_id = old.run_id
        return found

    answering(monkeypatch, swapped)
    assert f"holds pack {old.digest[:12]}, the record names {new.digest[:12]}" in runner.refusal()


@pytest.mark.parametrize("run_id", ["", "../../etc", "x" * 32, None])
def test_mlflow_naming_a_run_that_is_none_is_refused(runner, monkeypatch, run_id):
    runner.stand()

    def renamed(ask: Any, name: str, version: str) -> Any:
        found = ask(name, version)
        found._run_id = run_id
        return found

    answering(monkeypatch, renamed)
    assert "which is none; it was changed by hand" in runner.refusal()


@pytest.fixture
def served(runner, server):
    """A runner that knows a real MLflow server by its address only."""
    runner.project.settings = server.settings
    return runner, server.folder


@pytest.mark.e2e
def test_from_a_server_the_bytes_are_fetched_verified_and_missed_when_it_is_gone(served):
    runner, kept = served
    pack = runner.stand()
    found = runner.load()
    assert (found.source, found.pack, found.warnings) == ("mlflow", pack, ())
    (params,) = kept.rglob("params.json")
    content = params.read_bytes()
    params.write_bytes(content.replace(b"20", b"21"))
    assert "params.json: was changed" in runner.refusal()
    params.unlink()
    assert "params.json: is missing" in runner.refusal()
    shutil.rmtree(params.parents[2])
    assert runner.load().source == "cache"
