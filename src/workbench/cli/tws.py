"""The simulator of the TWS gateway as a program."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workbench.errors import InputRefused


def tws_sim(
    port: Annotated[
        int, typer.Option(help="Port of the gateway; 7497 is that of a paper TWS, 0 is any free one.")
    ] = 7497,
    server_version: Annotated[int, typer.Option(help="Protocol version: 178, or 157 for old clients.")] = 178,
    seed: Annotated[int, typer.Option(help="The same seed gives the same prices and fills.")] = 7,
    state: Annotated[Path | None, typer.Option(help="SQLite file of the broker; without it all is forgotten.")] = None,
    faults: Annotated[Path | None, typer.Option(help="YAML or JSON list of faults.")] = None,
    control: Annotated[int, typer.Option(help="Port of the control socket (JSON lines); 0 is any free one.")] = 0,
    market: Annotated[Path | None, typer.Option(help="CSV or Parquet of recorded bars; else a random walk.")] = None,
    start: Annotated[str, typer.Option(help="Simulated time at the start, or 'now'.")] = "2026-01-05T15:00:00+00:00",
    speed: Annotated[float, typer.Option(help="Simulated seconds a second; 0 stands still until told.")] = 1.0,
    hours: Annotated[str, typer.Option(help="'us' for New York hours, 'always' for around the clock.")] = "us",
    account: Annotated[str, typer.Option(help="Account code, DU and digits.")] = "DU1234567",
    cash: Annotated[float, typer.Option(help="Cash of a new account.")] = 1_000_000.0,
) -> None:
    """Run a simulated TWS gateway: real clients connect to it and trade with play money."""
    from workbench.tws import Settings, SimulatorRefused
    from workbench.tws.faults import read_faults
    from workbench.tws.server import serve

    def ready(gateway: int, steering: int) -> None:
        print(f"gateway on port {gateway}, control on port {steering}, account {account}; Ctrl-C ends it", flush=True)

    try:
        settings = Settings(
            port=port,
            control=control,
            server_version=server_version,
            seed=seed,
            state=str(state or ""),
            account=account,
            cash=cash,
            start=start,
            factor=speed,
            hours=hours,
            market=str(market or ""),
            faults=read_faults(faults) if faults else (),
        )
        serve(settings, ready)
    except SimulatorRefused as error:
        raise InputRefused(str(error)) from None
