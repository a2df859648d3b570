"""The MLflow UI: starts lean on a free port, opens the comparison, records over HTTP, and leaves nothing running."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from workbench.errors import CannotWrite, NoData, WorkbenchError
from workbench.params import Paths, Settings, TrackingParams
from workbench.registry import ui, view
from workbench.registry.runs import Tracking

# MLflow has not followed SQLAlchemy 2.1 yet.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SCRIPT = """
import sys
from workbench.params import Paths, Settings
from workbench.registry.ui import serve
serve(Paths(sys.argv[1]), Settings(), port=int(sys.argv[2]), open_browser=False)
"""


def state(value: str) -> dict:
    """Unpack a saved view as MLflow's page does."""
    packed = json.loads(value)["state"]
    assert packed.startswith("deflate;")
    return json.loads(zlib.decompress(base64.b64decode(packed.removeprefix("deflate;"))))


def test_the_view_shows_curves_over_time_and_folds_the_rest():
    found = state(view.view(["equity", "drawdown", "oos_sharpe", "oos_skew", "is_omega"]))
    assert found["searchFilter"] == "tags.latest = 'true'"
    charts = {chart["metricKey"]: chart for chart in found["compareRunCharts"]}
    assert (charts["equity"]["type"], charts["equity"]["xAxisKey"], charts["equity"]["scaleType"]) == (
        "LINE",
        "time",
        "log",
    )
    assert charts["oos_sharpe"]["metricSectionId"] == "results"
    assert charts["oos_skew"]["metricSectionId"] == charts["is_omega"]["metricSectionId"] == "rest"
    sections = {section["uuid"]: section["display"] for section in found["compareRunSections"]}
    assert sections == {"curves": True, "results": True, "rest": False}
    assert len({chart["uuid"] for chart in found["compareRunCharts"]}) == len(found["compareRunCharts"])


def test_a_long_list_of_metrics_still_fits_into_a_tag():
    assert len(view.view([f"oos_statistic_number_{number}" for number in range(200)])) < 8000


def test_the_next_free_port_is_taken():
    with closing(socket.create_server((ui.HOST, 0))) as busy:
        port = busy.getsockname()[1]
        assert port < ui.free_port(port) < port + ui.PORTS


def test_ports_that_browsers_refuse_are_passed_over():
    assert ui.free_port(6665) >= 6670


def test_without_runs_it_says_what_to_do_and_makes_nothing(tmp_path):
    with pytest.raises(NoData, match=r"mlruns/mlflow\.db: no runs yet; make them: make backtest"):
        ui.serve(Paths(tmp_path), Settings(), open_browser=False)
    assert list(tmp_path.iterdir()) == []


def test_a_server_elsewhere_that_does_not_answer_is_named(tmp_path):
    with closing(socket.create_server((ui.HOST, 0))) as free:
        port = free.getsockname()[1]
    settings = Settings(tracking=TrackingParams(uri=f"http://{ui.HOST}:{port}"))
    with pytest.raises(WorkbenchError, match="no answer"):
        ui.serve(Paths(tmp_path), settings, open_browser=False)


@dataclass
class Served:
    """A running `serve` and the lines that it has said."""

    process: subprocess.Popen[str]
    tracking: Tracking
    wanted_port: int
    lines: list[str] = field(default_factory=list)

    def read(self) -> None:
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    def said(self, words: str, seconds: float = 120.0) -> str:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = [line for line in self.lines if words in line]
            if found:
                return found[0]
            assert self.process.poll() is None, self.lines
            time.sleep(0.1)
        raise AssertionError(f"it never said {words!r}: {self.lines}")

    @property
    def address(self) -> str:
        return self.said("MLflow: ").removeprefix("MLflow: ")


def get(address: str, **body: object) -> dict:
    request = urllib.request.Request(address, headers={"Content-Type": "application/json"})
    data = json.dumps(body).encode() if body else None
    with urllib.request.urlopen(request, data, timeout=30) as answer:
        return json.load(answer)


