"""How numbers are written: points of 100, differences, amounts of money, so that sentences and tables say the same.

Part of the floor; knows neither what a number is of nor any language.
"""

from __future__ import annotations

import math

from tunewise.nouns import Estimate

NOTHING = "–"


def usable(value: object) -> bool:
    """Whether a value is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def points(value: float) -> str:
    """A share as points of 100 with one decimal: 0.6321 is "63.2"."""
    return f"{100 * value:.1f}".replace("-", "−") if usable(value) else NOTHING


def signed(value: float) -> str:
    """A difference in points with its sign (a true minus sign)."""
    return f"{100 * value:+.1f}".replace("-", "−") if usable(value) else NOTHING


def number(value: float) -> str:
    """Any count or amount in at most about three significant digits: 0.0042, 1.37, 842, 12,400, 1.2 M."""
    if not usable(value):
        return NOTHING
    size = abs(value)
    if size == 0:
        return "0"
    if size >= 9.995e8:
        return f"{value / 1e9:.1f} G"
    if size >= 999_500:
        return f"{value / 1e6:.1f} M"
    if size >= 100:
        return f"{value:,.0f}"
    if size >= 10:
        return f"{value:.1f}"
    if size >= 0.1:
        return f"{value:.2f}"
    # Two digits that say something, in full: 0.000043 and not 4.3e-05.
    return f"{value:.{min(9, 1 - math.floor(math.log10(size)))}f}" if size >= 1e-9 else f"{value:.0e}"


def interval(estimate: Estimate) -> str:
    """ "63.2 [57.1, 69.0]" in points of 100."""
    return f"{points(estimate.mean)} [{points(estimate.low)}, {points(estimate.high)}]"


def apart(mean: float, low: float, high: float) -> str:
    """A difference with its interval, "+1.2 [−0.4, +2.8]", in points of 100."""
    return f"{signed(mean)} [{signed(low)}, {signed(high)}]"
