"""
A bare loop of posts that tells how much of it is in memory after so many: a process of `memory`.
"""

from __future__ import annotations

import itertools
import threading

import requests

from benchmarks import usage
from benchmarks.children import say
from benchmarks.stock import SHORT_BODY

_THREADS = 8


def main(url: str, *counts: str) -> None:
    told = {int(each) for each in counts}
    most = max(told)
    numbers = itertools.count(1)
    lock = threading.Lock()

    def post() -> None:
        with requests.Session() as session:
            while True:
                with lock:
                    number = next(numbers)
                if number > most:
                    return
                assert session.post(url, data=SHORT_BODY, timeout=10).status_code == 200
                if number in told:
                    say(usage.resident())

    say(usage.resident())
    threads = [threading.Thread(target=post) for _ in range(_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
