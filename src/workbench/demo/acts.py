"""The acts of the demo, from the first key to the emergency stop: what a person would type, in order.

The same seed gives the same numbers every time. docs/demo.md says why each act is there.
"""

from __future__ import annotations

import json
import re
import shlex
import socket
from collections.abc import Generator
from importlib.util import find_spec

from workbench.demo.stage import KILLED, REFUSED, Act, Script, Stage, commit
from workbench.errors import WorkbenchError

MINUTES = 4  # on two cores

EDGE, LUCK = "xs_momentum", "sma_cross"
PEOPLE = ("ada", "ben")
START = "2024-06-28T20:00:00Z"  # a Friday's close: what the evidence may know, and no more
SESSIONS, KILLED_IN = 40, 22  # it trades in this one
STAGED = ("--set", "live.account=STAGED")  # an account of its own for staged live
STEPS, STEP_SESSIONS = (1_000, 2_500, 5_000, 10_000), 10  # of staged live: two weeks on each step of capital
# The session at the gateway, five minutes after the open in New York.
DAY, OPENED = "2024-10-23", "2024-10-23T13:35:00+00:00"
ACCOUNT, CASH = "DU1234567", 50_000
SENT = 3  # orders that the broker has when the runner is killed; it never hears of the last one
# Ben's written reason, as true as it is short: the evidence names the Sharpe ratio of every cell.
BECAUSE = (
    "all twelve cells of the grid earned out of sample, the worst a Sharpe ratio of 1.04: the choice matters little"
)
# Its owner would not sit through a drawdown of 19 %, and staged live allows no more at work than each step's dollars.
CALM = "sizing: {target_volatility: 0.05}\n"
# In the prices of these sectors nothing is planted: what earns here was lucky.
HUNT = """\
question: Does a crossing of averages time the stocks of Consumer and Utilities?
universe: {sectors: [Consumer, Utilities]}
params: {fast: 20, slow: 100}
grid:
  fast: [5, 10, 15, 20, 30, 40]
  slow: [60, 80, 100, 120, 160, 200]
"""
TAPE = f"""\
from workbench.data.lake import open_lake
open_lake().read('prices_5min', start='{DAY}').write_parquet('data/tape.parquet')"""
# The broker takes the order, and the word of it is lost. Before each order it is asked what that would change, by the
# same message: the third order is the sixth of them.
LOST_WORD = f"- {{do: drop, message: placeOrder, when: after, skip: {2 * SENT - 1}, times: 1}}\n"


def acts(stage: Stage) -> Script:
    """Give the acts one after the other; each is answered with what it printed."""
    yield from _people(stage)
    yield from _evidence()
    yield from _luck(stage)
    yield from _paper()
    yield from _staged()
    account: tuple[str, ...] = STAGED
    if has_client():
        account = yield from _gateway(stage)
    yield Act("Where everything stands.", _typed("status", *account), ("status", *account))


def has_client() -> bool:
    """Return whether the client library for gateways is installed: the extra ``live``."""
    return find_spec("ib_async") is not None


def _people(stage: Stage) -> Script:
    """Give the acts before any evidence: who may sign, and what time it is."""
    allowed = ["approvers:"]
    for name in PEOPLE:
        said = yield Act(
            f"{name.title()} makes a signing key. The private half stays on {name.title()}'s machine.",
            f"workbench keys new {name}",
            ("keys", "new", name),
        )
        allowed += [line for line in said.splitlines() if line.startswith(f"  {name}:")]
    (stage.project / "params" / "approvers.yaml").write_text("\n".join(allowed) + "\n")
    with (stage.project / "params" / "strategies" / f"{EDGE}.yaml").open("a") as params:
        params.write(CALM)
    commit(stage, f"Ada and Ben may approve; {EDGE} at half the volatility")
    yield Act(
        "A promotion takes months. This project goes on simulated time, for good: it is June, and nobody knows more.",
        f"workbench clock --simulate {START}",
        ("clock", "--simulate", START),
    )


def _evidence() -> Script:
    """Give the acts from a backtest to paper."""
    yield Act(
        "Three strategies walk forward out of sample, on a market whose truth is known.",
        "make backtest",
        ("backtest",),
    )
    yield Act(
        f"The evidence for {EDGE}, an effect that is really there: data audited, the look-ahead guard, every number.",
        f"make evidence STRATEGY={EDGE}",
        ("evidence", EDGE),
    )
    yield from _step(
        "The gates are asked. One is not sure: was the choice among the cells luck? So two people must sign, and "
        "the second must write why it is right all the same."
    )


def _step(why: str) -> Script:
    """Give the acts of one step: proposed, signed by both, moved."""
    promote = (f"make promote STRATEGY={EDGE}", ("promote", EDGE, "--yes"))
    yield Act(why, *promote, REFUSED)
    first, second = (("approve", EDGE, "--as", name) for name in PEOPLE)
    yield Act("Ada reads the verdicts, and signs exactly these bytes.", _typed(*first), first)
    signed = (*second, "--reason", BECAUSE)
    yield Act("Ben reads them too, looks at every cell of the grid, and writes why.", _typed(*signed), signed)
    yield Act("Now it moves.", *promote)


