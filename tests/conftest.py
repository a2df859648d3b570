"""Fixtures that many tests share: small markets made by hand or by a plain random walk."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workbench.backtest.result import Simulation, WalkForward
from workbench.sessions import Calendar
from workbench.types import Bars

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"

# A shell that starts a test run beside itself lets it, and all that it starts, ignore Ctrl-C, which tests send.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def figures(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Tells what a proof counted and measured: shown at the end of the run, whichever process ran it."""

    def tell(**found: object) -> None:
        record_property("figures", ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in found.items()))

    return tell


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what the proofs counted."""
    reports = [*terminalreporter.stats.get("passed", []), *terminalreporter.stats.get("failed", [])]
    told = [(one.nodeid, text) for one in reports for name, text in one.user_properties if name == "figures"]
    if told:
        terminalreporter.section("what the proofs counted")
        for where, text in sorted(told):
            terminalreporter.line(f"{where.rpartition('/')[2]}: {text}")


@pytest.fixture
def shared() -> Path:
    """Recorded real-world data beside the checkout; the test is skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the recorded data folder ../shared/data is not beside this checkout")
    return SHARED


@contextmanager
def nobody() -> Iterator[None]:
    """Act as a user without rights, where the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def as_nobody() -> Callable[[], AbstractContextManager[None]]:
    """What is done within ``with as_nobody():`` is done by a user without rights."""
    return nobody


def make_bars(close: np.ndarray, symbols: list[str] | None = None, start: str = "2020-01-02", **fields: object) -> Bars:
    """Return daily bars with these closes; opens equal the close before, highs and lows lie 1 % around."""
    close = np.asarray(close, dtype=float)
    close = close[:, None] if close.ndim == 1 else close
    symbols = symbols or [f"AAA{number:02d}" for number in range(close.shape[1])]
    index = Calendar().sessions(start, "2025-12-31")[: len(close)]
    index = pd.DatetimeIndex(index, freq=None)

    def frame(values: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame(values, index=index, columns=symbols)

    opened = np.vstack([close[:1], close[:-1]])
    opened = np.where(np.isnan(opened), close, opened)
    opened = np.where(np.isnan(close), np.nan, opened)
    values = {
        "open": opened,
        "high": np.fmax(opened, close) * 1.01,
        "low": np.fmin(opened, close) * 0.99,
        "close": close,
        "volume": np.full_like(close, 1e6),
        "traded_close": close,
    }
    values |= {name: np.asarray(value, dtype=float) for name, value in fields.items() if name in values}
    rest = {name: value for name, value in fields.items() if name not in values}
    return Bars(**{name: frame(value) for name, value in values.items()}, **rest)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def bars_of() -> Callable[..., Bars]:
    """The maker of bars from closes."""
    return make_bars


@pytest.fixture
def walk() -> Bars:
    """Twelve symbols in three sectors on a random walk of 600 sessions: no effect is in it."""
    random = np.random.default_rng(3)
    market = random.normal(0.0003, 0.008, (600, 1))
    close = 50.0 * np.exp(np.cumsum(market + random.normal(0.0, 0.012, (600, 12)), axis=0))
    symbols = [f"{sector}{number:02d}" for sector in ("TEC", "FIN", "HLT") for number in range(4)]
    names = {"TEC": "Technology", "FIN": "Finance", "HLT": "Health"}
    bars = make_bars(close, symbols, sectors={symbol: names[symbol[:3]] for symbol in symbols}, market="sample")
    return bars


def make_walk_forward(
    strategy: str = "sma_cross", seed: int = 11, drift: float = 0.0004, **changes: object
) -> WalkForward:
    """Return a walk-forward of 8 test years made by hand: plausible curves, and statistics that are literals.

    The statistics do not follow from the curves: a picture or a record that shows them did not compute them.
    """
    random = np.random.default_rng(seed)
    index = pd.DatetimeIndex(Calendar().sessions("2016-01-04", "2023-12-29"), freq=None)
    rows, symbols = len(index), [f"AAA{number:02d}" for number in range(6)]
    market = 0.0003 + 0.010 * random.standard_t(5, rows)
    market[0] = 0.0
    own = 0.25 * market + drift + 0.0045 * random.standard_t(5, rows)
    own[0] = 0.0
    returns = pd.Series(own, index=index, name="return")
    equity = 1_000_000.0 * (1.0 + returns).cumprod().rename("equity")
    held = np.repeat(random.choice([-0.1, 0.0, 0.1, 0.2], (rows // 21 + 1, len(symbols))), 21, axis=0)[:rows]
    held[0] = 0.0
    traded = np.argwhere(np.vstack([np.zeros(len(symbols)), np.diff(held, axis=0)]) != 0.0)
    changed = np.vstack([np.zeros(len(symbols)), np.diff(held, axis=0)])[traded[:, 0], traded[:, 1]]
    value = np.abs(changed) * equity.to_numpy()[traded[:, 0]]
    orders = pd.DataFrame(
        {
            "session": index[traded[:, 0]],
            "symbol": [symbols[column] for column in traded[:, 1]],
            "side": np.where(changed < 0, "sell", "buy"),
            "shares": np.floor(value / 50.0),
            "price": 50.0,
            "value": value,
            "commission": value * 1e-4,
            "spread": value * 1e-4,
            "impact": value * 2e-4,
            "participation": 0.01,
        }
    )
    by_session = orders.groupby("session")[["commission", "spread", "impact"]].sum().reindex(index).fillna(0.0)
    costs = by_session.assign(borrow=np.maximum(-held, 0.0).sum(axis=1) * equity.to_numpy() * 0.005 / 252)
    count = 40
    entry, sessions = random.integers(0, rows - 60, count), random.integers(3, 50, count)
    profit = random.normal(900.0, 6_000.0, count).round(2)
    trades = pd.DataFrame(
        {
            "symbol": [symbols[number % len(symbols)] for number in range(count)],
            "side": np.where(np.arange(count) % 3 == 0, "short", "long"),
            "entry": index[entry],
            "exit": index[entry + sessions],
            "entry_price": 50.0,
            "exit_price": 50.0 + profit / 2_000.0,
            "pnl": profit,
            "return": profit / 100_000.0,
            "sessions": sessions,
            "open": np.arange(count) == count - 1,
        }
    ).sort_values(["entry", "symbol"], ignore_index=True)
    grid = [{"fast": fast, "slow": slow} for fast in (10, 20, 50) for slow in (100, 150, 200)]
    picked = [4, 4, 1, 4, 5, 5, 8, 4]
    test_scores = [0.9, 1.4, -0.5, 1.1, 0.3, 1.7, 0.6, 0.8]
    train_scores = [1.5, 1.3, 1.1, 0.9, 1.2, 1.4, 1.6, 1.3]
    folds = pd.DataFrame(
        {
            "fold": range(1, 9),
            "train_start": [pd.Timestamp(f"{year - 3}-01-02") for year in range(2016, 2024)],
            "train_end": [pd.Timestamp(f"{year - 1}-12-20") for year in range(2016, 2024)],
            "test_start": [index[index.year == year][0] for year in range(2016, 2024)],
            "test_end": [index[index.year == year][-1] for year in range(2016, 2024)],
            "train_score": train_scores,
            "test_score": test_scores,
            "params": [grid[cell] for cell in picked],
        }
    )
    cells = pd.DataFrame(grid).assign(
        train_score=[0.6, 0.9, 0.7, 0.8, 1.3, 1.1, 0.4, 0.7, 1.0],
        test_score=[0.1, 0.6, 0.4, 0.5, 0.9, 0.7, -0.2, 0.3, 0.8],
        chosen=[picked.count(cell) for cell in range(9)],
    )
    cell_returns = pd.DataFrame({cell: own + random.normal(0.0, 0.001, rows) for cell in range(9)}, index=index)
    made = WalkForward(
        strategy=strategy,
        question="Does holding what trades above its slow average pay, after costs?",
        market="sample",
        folds=folds,
        cells=cells,
        cell_returns=cell_returns,
        simulation=Simulation(
            returns=returns,
            equity=equity,
            positions=pd.DataFrame(held, index=index, columns=symbols),
            costs=costs,
            orders=orders,
            trades=trades,
            cash=1_000_000.0,
            market="sample",
        ),
        benchmark=pd.Series(market, index=index, name="benchmark"),
        in_sample={"sharpe": 1.29, "sortino": 1.95, "calmar": 1.02, "omega": 1.24, "cagr": 0.121, "volatility": 0.094,
                   "total_return": 0.41, "max_drawdown": -0.119, "max_drawdown_sessions": 201.0, "skew": -0.11,
                   "kurtosis": 6.2, "sessions": 756.0},
        out_of_sample={"sharpe": 0.87, "sortino": 1.31, "calmar": 0.64, "omega": 1.16, "cagr": 0.082,
                       "volatility": 0.096, "total_return": 0.88, "max_drawdown": -0.128,
                       "max_drawdown_sessions": 318.0, "win_rate": 0.54, "profit_factor": 1.37, "trades": 39.0,
                       "turnover": 4.2, "exposure": 0.71, "alpha": 0.061, "beta": 0.24, "cost_per_year": 0.0031,
                       "skew": -0.18, "kurtosis": 6.4, "sessions": 2012.0, "crowded_orders": 0.0},
        intervals={"sharpe": (0.18, 1.55), "cagr": (0.012, 0.158), "volatility": (0.089, 0.104)},
        params={"fast": 20, "slow": 150},
        select_by="sharpe",
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def walk_forward_of() -> Callable[..., WalkForward]:
    """The maker of walk-forwards by hand."""
    return make_walk_forward


@pytest.fixture(scope="session")
def walk_forward_made() -> WalkForward:
    """One walk-forward by hand, shared because it is frozen."""
    return make_walk_forward()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A PostgreSQL of its own on a free port, made from the machine's package."""
    initdb, server = shutil.which("initdb"), shutil.which("postgres")
    if not (initdb and server and find_spec("psycopg")):
        pytest.skip("needs initdb and postgres on the PATH, and the package psycopg")
    with socket.socket() as free, tempfile.TemporaryDirectory() as name:
        free.bind(("127.0.0.1", 0))
        port, folder = free.getsockname()[1], Path(name)
        free.close()
        user: dict[str, object] = {}
        if os.geteuid() == 0:  # the server refuses to run as root
            shutil.chown(folder, "nobody")
            user = {"user": "nobody"}
        made = subprocess.run(
            [initdb, "-D", f"{folder}/data", "-U", "quant", "-A", "trust", "-N"], capture_output=True, text=True,
            check=False, cwd=folder, **user,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        running = subprocess.Popen(
            [server, "-D", f"{folder}/data", "-p", str(port), "-k", name, "-h", "127.0.0.1"],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=folder, **user,
        )  # fmt: skip
        try:
            for _ in range(100):
                with socket.socket() as door:
                    if door.connect_ex(("127.0.0.1", port)) == 0:
                        break
                threading.Event().wait(0.1)
            yield f"postgresql://quant@127.0.0.1:{port}/"
        finally:
            running.send_signal(signal.SIGINT)  # a fast shutdown: it does not wait for clients
            running.wait(20)
            assert running.stderr
            running.stderr.close()
