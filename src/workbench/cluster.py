"""The Dask cluster that one variable moves work to: reached and with workers, or one line that says what to start."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from workbench.errors import InputRefused, WorkbenchError

ADDRESS = "DASK_SCHEDULER_ADDRESS"
CONNECT_SECONDS = 10.0


def cluster_address() -> str:
    """Return the scheduler that the environment names, or nothing: then the work stays on this machine."""
    return os.environ.get(ADDRESS, "").strip()


@contextmanager
def connected(address: str, name: str) -> Iterator[Any]:
    """Give a client of the scheduler once it has a worker."""
    from distributed import Client
    from distributed import TimeoutError as DaskTimeout
    from distributed.comm import parse_host_port

    try:
        parse_host_port(address.partition("://")[2] or address)
    except ValueError as error:
        raise InputRefused(
            f"{ADDRESS} '{address}': {error}; write tcp://host:8786, or unset the variable to work on this machine"
        ) from error
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False, name=name)
    except (OSError, ValueError) as error:
        raise WorkbenchError(
            f"{ADDRESS} {address}: no answer within {CONNECT_SECONDS:.0f} s; start it there with `dask scheduler`, "
            "or unset the variable to work on this machine"
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        except (DaskTimeout, TimeoutError) as error:
            raise WorkbenchError(
                f"{ADDRESS} {address}: it has no workers; start some with `dask worker {address}`"
            ) from error
        yield client


def require_cluster() -> None:
    """Raise where the environment names a scheduler that does not answer or has no workers."""
    if address := cluster_address():
        with connected(address, "workbench-look"):
            pass
