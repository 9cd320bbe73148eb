"""The shop, for a server that ends with the benchmark which began it, however that ends."""

from __future__ import annotations

import os
import signal
import threading

from django.core.wsgi import get_wsgi_application

_MASTER = os.getppid()


def _end_with_benchmark() -> None:
    # Not sys.stdin, whose lock a thread must not hold when its process ends.
    os.read(0, 1)
    if os.getppid() == _MASTER:
        os.kill(_MASTER, signal.SIGTERM)


application = get_wsgi_application()
threading.Thread(target=_end_with_benchmark, daemon=True).start()
