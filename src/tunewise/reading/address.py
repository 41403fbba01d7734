"""A web address → its bytes, fetched so that nobody can make this machine reach what only this machine can reach.

Only http and https; the address that was checked is the one connected to (a second look-up could answer otherwise), at
every redirect again; size and time are limited. Proxies are not used: behind one nobody knows what is reached. Knows
nothing about formats but their content types.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from tunewise.errors import DataMistake
from tunewise.reading.formats import SUFFIXES

LARGEST = 50 << 20
"""Bytes of one page, unpacked."""
SECONDS = 30.0
_MOST_REDIRECTS = 5
_MOST_PAGES = 1000
_TYPES = {
    "text/html": ".html", "application/xhtml+xml": ".xhtml", "application/pdf": ".pdf", "text/markdown": ".md",
    "text/plain": ".txt", "text/csv": ".csv", "text/tab-separated-values": ".tsv", "application/epub+zip": ".epub",
    "message/rfc822": ".eml", "image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp", "image/tiff": ".tif",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": ".pptx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx", "application/vnd.ms-excel": ".xls",
    "application/xml": ".xml", "text/xml": ".xml", "application/gzip": ".gz", "application/x-gzip": ".gz",
}
_TEXTS = frozenset((".html", ".xhtml", ".md", ".txt", ".csv", ".tsv"))
Resolve = Callable[[str, int], Iterable[str]]


@dataclass(frozen=True, slots=True)
class Fetched:
    """What stood at an address: `url` after redirects, its bytes, and the suffix of its format (".xml": a site map)."""

    url: str
    data: bytes
    suffix: str


def resolve(host: str, port: int) -> list[str]:
    """The numeric addresses of a host; DataMistake when there is none."""
    if re.fullmatch(r"\d+(?:\.\d+){3}|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*", host):
        return [host]
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise DataMistake(f"{host}: there is no such host", tip="check the address") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def reachable(address: str, *, private: bool) -> bool:
    """May this numeric address be connected to? Without `private` only those of the public internet.

    Link-local addresses (there clouds hand out their keys), multicast and 0.0.0.0 never.
    """
    try:
        number = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(number, ipaddress.IPv6Address):
        # Addresses of version 4 in the clothes of version 6: mapped, 6to4, Teredo, NAT64.
        inner = [number.ipv4_mapped, number.sixtofour, *(number.teredo or ())]
        if number in ipaddress.ip_network("64:ff9b::/96"):
            inner.append(ipaddress.IPv4Address(int(number) & 0xFFFFFFFF))
        worn = [one for one in inner if one is not None]
        if worn:
            return all(reachable(str(one), private=private) for one in worn)
    if number.is_link_local or number.is_multicast or number.is_unspecified:
        return False
    return number.is_global and not number.is_reserved or (private and (number.is_private or number.is_loopback))


def numeric(host: str, port: int, *, private: bool, look_up: Resolve = resolve) -> str:
    """The one numeric address that may be connected to for a host; DataMistake when any of its addresses may not."""
    found = list(look_up(host, port))
    if not found or not all(reachable(address, private=private) for address in found):
        raise DataMistake(
            f"{host} is not an address of the public internet",
            tip="save the page as a file, or allow addresses of your own network with --allow-private",
        )
    return found[0].partition("%")[0]


def check(url: str) -> str:
    """The address as it is asked for; DataMistake unless it is http or https with a host and without a password."""
    parts = urlsplit(url.strip())
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme not in ("http", "https") or not parts.hostname or port == -1:
        raise DataMistake(f"{url}: it is no address of a web page", tip="give one that begins with https://")
    if parts.username is not None or parts.password is not None:
        raise DataMistake(f"{parts.scheme}://…@{parts.hostname}: no password is sent", tip="save the page as a file")
    return parts._replace(fragment="").geturl()


def fetch(url: str, *, private: bool = False, largest: int = LARGEST, look_up: Resolve = resolve) -> Fetched:
    """Get one page, following at most 5 redirects; `private` allows addresses of one's own network.

    Raises DataMistake for every address that may not be reached, does not answer, or gives what is not read.
    """
    import httpx

    url = check(url)
    limits = httpx.Limits(max_connections=4, max_keepalive_connections=0)
    headers = {"User-Agent": "tunewise (+reads single pages on request)", "Accept": "*/*"}
    transport = _guarded(private, look_up, limits)
    try:
        with httpx.Client(transport=transport, trust_env=False, headers=headers, timeout=10.0) as client:
            for _ in range(_MOST_REDIRECTS + 1):
                with client.stream("GET", url) as response:
                    if response.is_redirect:
                        following = response.next_request
                        if following is None:
                            raise DataMistake(f"{url}: it leads nowhere", tip="open it in a browser")
                        url = check(str(following.url))
                        continue
                    return _taken(url, response, largest)
    except httpx.InvalidURL as error:
        raise DataMistake(f"{url}: it is no address of a web page: {error}", tip="check the address") from error
    except httpx.HTTPError as error:
        raise DataMistake(f"{url}: it does not answer: {type(error).__name__}: {error}"[:300],
                          tip="open it in a browser; save the page as a file") from error
    raise DataMistake(f"{url}: more than {_MOST_REDIRECTS} redirects", tip="give the address that a browser ends at")


def _guarded(private: bool, look_up: Resolve, limits: Any) -> Any:
    """A transport that connects to the very address it has checked, with the host's own name for TLS."""
    import httpx

    class Guarded(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            host = request.url.host
            port = request.url.port or (443 if request.url.scheme == "https" else 80)
            number = numeric(host, port, private=private, look_up=look_up)
            checked = httpx.Request(
                request.method, request.url.copy_with(host=number), headers=request.headers,
                stream=request.stream, extensions={**request.extensions, "sni_hostname": host},
            )
            return super().handle_request(checked)

    return Guarded(limits=limits, retries=0, trust_env=False)


def _taken(url: str, response: Any, largest: int) -> Fetched:
    if response.status_code != 200:
        raise DataMistake(f"{url}: the server answers {response.status_code} {response.reason_phrase}",
                          tip="open it in a browser; pages behind a sign-in have to be saved as files")
    declared = response.headers.get("content-length", "")
    data = bytearray()
    if not (declared.isdigit() and int(declared) > largest):
        for piece in response.iter_bytes(65536):
            data += piece
            if len(data) > largest:
                break
    if len(data) > largest or (declared.isdigit() and int(declared) > largest):
        raise DataMistake(f"{url}: it is larger than {largest >> 20} MiB", tip="save what is wanted of it as a file")
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    named = PurePosixPath(unquote(urlsplit(url).path)).suffix.lower()
    suffix = _TYPES.get(kind, "")
    if kind in ("", "application/octet-stream", "text/plain") and (named in SUFFIXES or named in (".gz", ".xml")):
        suffix = named
    if not suffix:
        raise DataMistake(f"{url}: pages of the kind {kind or 'unknown'} are not read", tip="save it as a known format")
    return Fetched(url, _marked(bytes(data), suffix, response.charset_encoding), suffix)


def _marked(data: bytes, suffix: str, charset: str | None) -> bytes:
    """A text as UTF-8 with its mark: the encoding that the server told is not in the file."""
    if suffix not in _TEXTS or not charset:
        return data
    try:
        return b"\xef\xbb\xbf" + data.decode("gb18030" if charset in ("gb2312", "gbk") else charset).encode("utf-8")
    except (LookupError, UnicodeError):
        # Servers lie about the encoding; whoever reads the file finds it out.
        return data


def site_map(page: Fetched, most: int = _MOST_PAGES) -> tuple[list[str], list[str]]:
    """(addresses of pages, addresses of further site maps) of a site map, those of other hosts left out.

    Raises DataMistake when it is no site map.
    """
    import zlib

    from tunewise.reading.package import tree

    data = page.data
    if data.startswith(b"\x1f\x8b"):
        unpacker = zlib.decompressobj(31)
        try:
            data = unpacker.decompress(data, LARGEST)
        except zlib.error as error:
            raise DataMistake(f"{page.url}: the site map is damaged", tip="give the addresses one by one") from error
    root = tree(data)
    kind = root.tag.rpartition("}")[2] if isinstance(root.tag, str) else ""
    if kind not in ("urlset", "sitemapindex"):
        raise DataMistake(f"{page.url}: it is no site map", tip="give the address of a page, or of a sitemap.xml")
    host = urlsplit(page.url).hostname
    found = []
    for place in root.iterfind("./*/{*}loc"):
        address = (place.text or "").strip()
        if re.match("https?://", address) and urlsplit(address).hostname == host:
            found.append(address)
    found = list(dict.fromkeys(found))[:most]
    return (found, []) if kind == "urlset" else ([], found)