@pytest.fixture(scope="module")
def served(tmp_path_factory, walk_forward_of) -> Iterator[Served]:
    """The UI over two recorded walk-forwards, started while its port was taken."""
    paths = Paths(tmp_path_factory.mktemp("served"))
    tracking = Tracking(Settings(), paths)
    for number, name in enumerate(("sma_cross", "xs_momentum")):
        tracking.log_walk_forward(walk_forward_of(name, number))
    with closing(socket.create_server((ui.HOST, 0))) as busy:
        port = busy.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(paths.root), str(port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "COLUMNS": "80"},
        )
        found = Served(process, tracking, port)
        reader = threading.Thread(target=found.read, daemon=True)
        reader.start()
        try:
            found.said("Ctrl-C stops it.")
            yield found
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait(30)
            reader.join(10)
            process.stdout.close()
        assert code == 0
        assert found.lines[-1] == "stopped"
        ended = int(re.search(r":(\d+)/", found.address).group(1))
        with pytest.raises(OSError), closing(socket.create_connection((ui.HOST, ended), timeout=2)):
            pass


@pytest.mark.e2e
class TestServed:
    """One server for these tests; its end is checked by the fixture."""

    def test_it_says_that_the_port_was_taken_and_prints_one_address(self, served):
        assert served.lines[0].startswith(f"port {served.wanted_port} is taken, using ")
        assert served.address.endswith(
            "/runs?workflowType=machine_learning&compareRunsMode=CHART&viewStateShareKey=workbench"
        )

    def test_the_experiment_carries_the_view_and_its_runs(self, served):
        base = served.address.split("/#/")[0]
        experiment = get(f"{base}/api/2.0/mlflow/experiments/get-by-name?experiment_name=backtest")["experiment"]
        assert f"#/experiments/{experiment['experiment_id']}/" in served.address
        tags = {tag["key"]: tag["value"] for tag in experiment["tags"]}
        assert "oos_sharpe" in json.dumps(state(tags[view.TAG]))
        found = get(
            f"{base}/api/2.0/mlflow/runs/search",
            experiment_ids=[experiment["experiment_id"]],
            filter="tags.latest = 'true'",
        )
        assert len(found["runs"]) == 2

    def test_runs_are_recorded_through_the_server_and_read_back(self, served, tmp_path, walk_forward_made):
        base = served.address.split("/#/")[0]
        settings = Settings(tracking=TrackingParams(uri=base, experiment="over http"))
        remote = Tracking(settings, Paths(tmp_path))
        with remote.walk_forward("sma_cross") as run:
            sheet = run.log(walk_forward_made, tables={"prices_daily": {"version": 3, "digest": "9f86"}})
        assert sheet.is_relative_to(tmp_path / "data" / "reports")
        assert remote.runs_table()["sharpe"].tolist() == [0.87]
        (back,) = remote.latest_results()
        assert back.out_of_sample == walk_forward_made.out_of_sample
        assert {file.name for file in tmp_path.iterdir()} == {"data"}

    def test_a_second_look_at_the_same_server_only_prints_the_address(self, served, tmp_path):
        settings = Settings(tracking=TrackingParams(uri=served.address.split("/#/")[0]))
        said: list[str] = []
        ui.serve(Paths(tmp_path), settings, open_browser=False, say=said.append)
        assert said == [f"MLflow: {served.address}"]

    @pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine to look at the page with")
    def test_a_browser_shows_the_newest_runs_in_the_prepared_view(self, served, tmp_path):
        done = subprocess.run(
            [
                CHROMIUM,
                *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
                *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
                *(f"--user-data-dir={tmp_path}", "--window-size=1500,1200", "--virtual-time-budget=60000"),
                *("--dump-dom", served.address),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        for words in (view.NAME, "Curves", "What matters", "Every statistic", "sma_cross", "xs_momentum"):
            assert words in done.stdout, (words, done.stderr[-500:])


def test_a_server_that_ends_at_once_is_reported_with_its_last_words(tmp_path):
    tracking = Tracking(Settings(), Paths(tmp_path))
    log = tmp_path / "ui.log"
    log.write_text("starting\nError: the port is not yours\n")
    with closing(socket.create_server((ui.HOST, 0))) as free:
        port = free.getsockname()[1]
    with subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"]) as ended:
        ended.wait(30)
        with pytest.raises(WorkbenchError, match=r"did not start \(exit 7\): Error: the port is not yours \(ui\.log\)"):
            ui._wait_until_it_answers(ended, port, log, tracking.paths)


def test_a_log_that_cannot_be_written_is_one_line(tmp_path):
    log = tmp_path / "mlruns" / "ui.log"
    log.mkdir(parents=True)
    tracking = SimpleNamespace(paths=Paths(tmp_path), uri="sqlite:///x")
    with pytest.raises(CannotWrite, match=r"ui.log: Is a directory, so the server has nowhere to write its log"):
        ui._server(tracking, 5999, log).__enter__()
