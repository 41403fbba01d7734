"""Web pages: saved beside the documents, and never a way to reach what only this machine can reach."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from sample_files import ENGLISH
from tunewise.errors import DataMistake
from tunewise.jobs.web import file_name, save_pages
from tunewise.reading import address, read_folder
from tunewise.reading.address import Fetched, check, fetch, numeric, reachable, site_map

PAGE = f"<html><head><title>Returns</title></head><body><h1>Returns</h1><p>{ENGLISH}</p></body></html>"


class Site(BaseHTTPRequestHandler):
    asked: list[tuple[str, str]] = []

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        Site.asked.append((self.headers["Host"], self.path))
        port = self.server.server_address[1]
        status, kind, body, headers = 200, "text/html; charset=utf-8", PAGE.encode(), {}
        if self.path == "/away":
            status, headers = 302, {"Location": "http://10.1.2.3/secret"}
        elif self.path == "/round":
            status, headers = 302, {"Location": "/round"}
        elif self.path == "/moved":
            status, headers = 301, {"Location": "/returns"}
        elif self.path == "/file":
            status, headers = 302, {"Location": "file:///etc/passwd"}
        elif self.path == "/none":
            status = 404
        elif self.path == "/gb":
            kind, body = "text/html; charset=gb2312", "<p>费用：五元。".encode("gb18030")
        elif self.path == "/large":
            headers, body = {"Content-Encoding": "gzip"}, gzip.compress(bytes(80 << 20), 1)
        elif self.path == "/program":
            kind = "application/x-msdownload"
        elif self.path == "/sitemap.xml":
            kind = "application/xml"
            here = f"http://127.0.0.1:{port}"
            names = (f"{here}/returns", f"{here}/gb", f"{here}/none", "http://elsewhere.test/a", "file:///etc/passwd")
            body = ("<urlset xmlns='http://www.sitemaps.org/schemas/sitemap/0.9'>"
                    + "".join(f"<url><loc>{name}</loc></url>" for name in names) + "</urlset>").encode()
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.path == "/slow":
            while True:
                try:
                    self.wfile.write(b"x")
                    self.wfile.flush()
                except OSError:
                    return
                time.sleep(0.05)
        self.wfile.write(body)


@pytest.fixture
def site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    Site.asked.clear()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join(5)


INSIDE = [
    "127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1",
    "169.254.169.254", "100.64.0.1", "192.0.0.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12:3456::1", "ff02::1", "::ffff:127.0.0.1",
    "::ffff:10.0.0.1", "2002:7f00:0001::", "2002:0a00:0001::", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
    "::ffff:169.254.169.254", "no number",
]


@pytest.mark.parametrize("number", INSIDE)
def test_addresses_inside_are_not_reachable(number: str) -> None:
    assert not reachable(number, private=False)


def test_addresses_outside_and_with_permission() -> None:
    for number in ("93.184.216.34", "8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"):
        assert reachable(number, private=False)
    for number in ("127.0.0.1", "10.0.0.1", "::1", "fd00::1"):
        assert reachable(number, private=True)
    # Clouds hand out keys there; and nobody means these.
    for number in ("169.254.169.254", "::ffff:169.254.169.254", "0.0.0.0", "224.0.0.1", "fe80::1"):
        assert not reachable(number, private=True)


def spellings(number: str) -> list[str]:
    """Ways to write an address of version 4 that a system's look-up understands."""
    a, b, c, d = map(int, number.split("."))
    whole = (a << 24) + (b << 16) + (c << 8) + d
    return [
        number, str(whole), hex(whole), oct(whole).replace("o", ""), f"{a}.{(b << 16) + (c << 8) + d}",
        f"{a}.{b}.{(c << 8) + d}", f"0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}", f"0{a:o}.0{b:o}.0{c:o}.0{d:o}",
        f"0{a:o}.{b}.0x{c:x}.{d}", f"{a}.{b}.{c}.0{d:o}", f"0x{a:x}.{(b << 16) + (c << 8) + d}",
    ]


def understood(host: str, port: int) -> list[str]:
    return [socket.inet_ntoa(socket.inet_aton(host))]


def test_odd_spellings_are_looked_up_before_they_are_judged() -> None:
    tried = 0
    for number in ("127.0.0.1", "10.0.0.1", "192.168.1.1", "169.254.169.254", "172.16.5.4", "100.64.1.1", "0.0.0.0"):
        for host in spellings(number):
            for form in (f"http://{host}/", f"https://{host}:8443/a?b=c"):
                tried += 1
                # What is looked up is the host as httpx understands it; some forms it refuses itself.
                with pytest.raises((DataMistake, httpx.InvalidURL)):
                    numeric(httpx.URL(check(form)).host, 80, private=False, look_up=understood)
    assert tried == 154
    with pytest.raises(DataMistake):
        fetch("http://0x7f.1/", look_up=understood)
    with pytest.raises(DataMistake, match="no address of a web page"):
        fetch("http://0177.0.0.01/", look_up=understood)


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://example.org/a", "gopher://127.0.0.1:25/x", "javascript:alert(1)", "//example.org/a",
     "http://", "http:///a", "http://user:secret@example.org/", "http://example.org:99999/", "data:text/html,x", ""],
)
def test_only_web_addresses(url: str) -> None:
    with pytest.raises(DataMistake) as caught:
        check(url)
    assert "secret" not in caught.value.message


