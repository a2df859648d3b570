"""The tear sheet: one file, offline, every number the run's own, every string escaped."""

from __future__ import annotations

import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from workbench.backtest import tearsheet
from workbench.backtest.result import WalkForward
from workbench.params import Settings

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
VOID = {"meta", "br", "hr", "img", "input", "link"}


class Page(HTMLParser):
    """Collects the rows of tables, the texts and anything that would load from elsewhere."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.texts: list[str] = []
        self.loads: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        self.loads += [f"{tag} {name}" for name, value in attributes if name in ("src", "srcset") or tag == "link"]
        self.loads += [value for name, value in attributes if name.endswith("href") and not value.startswith("#")]

    def handle_startendtag(self, tag, attributes):
        self.loads += [value for name, value in attributes if name.endswith("href") and not value.startswith("#")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style",):
            self.texts.append(data.strip())
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data

    def row(self, first: str) -> list[str]:
        return next(row for row in self.rows if row and row[0] == first)


@pytest.fixture(scope="module")
def html(walk_forward_made) -> str:
    return tearsheet.render(walk_forward_made, Settings(), {"git commit": "2c54e0e", "prices_daily": "version 3"})


@pytest.fixture(scope="module")
def page(html) -> Page:
    return Page(html)


def test_it_is_one_file_that_loads_nothing(html, page):
    assert page.loads == []
    assert "@import" not in html
    assert "url(" not in re.sub(r"url\(#\w+\)", "", html)
    assert "<script" not in html
    assert len(html.encode()) < 1_500_000


def test_made_data_wears_a_banner_and_real_data_does_not(html, walk_forward_made):
    assert "says nothing about real markets" in html
    assert "<title>sma_cross: walk-forward (sample market)</title>" in html
    real = tearsheet.render(replace(walk_forward_made, market="real"), Settings(market="real"), {})
    assert "SAMPLE MARKET" not in real
    assert "says nothing about real markets" not in real
    assert "sample.seed" not in real


@pytest.mark.parametrize(
    ("title", "inside", "outside", "interval"),
    [
        ("Sharpe ratio", "1.29", "0.87", "0.18 to 1.55"),
        ("Volatility a year", "9.4 %", "9.6 %", "8.9 % to 10.4 %"),
        ("CAGR", "12.1 %", "8.2 %", "1.2 % to 15.8 %"),
        ("Maximum drawdown", "−11.9 %", "−12.8 %", ""),
        ("Longest (sessions)", "201", "318", ""),
        ("Turnover a year", "", "4.2×", ""),
        ("Costs a year", "", "0.31 %", ""),
        ("Win rate", "", "54.0 %", ""),
        ("Sessions", "756", "2,012", ""),
    ],
)
def test_each_statistic_stands_in_its_columns(page, title, inside, outside, interval):
    row = page.row(title)
    assert row[1:4] == [inside, outside, interval]
    assert row[4]


def test_costs_that_did_not_settle_are_told(walk_forward_made, html, tmp_path):
    assert "did not settle" not in html
    off = replace(walk_forward_made, simulation=replace(walk_forward_made.simulation, unsettled=0.000025))
    off.save(tmp_path)
    told = tearsheet.render(WalkForward.load(tmp_path), Settings(), {})
    assert "charged 0.0025 % of the start capital too much or too little" in told


def test_a_statistic_without_a_title_is_shown_by_its_name(walk_forward_made):
    wf = replace(walk_forward_made, out_of_sample={**walk_forward_made.out_of_sample, "tail_ratio": 1.25})
    assert Page(tearsheet.render(wf, Settings(), {})).row("tail ratio")[2] == "1.25"


def test_folds_choices_drawdowns_and_months_are_tables(page):
    assert page.row("7")[2:] == ["2022-01-03 to 2022-12-30", "fast 50, slow 200", "1.60", "0.60"]
    assert ["depth", "from", "lowest", "recovered", "sessions"] in page.rows
    years = [row for row in page.rows if len(row) == 14 and row[0].isdigit()]
    assert [row[0] for row in years] == [str(year) for year in range(2016, 2024)]


def test_the_best_and_the_worst_round_trips_are_closed_ones_in_order(page, walk_forward_made):
    trades = walk_forward_made.simulation.trades
    closed = trades[~trades["open"]]["pnl"]
    rows = [row for row in page.rows if len(row) == 9 and row[0].startswith("AAA")]
    profits = [float(row[7].replace(",", "").replace("−", "-")) for row in rows]
    assert len(rows) == 10
    assert profits[0] == round(max(closed))
    assert profits[5] == round(min(closed))
    assert profits[:5] == sorted(profits[:5], reverse=True)
    assert profits[5:] == sorted(profits[5:])


def test_where_it_comes_from_and_its_settings_are_printed(page):
    assert page.row("git commit") == ["git commit", "2c54e0e"]
    assert page.row("prices_daily") == ["prices_daily", "version 3"]
    assert page.row("walk_forward.train_sessions")[1] == "756"
    assert page.row("sample.seed")[1] == "7"
    assert page.row("data.as_of")[1] == "–"


def test_every_string_is_escaped(walk_forward_made):
    wild = '<script>alert("1")</script>&'
    trades = walk_forward_made.simulation.trades.assign(symbol=wild)
    wf = replace(
        walk_forward_made,
        strategy=wild,
        question=wild,
        params={wild: wild},
        folds=walk_forward_made.folds.assign(params=[{wild: wild}] * 8),
        cells=walk_forward_made.cells.rename(columns={"fast": wild}).assign(slow=[wild, "b", "c"] * 3),
        simulation=replace(walk_forward_made.simulation, trades=trades),
        select_by=wild,
        out_of_sample={**walk_forward_made.out_of_sample, wild: 1.0},
    )
    html = tearsheet.render(wf, Settings(), {wild: wild})
    assert "<script" not in html.lower()
    assert "&lt;script&gt;" in html
    Page(html)


def test_the_pictures_are_well_formed(html):
    pictures = re.findall(r"<svg.*?</svg>", html, flags=re.S)
    assert len(pictures) == len(tearsheet.PICTURES)
    for picture in pictures:
        ElementTree.fromstring(picture)


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine to look at the page with")
def test_a_browser_draws_it_by_day_and_by_night(html, tmp_path):
    (tmp_path / "sheet.html").write_text(html)
    seen = {}
    for name, scheme in (("day", "1"), ("night", "0")):
        words = [
            *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"),
            *(f"--blink-settings=preferredColorScheme={scheme}", f"--user-data-dir={tmp_path / name}"),
            *("--window-size=1040,1400", f"--screenshot={tmp_path / name}.png", (tmp_path / "sheet.html").as_uri()),
        ]
        subprocess.run(words, check=True, capture_output=True, timeout=120)
        picture = Image.open(tmp_path / f"{name}.png").convert("RGB")
        counts = {colour: count for count, colour in picture.getcolors(2**24)}
        seen[name] = (picture.getpixel((5, 700)), max(counts, key=counts.get), counts)
    # The page, and the curve in the colour of "own": #ffffff and #0b5cad by day, #14181f and #5aa2e6 by night.
    assert seen["day"][:2] == ((255, 255, 255), (255, 255, 255))
    assert seen["night"][:2] == ((20, 24, 31), (20, 24, 31))
    assert seen["day"][2].get((11, 92, 173), 0) > 500
    assert seen["night"][2].get((90, 162, 230), 0) > 500


@pytest.mark.parametrize(
    ("sharpe", "interval", "said"),
    [
        (0.87, (0.18, 1.55), "earned money out of sample, and zero lies outside"),
        (0.31, (-0.4, 1.0), "earned money out of sample, but zero lies inside"),
        (-0.9, (-1.6, -0.2), "lost money out of sample, and zero lies outside"),
        (-0.1, (-0.8, 0.6), "lost money out of sample, but zero lies inside"),
        (0.5, (float("nan"), float("nan")), "too short for an interval"),
        (float("nan"), (float("nan"), float("nan")), "did not trade out of sample"),
    ],
)
def test_the_headline_says_whether_luck_explains_it(walk_forward_made, sharpe, interval, said):
    wf = replace(
        walk_forward_made,
        out_of_sample={**walk_forward_made.out_of_sample, "sharpe": sharpe},
        intervals={"sharpe": interval},
    )
    assert said in tearsheet.headline(wf)


def test_the_verdict_gives_the_numbers(walk_forward_made):
    assert tearsheet.verdict(walk_forward_made) == (
        "From 2016-01-04 to 2023-12-29 (2,012 sessions) the Sharpe ratio was 0.87 (95 % interval 0.18 to 1.55), "
        "1.29 in sample. Growth was 8.2 % a year at 9.6 % volatility, the maximum drawdown −12.8 %, "
        "the longest 318 sessions. Costs took 0.31 % of equity a year at a turnover of 4.2×."
    )


def test_a_run_that_never_traded_has_a_sheet_too(walk_forward_made):
    flat = walk_forward_made.simulation.returns * 0.0
    simulation = replace(
        walk_forward_made.simulation,
        returns=flat,
        equity=flat + 1_000_000.0,
        positions=walk_forward_made.simulation.positions * 0.0,
        costs=walk_forward_made.simulation.costs * 0.0,
        orders=walk_forward_made.simulation.orders.iloc[:0],
        trades=walk_forward_made.simulation.trades.iloc[:0],
    )
    nothing = {name: float("nan") for name in walk_forward_made.out_of_sample}
    wf = replace(
        walk_forward_made,
        simulation=simulation,
        out_of_sample={**nothing, "profit_factor": np.inf},
        in_sample={},
        intervals={},
        params={},
        folds=walk_forward_made.folds.assign(train_score=np.nan, test_score=np.nan, params=[{}] * 8),
    )
    page = Page(tearsheet.render(wf, Settings(), {}))
    assert page.row("Sharpe ratio")[2] == "–"
    assert page.row("Profit factor")[2] == "∞"
    assert "none" in page.texts