def _luck(stage: Stage) -> Script:
    """Give the acts in which luck is taken for skill, and refused."""
    (stage.project / "params" / "strategies" / f"{LUCK}.yaml").write_text(HUNT)
    commit(stage, f"{LUCK} hunts where nothing is planted")
    yield Act(
        f"Somebody hunts with {LUCK} where nothing is planted. The best of the cells looks good, and each is counted.",
        f"make sweep STRATEGY={LUCK}",
        ("sweep", LUCK, "--yes"),
    )
    yield Act(f"The evidence for {LUCK}.", f"make evidence STRATEGY={LUCK}", ("evidence", LUCK))
    yield Act(
        "It earned in most years, and is refused: so does the best of as many tries that are worth nothing.",
        f"make promote STRATEGY={LUCK}",
        ("promote", LUCK, "--yes"),
        REFUSED,
    )


def _paper() -> Script:
    """Give the acts on paper: refused before, killed in the middle, gone on with, held against research."""
    yield Act(
        f"{EDGE} may not go on to money either: nobody has seen it trade on paper.",
        f"make promote STRATEGY={EDGE}",
        ("promote", EDGE, "--yes"),
        REFUSED,
    )
    yield Act(
        f"{EDGE} trades on paper, {SESSIONS} sessions that its evidence has not seen, through the runner, the gate and "
        f"the journal that trade for real. Only its verified pack is loaded. In session {KILLED_IN} the machine dies: "
        "kill -9.",
        f"make paper ARGS='--sessions {SESSIONS}'   # and elsewhere: kill -9",
        ("paper", "--sessions", str(SESSIONS)),
        KILLED,
        killed_at=f"  {KILLED_IN - 1}/{SESSIONS} ",
    )
    left = SESSIONS - KILLED_IN + 1
    yield Act(
        "The rest. It asks the broker what became of every order, and goes on with what was decided.",
        f"make paper ARGS='--sessions {left}'",
        ("paper", "--sessions", str(left)),
    )
    yield Act(
        "Was it what research says? Each session is computed again; each difference has a cause and its money.",
        f"workbench parity {EDGE}",
        ("parity", EDGE),
    )


def _staged() -> Script:
    """Give the acts from paper to production: two signatures a step, and capital that is raised one step at a time."""
    yield from _step("To staged live: the gates read the paper record. Money always takes two people.")
    for number, capital in enumerate(STEPS, 1):
        words = ("--sessions", str(STEP_SESSIONS), *STAGED, "--set", f"live.capital_step.{EDGE}={number}")
        why = "Staged live, rehearsed in an account of its own, with" if number == 1 else "The next step of capital:"
        yield Act(f"{why} ${capital:,}.", _typed("paper", *words), ("paper", *words))
    yield Act(
        "Parity again, with money so small that most wishes are less than a share.",
        _typed("parity", EDGE, *STAGED),
        ("parity", EDGE, *STAGED),
    )
    yield from _step("To production: the gates read the staged-live record. Was capital raised in steps?")


def _gateway(stage: Stage) -> Generator[Act, str, tuple[str, ...]]:
    """Give the acts at the simulated gateway, and return its account: a session killed, recovered, stopped."""
    yield Act(
        f"The prices of {DAY} and after, for a simulated gateway of Interactive Brokers to quote.",
        f'python -c "{TAPE}"',
        ("-c", TAPE),
    )
    (stage.project / "data" / "faults.yaml").write_text(LOST_WORD)
    words = ("--port", "0", "--market", "data/tape.parquet", "--faults", "data/faults.yaml", "--start", OPENED,
             "--account", ACCOUNT, "--cash", str(CASH))  # fmt: skip
    said = yield Act(
        f"The gateway opens. It will take order {SENT} of the day, and the word of it will be lost.",
        f"{_typed('tws-sim', *words)} &",
        ("tws-sim", *words),
        stays=True,
    )
    port, control = ports(said)
    there = ("--set", "live.mode=paper", "--set", f"live.port={port}", "--set", f"live.account={ACCOUNT}")
    trade = ("paper", "--once", *there)
    yield Act(
        "Production trades over the socket, with the client that trades for real, under the strictest limits. The "
        f"broker has {SENT} orders, the runner waits for a word of the last one, and the machine dies: kill -9.",
        f"{_typed(*trade)}   # and elsewhere: kill -9",
        trade,
        KILLED,
        killed_when=lambda: orders_at(control) >= SENT,
    )
    yield Act(
        "The same command again: each order is looked up at the broker by its key; none is lost, none is sent twice.",
        _typed(*trade),
        trade,
    )
    yield Act(
        "The emergency stop, over a connection of its own: halt, cancel, close everything, and see at the broker that "
        "it is closed.",
        _typed("kill", "--reason", "the drill of the demo", *there),
        ("kill", "--reason", "the drill of the demo", "--by", "ada", *there),
    )
    yield Act(
        "The books learn what the stop traded, and agree with the broker's.",
        _typed("reconcile", *there),
        ("reconcile", *there),
    )
    yield Act(
        "Only a person brings trading back, with a reason that stays in the journal.",
        _typed("resume", "--reason", "the drill is over", *there),
        ("resume", "--reason", "the drill is over", "--by", "ada", *there),
    )
    return there


def ports(said: str) -> tuple[int, int]:
    """Return the ports of a simulated gateway and of its control socket, as its first line names them."""
    found = re.match(r"gateway on port (\d+), control on port (\d+)", said)
    if found is None:
        raise WorkbenchError(f"demo: the gateway said {said.strip()!r} instead of its ports")
    return int(found[1]), int(found[2])


def orders_at(control: int) -> int:
    """Return how many orders a simulated gateway has taken."""
    with socket.create_connection(("127.0.0.1", control), timeout=5.0) as asked:
        asked.sendall(b'{"do": "orders"}\n')
        with asked.makefile() as answer:
            return len(json.loads(answer.readline())["ok"])


def _typed(*words: str) -> str:
    return f"workbench {shlex.join(words)}"
