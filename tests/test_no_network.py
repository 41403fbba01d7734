"""The guard that keeps every test on this machine works, here and in child processes."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

OUTSIDE = "192.0.2.1"
"""An address that RFC 5737 keeps for documentation."""


def test_nothing_leaves_this_process() -> None:
    with pytest.raises(PermissionError):
        socket.create_connection((OUTSIDE, 80), timeout=1)
    with pytest.raises(PermissionError):
        socket.getaddrinfo("example.com", 80)


def test_nothing_leaves_a_child() -> None:
    code = f"import socket; socket.create_connection(('{OUTSIDE}', 80), timeout=1)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "PermissionError: a test wants to" in done.stderr


def test_this_machine_can_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=5).close()
