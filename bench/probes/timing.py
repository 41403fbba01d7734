"""Whether time tells that a forbidden document is there: the probe AC4.

The same request for a forbidden and for an absent document, in drawn order on one connection. The figure is the area
under the ROC curve of "it took this long, so it is the forbidden one": .5 tells nothing, 1 everything.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import numpy as np

Request = tuple[str, str, dict[str, Any]]
"""(method, path, what else httpx is given)."""
NAMES = 20
"""Different documents of each kind, so that a cache remembers neither alone."""


def area(ones: Sequence[float], others: Sequence[float]) -> float:
    """The share of pairs in which the first is larger, ties halved (Mann-Whitney), or one minus it: at least .5."""
    ranks = np.empty(len(ones) + len(others))
    values = np.asarray([*ones, *others])
    for value in np.unique(values):
        same = values == value
        ranks[same] = np.count_nonzero(values < value) + (np.count_nonzero(same) + 1) / 2
    count = len(ones)
    share = (ranks[:count].sum() - count * (count + 1) / 2) / (count * len(others))
    return float(max(share, 1 - share))


def doors(forbidden: Callable[[int], str], absent: Callable[[int], str]) -> dict[str, Callable[[bool, int], Request]]:
    """By what is asked: a request for the n-th forbidden or absent document."""

    def named(there: bool, number: int) -> str:
        return forbidden(number) if there else absent(number)

    return {
        "document": lambda there, n: ("GET", f"/v1/documents/{named(there, n)}.md", {}),
        "source": lambda there, n: ("GET", "/source", {"params": {"document": f"{named(there, n)}.md"}}),
        "picture": lambda there, n: ("GET", "/source/page.png", {
            "params": {"document": f"{named(there, n)}.md", "number": 1, "revision": "x"}}),
        "delete": lambda there, n: ("DELETE", f"/v1/documents/{named(there, n)}.md", {}),
        "search": lambda there, n: ("POST", "/v1/search", {"json": {"query": f"the code {named(there, n)}", "k": 5}}),
    }


def tell_apart(client: httpx.Client, door: Callable[[bool, int], Request], requests: int) -> dict[str, Any]:
    """The area for one door, with `requests` of each kind, and whether the answers themselves were the same."""
    chance = random.Random(7)
    order = [True] * requests + [False] * requests
    chance.shuffle(order)
    seconds: dict[bool, list[float]] = {True: [], False: []}
    looks = set()
    for turn, there in enumerate([True, False] * 10 + order):
        method, path, more = door(there, chance.randrange(NAMES))
        start = time.perf_counter()
        reply = client.request(method, path, **more)
        took = time.perf_counter() - start
        if turn >= 20:
            seconds[there].append(took)
        looks.add((reply.status_code, len(reply.content)))
    return {
        "n": requests, "auc": round(area(seconds[True], seconds[False]), 3), "answers_look": len(looks),
        "forbidden_p50_ms": round(1000 * float(np.median(seconds[True])), 2),
        "absent_p50_ms": round(1000 * float(np.median(seconds[False])), 2),
    }
