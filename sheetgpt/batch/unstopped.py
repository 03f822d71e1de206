"""What a local worker's process loads first: Ctrl-C, which the terminal sends to all, is left to the one that typed it.

That process then ends its workers.
"""

from __future__ import annotations

import signal


def dask_setup(_worker: object) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
