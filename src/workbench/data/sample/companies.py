"""The fictional companies: their names, their sectors, how they move, and when they are listed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.data.sample.streams import Array, stream
from workbench.data.sample.truth import BENCHMARK, SECTORS
from workbench.params import SampleParams

_STEMS = {
    "TEC": "Quillon Vexar Lumetrix Orbwell Tandrix Nemoria Syntora Pixelane Corvanta Ferroq",
    "HLT": "Aldovane Meridara Sanovex Kelbryn Vitaluna Ostrava Hemlorin Nuviary Calderis Brenwick",
    "ENR": "Drakmoor Petrolund Solvanger Tarnfield Ignivar Northeld Gasparo Halvorne Cindermark Ravenol",
    "FIN": "Harrowgild Sterlund Castellan Ombrick Fidelmoor Brightvault Lindcross Penwarden Auricorn Tollgrave",
    "CON": "Marlowick Pippinbrook Tavistone Honeydale Larkspire Oakhollow Dunwhistle Figgleby Sundrift Cloverine",
    "UTL": "Gridmoor Watervale Lampwick Everspring Millrace Stonewell Brookmere Highpylon Clearfen Damside",
}
_TRADES = {
    "TEC": ("Systems", "Software", "Devices", "Networks", "Semiconductors"),
    "HLT": ("Pharma", "Biologics", "Medical", "Diagnostics", "Care"),
    "ENR": ("Energy", "Petroleum", "Drilling", "Pipelines", "Resources"),
    "FIN": ("Bancorp", "Capital", "Insurance", "Trust", "Financial"),
    "CON": ("Foods", "Brands", "Stores", "Apparel", "Home"),
    "UTL": ("Power", "Water", "Electric", "Gas", "Light"),
}
_FORMS = ("", " Group", " Holdings", " International")

# Per sector: market beta, own volatility a year, dividend yield a year, share of companies that pay one.
_CHARACTER = {
    "TEC": (1.25, 0.27, 0.010, 0.5),
    "HLT": (0.85, 0.24, 0.016, 0.6),
    "ENR": (1.05, 0.26, 0.032, 0.9),
    "FIN": (1.20, 0.23, 0.026, 0.9),
    "CON": (0.90, 0.21, 0.022, 0.8),
    "UTL": (0.70, 0.16, 0.036, 1.0),
}
_BETA = (0.6, 1.5)


@dataclass(frozen=True)
class Companies:
    """One entry a company and array; ``first`` and ``last`` count sessions from the market's start."""

    symbols: tuple[str, ...]
    names: tuple[str, ...]
    sector: NDArray[np.int64]  # place in SECTORS
    beta: Array
    sector_pull: Array
    own_volatility: Array  # a year
    dividend_yield: Array  # a year; 0 pays none
    price: Array  # before the first session
    turnover: Array  # dollars a session, in normal times
    split_above: Array  # announces a split once the price is higher
    split_ratio: Array
    phase: NDArray[np.int64]  # sessions from listing to the first ex-date
    first: NDArray[np.int64]
    last: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.symbols)


def symbols(params: SampleParams) -> tuple[str, ...]:
    """Return every symbol of the market, the benchmark last."""
    numbers = range(1, params.symbols_per_sector + 1)
    return (*(f"{code}{number:02d}" for code in SECTORS for number in numbers), BENCHMARK)


def companies(params: SampleParams, sessions: int) -> Companies:
    """Return the companies of a market that lasts so many sessions."""
    each, codes = params.symbols_per_sector, tuple(SECTORS)
    count = each * len(codes)
    sector = np.repeat(np.arange(len(codes)), each)
    beta, volatility, dividends, payers = (
        np.array(column)[sector] for column in zip(*_CHARACTER.values(), strict=True)
    )
    draw = stream(params.seed, "companies")
    beta = np.clip(beta + 0.18 * draw.standard_normal(count), *_BETA)
    volatility = volatility * np.exp(0.22 * draw.standard_normal(count))
    pays = draw.random(count) < payers
    dividends = np.where(pays, dividends * draw.uniform(0.6, 1.4, count), 0.0)
    first, last = _listing(params, sessions, sector)
    return Companies(
        symbols=symbols(params)[:-1],
        names=tuple(_name(code, number) for code in codes for number in range(each)),
        sector=sector,
        beta=beta,
        sector_pull=draw.uniform(0.7, 1.3, count),
        own_volatility=volatility,
        dividend_yield=dividends,
        price=_opening_prices(draw, count, each),
        turnover=np.exp(draw.normal(np.log(8e7), 0.9, count)),
        split_above=draw.uniform(120.0, 320.0, count),
        split_ratio=np.where(draw.random(count) < 0.7, 2.0, 3.0),
        phase=draw.integers(21, 63, count),
        first=first,
        last=last,
    )


def _opening_prices(draw: np.random.Generator, count: int, each: int) -> Array:
    """Start most prices between 12 and 140, and the first company of each sector low, where reverse splits happen."""
    prices: Array = np.exp(draw.uniform(np.log(12.0), np.log(140.0), count))
    prices[::each] = draw.uniform(7.0, 12.0, len(prices[::each]))
    return prices.round(2)


def _listing(params: SampleParams, sessions: int, sector: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
    """List one company in eight late, and take one in twenty-five off the exchange early; no company does both."""
    draw, count = stream(params.seed, "listing"), len(sector)
    first, last = np.zeros(count, dtype=np.int64), np.full(count, sessions - 1, dtype=np.int64)
    late = [company for code in range(sector.max() + 1) for company in _some(draw, sector == code, 8)]
    first[late] = draw.integers(int(0.15 * sessions), int(0.60 * sessions), len(late))
    early = _some(draw, first == 0, 25, of=count)
    last[early] = draw.integers(int(0.45 * sessions), int(0.90 * sessions), len(early))
    return first, last


def _some(draw: np.random.Generator, among: NDArray[np.bool_], one_in: int, of: int = 0) -> NDArray[np.int64]:
    candidates = np.flatnonzero(among)
    return draw.choice(candidates, size=(of or len(candidates)) // one_in, replace=False)


def _name(code: str, number: int) -> str:
    stems, trades = _STEMS[code].split(), _TRADES[code]
    trade = trades[(number + number // len(stems)) % len(trades)]
    return f"{stems[number % len(stems)]} {trade}{_FORMS[number // (len(stems) * len(trades))]}"
