"""No Python process of the tests may leave this machine: loopback and sockets of the file system only.

Python imports this file by its name at start-up, because `conftest.py` puts its folder on PYTHONPATH for every child.
"""

import ipaddress
import sys


def _local(host: object) -> bool:
    if host in (None, "", "localhost", b"localhost"):
        return True
    try:
        return ipaddress.ip_address(host.decode() if isinstance(host, bytes) else str(host)).is_loopback
    except ValueError:
        return False


def _refuse(event: str, arguments: tuple) -> None:
    if event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        if isinstance(address, tuple) and not _local(address[0]):
            raise PermissionError(f"a test wants to reach {address[0]}:{address[1]}")
    elif event == "socket.getaddrinfo" and not _local(arguments[0]):
        raise PermissionError(f"a test wants to look up {arguments[0]!r}")


sys.addaudithook(_refuse)
