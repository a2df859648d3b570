"""The program: the gateway on its port, the control socket on another, and a pulse that lets time pass."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable

from workbench.tws.control import Control
from workbench.tws.gateway import Gateway
from workbench.tws.refused import SimulatorRefused
from workbench.tws.session import Session
from workbench.tws.settings import Settings

PULSE_SECONDS = 0.05


class Server:
    """Listens, and goes away and comes back when the gateway restarts."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.gateway = Gateway(settings)
        self.gateway.restart = self.restart
        self.listening: asyncio.Server | None = None
        self.port = settings.port
        self.control = Control(self)
        self.stopped = asyncio.Event()
        self.tasks: set[asyncio.Task[None]] = set()

    async def run(self, ready: Callable[[int, int], None]) -> None:
        """Serve until ``stop``; ``ready`` is told the two ports."""
        asked = self.port
        try:
            await self.listen()
            asked = self.settings.control
            control = await self.control.listen(self.settings.host, asked)
        except OSError as error:
            self.gateway.store.close()
            why = os.strerror(error.errno or 0)
            raise SimulatorRefused(f"port {asked}: {why}; give another one, or 0 for any") from None
        ready(self.port, control)
        try:
            while not self.stopped.is_set():
                self.pulse()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.stopped.wait(), PULSE_SECONDS)
        finally:
            self.control.close()
            if self.listening is not None:
                self.listening.close()
            for session in list(self.gateway.sessions):
                session.close()
            self.gateway.store.close()

    async def listen(self) -> None:
        """Open the gateway's port."""
        loop = asyncio.get_running_loop()
        self.listening = await loop.create_server(
            lambda: Session(self.gateway), self.settings.host, self.port, reuse_address=True, backlog=128
        )
        self.port = self.listening.sockets[0].getsockname()[1]

    def pulse(self) -> None:
        """Let what is due happen and tell the subscribers."""
        gateway = self.gateway
        gateway.catch_up()
        touched, gateway.touched = gateway.touched, set()
        for session in list(gateway.sessions):
            if touched and session.started and gateway.link_up:
                session.feed.send_account(touched)
            session.feed.pulse()
        gateway.settle()

    def restart(self, seconds: float) -> None:
        """Close the port and open it again after some real seconds."""
        if self.listening is not None:
            self.listening.close()
            self.listening = None

        async def later() -> None:
            await asyncio.sleep(seconds)
            await self.listen()

        task = asyncio.get_running_loop().create_task(later())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def stop(self) -> None:
        """End ``run`` in order."""
        self.stopped.set()


def serve(settings: Settings, ready: Callable[[int, int], None]) -> None:
    """Run a simulator until it is stopped by its control socket or a signal."""

    async def run() -> None:
        import signal
        import threading

        server = Server(settings)
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, server.stop)
        await server.run(ready)

    asyncio.run(run())
