"""The command line: the only room that prints and the only one that ends the process. It holds no logic."""

from __future__ import annotations

import sys


def main() -> None:
    """The program `tunewise`."""
    from tunewise.cli.app import run

    sys.exit(run())


__all__ = ["main"]
