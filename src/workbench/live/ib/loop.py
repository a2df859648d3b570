"""An event loop in a thread of its own, so that synchronous callers wait on it with a limit."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from workbench.errors import Unanswered

_Result = TypeVar("_Result")


class LoopThread:
    """Runs coroutines for other threads.

    >>> loop = LoopThread("example")
    >>> loop.run(asyncio.sleep(0, "done"), 1.0)
    'done'
    >>> loop.close()
    """

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, _Result], seconds: float) -> _Result:
        """Run to the end and return the result; ``Unanswered`` after so many seconds, whatever the work waits for."""
        if self.loop.is_closed() or threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("the event loop is closed, or waits for itself")
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result(seconds)
        except TimeoutError as error:
            future.cancel()
            raise Unanswered(f"the connection's own thread did not answer within {seconds:g} s") from error

    def close(self) -> None:
        """Stop the thread; work that still waits is cancelled."""
        if self.loop.is_closed():
            return
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5.0)
        if not self._thread.is_alive():
            self.loop.close()

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        left = asyncio.all_tasks(self.loop)
        for task in left:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
