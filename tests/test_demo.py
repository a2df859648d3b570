"""The demo really runs what it shows: an act that must be killed is killed, and another ending stops it."""

from __future__ import annotations

import shutil
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from workbench.demo.acts import ACCOUNT, EDGE, SENT, acts, orders_at, ports
from workbench.demo.stage import KILLED, REFUSED, Act, Script, Stage, perform, play
from workbench.errors import WorkbenchError
from workbench.tws import Simulator

ROOT = Path(__file__).parents[1]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    shutil.copytree(ROOT / "params", tmp_path / "params")
    return Stage(tmp_path, tmp_path / "keys")


SERVES = Act(
    "A program that would run for ever.", "workbench tws-sim", ("tws-sim", "--port", "0"), KILLED, "gateway on"
)


def quietly(line: str) -> None:
    del line


def test_a_program_is_killed_a_moment_after_the_line_that_is_named(stage: Stage) -> None:
    shown: list[str] = []
    said = perform(stage, SERVES, shown.append)
    assert said.startswith("gateway on port ")
    assert shown == said.splitlines()


def test_a_program_is_killed_as_soon_as_something_holds(stage: Stage) -> None:
    looks = iter([False, False, True])
    perform(stage, replace(SERVES, killed_at="", killed_when=lambda: next(looks)), quietly)
    assert list(looks) == []


def test_an_act_that_ends_otherwise_stops_the_demo(stage: Stage) -> None:
    with pytest.raises(WorkbenchError, match="'workbench tws-sim' ended with -9 instead of 0"):
        perform(stage, replace(SERVES, ends=0), quietly)


def test_what_runs_beside_the_acts_answers_with_its_first_line_and_ends_with_the_last_act(stage: Stage) -> None:
    opened: list[int] = []

    def script() -> Script:
        said = yield Act("It stays.", "workbench tws-sim &", ("tws-sim", "--port", "0"), stays=True)
        port, control = ports(said)
        assert orders_at(control) == 0
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        opened.append(port)
        yield Act("Python itself.", "python -c ''", ("-c", "print('here')"))

    play(stage, script(), lambda number, act: None, quietly)
    assert stage.beside == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", opened[0]), timeout=5)


def test_what_cannot_begin_beside_the_acts_stops_the_demo(stage: Stage) -> None:
    wrong = Act("It cannot.", "workbench tws-sim &", ("-c", "raise SystemExit(3)"), stays=True)
    with pytest.raises(WorkbenchError, match="'workbench tws-sim &' ended with 3 before it began"):
        perform(stage, wrong, quietly)
    stage.clear()


def test_a_gateway_that_names_no_ports_stops_the_demo() -> None:
    assert ports("gateway on port 4002, control on port 4003, account DU1; Ctrl-C ends it\n") == (4002, 4003)
    with pytest.raises(WorkbenchError, match="said 'error: no such market' instead of its ports"):
        ports("error: no such market\n")


def test_orders_are_counted_at_the_gateway_itself() -> None:
    with Simulator(factor=0, symbols={"AAA": 100.0}) as gateway:
        gateway.fault("manual", symbol="AAA", action="BUY", shares=5)
        assert orders_at(gateway.control_port) == len(gateway.orders())


def written(stage: Stage) -> list[Act]:
    """Every act of the script, each answered as its command would answer where the script reads the answer."""
    from workbench.demo.stage import _git

    _git(stage, "init", "--quiet")
    (stage.project / "data").mkdir()
    script, found = acts(stage), []
    act = next(script)
    while True:
        found.append(act)
        said = "gateway on port 4002, control on port 4003, account DU1234567\n" if act.stays else ""
        said = f'private key …\n  {act.words[-1]}: {{key: "…"}}\n' if act.words[0] == "keys" else said
        try:
            act = script.send(said)
        except StopIteration:
            return found


def test_no_act_forces_a_step_and_each_step_is_refused_until_it_is_signed(stage: Stage) -> None:
    script = written(stage)
    assert not any("--force" in act.words for act in script)
    moves = [act for act in script if act.words[:2] == ("promote", EDGE)]
    # paper: asked, moved; too early for money: refused; staged live and production: asked, moved
    assert [act.ends for act in moves] == [REFUSED, 0, REFUSED, REFUSED, 0, REFUSED, 0]
    signed = [act.words[3] for act in script if act.words[0] == "approve"]
    assert signed == ["ada", "ben"] * 3


def test_time_is_simulated_before_there_is_any_evidence(stage: Stage) -> None:
    names = [act.words[0] for act in written(stage)]
    assert names[:4] == ["keys", "keys", "clock", "backtest"]
    assert names.count("clock") == 1  # and never moved by hand


def test_the_runner_dies_twice_and_the_gateway_is_never_an_account_with_money(stage: Stage) -> None:
    script = written(stage)
    killed = [act for act in script if act.ends == KILLED]
    assert [act.words[:2] for act in killed] == [("paper", "--sessions"), ("paper", "--once")]
    again = script[script.index(killed[1]) + 1]
    assert (again.words, again.ends) == (killed[1].words, 0)
    modes = {word for act in script for word in act.words if word.startswith("live.mode")}
    assert modes == {"live.mode=paper"}
    assert {word for act in script for word in act.words if word.startswith("live.account")} == {
        "live.account=STAGED", f"live.account={ACCOUNT}",
    }  # fmt: skip
    assert f"skip: {2 * SENT - 1}" in (stage.project / "data" / "faults.yaml").read_text()
    assert script[-1].words[0] == "status"
    assert "kill" in [act.words[0] for act in script]