def test_one_bad_address_among_good_ones_is_enough(site: str) -> None:
    with pytest.raises(DataMistake, match="public internet"):
        fetch("http://two.test/", look_up=lambda host, port: ["93.184.216.34", "127.0.0.1"])
    assert not Site.asked


def test_the_checked_address_is_the_one_connected_to(site: str) -> None:
    port = site.rpartition(":")[2]
    asked = []

    def changing(host: str, port: int) -> list[str]:
        # The second answer would lead elsewhere; nobody asks for it.
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.9.9.9"]

    page = fetch(f"http://kettles.test:{port}/returns", private=True, look_up=changing)
    assert asked == ["kettles.test"] and Site.asked == [(f"kettles.test:{port}", "/returns")]
    assert page.url == f"http://kettles.test:{port}/returns" and page.suffix == ".html"
    assert ENGLISH.encode() in page.data


def test_redirects_are_judged_anew(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address, "reachable", lambda number, private: number == "127.0.0.1")
    assert fetch(f"{site}/moved").url == f"{site}/returns"
    with pytest.raises(DataMistake, match=r"10\.1\.2\.3 is not an address"):
        fetch(f"{site}/away")
    with pytest.raises(DataMistake, match="redirects"):
        fetch(f"{site}/round")
    with pytest.raises(DataMistake, match="no address of a web page|does not answer"):
        fetch(f"{site}/file")


def test_what_is_not_read_says_why(site: str) -> None:
    with pytest.raises(DataMistake, match="404"):
        fetch(f"{site}/none", private=True)
    with pytest.raises(DataMistake, match="larger than 50 MiB"):
        fetch(f"{site}/large", private=True)
    with pytest.raises(DataMistake, match="application/x-msdownload"):
        fetch(f"{site}/program", private=True)
    with pytest.raises(DataMistake, match="public internet"):
        fetch(f"{site}/returns")
    with pytest.raises(DataMistake, match="does not answer"):
        fetch("http://127.0.0.1:9/", private=True)


def test_a_slow_server_costs_its_page(site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address, "SECONDS", 2.0)
    saved = save_pages(tmp_path, [f"{site}/slow", f"{site}/returns"], private=True)
    assert [page[0] for page in saved.pages] == [f"{site}/returns"]
    assert "longer than 2 seconds" in saved.unread[0].reason


def test_a_site_map_becomes_documents(site: str, tmp_path: Path) -> None:
    saved = save_pages(tmp_path, [f"{site}/sitemap.xml"], private=True)
    assert [page[0] for page in saved.pages] == [f"{site}/returns", f"{site}/gb"]
    assert [one.source for one in saved.unread] == [f"{site}/none"]
    documents, unread = read_folder(tmp_path, processes=1)
    assert not unread and {one.source: one.text.split("\n")[0] for one in documents} == {
        f"{site}/returns": "Returns", f"{site}/gb": "费用：五元。",
    }
    # Again: the same files, not others beside them.
    save_pages(tmp_path, [f"{site}/returns"], private=True)
    assert len(list(tmp_path.rglob("*.html"))) == 2
    with pytest.raises(DataMistake, match="public internet"):
        save_pages(tmp_path, [f"{site}/returns"])


def test_site_maps_are_read_with_care() -> None:
    laughs = b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b SYSTEM "file:///etc/passwd">]><urlset><url><loc>&b;</loc></url></urlset>'
    assert site_map(Fetched("https://a.test/s.xml", laughs, ".xml")) == ([], [])
    index = b"<sitemapindex><sitemap><loc>https://a.test/2.xml</loc></sitemap></sitemapindex>"
    assert site_map(Fetched("https://a.test/s.xml.gz", gzip.compress(index), ".gz")) == ([], ["https://a.test/2.xml"])
    with pytest.raises(DataMistake, match="no site map"):
        site_map(Fetched("https://a.test/s.xml", b"<rss/>", ".xml"))


def test_names_of_saved_pages_stay_in_their_folder() -> None:
    names = [
        file_name(f"https://a.test{path}", ".html")
        for path in ("", "/", "/a.html", "/a.html/b", "/../../etc/passwd", "/%2e%2e/%2e%2e/x", "/.hidden", "/a?b=1",
                     "/a?b=2", "/保修/退货", "/" + "x" * 900, "/a//b", "/a\\..\\b", "/%00", "/CON:")
    ]
    for name in names:
        assert name.startswith("web/a.test/") and name.endswith(".html") and "\\" not in name and "\0" not in name
        assert all(piece and not piece.startswith(".") and len(piece) < 110 for piece in name.split("/"))
    assert len(set(names)) == len(names) - 1  # "" and "/" are one page
