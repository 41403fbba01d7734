"""Who is let in, and what is reached from inside: the probes AU1-3 and SS1.

AU: every mixture of credentials in every header, odd hosts and origins, the first key made twice, guessing, and a log
in which every field of every line was altered. SS: every way to write an address of this machine, given directly, by
redirect, and by a name whose address changes after it was checked.
"""

from __future__ import annotations

import ipaddress
import itertools
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from tunewise.errors import DataMistake
from tunewise.reading import address as addresses
from tunewise.server import audit, open_state

HOSTS = (
    "evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.", "localhost.evil.example", "", " ",
    "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "127.0.0.1@evil.example", "evil.example#127.0.0.1",
    "127.0.0.1,evil.example", "[::ffff:127.0.0.1]", "[::]", "0.0.0.0", "127.0.0.1:80:80", "localhost.example",
    "127.0.0.1\tevil.example", "xn--localhost-.example",
    "LOCALHOST.EVIL.EXAMPLE", "127.0.0.1/evil.example", "evil.example?127.0.0.1", "::1", "1", "..", "*", "localhost:x",
)
ORIGINS = (
    "https://evil.example", "null", "http://127.0.0.1", "http://127.0.0.1:1", "https://{host}.evil.example", "file://",
    "http://localhost:1", "http://evil.example/{host}", "http://{host}@evil.example", "chrome-extension://abc", "*",
)


def credentials(address: str, secrets: dict[str, str]) -> dict[str, Any]:
    """Every mixture of {nothing, reader, root, wrong} in five places; who was let in as somebody else."""
    values = {"none": None, "reader": secrets["nobody"], "root": secrets["root"], "wrong": "tw-wrong"}
    faults, n = [], 0
    with httpx.Client(base_url=address, timeout=30) as client:
        cookies = {}
        for name, key in values.items():
            opened = client.post("/v1/session", data={"key": key}) if key else None
            cookies[name] = opened.cookies.get("tunewise_session", "made-up") if opened else "made-up"
        client.cookies.clear()
        for mixture in itertools.product(values, repeat=5):
            *heads, cookie = mixture
            headers = [
                (name, f"Bearer {values[who]}" if name == "authorization" else str(values[who]))
                for name, who in zip(("authorization", "authorization", "x-api-key", "x-api-key"), heads, strict=True)
                if who != "none"
            ]
            if cookie != "none":
                headers.append(("cookie", f"tunewise_session={cookies[cookie]}"))
            reply = client.get("/v1/me", headers=headers)
            n += 1
            given = {who for who in heads if who != "none"}
            doubled = "none" not in heads[:2] or "none" not in heads[2:]
            # A key in a header is what is meant; the browser's cookie comes along by itself.
            meant = (given or {cookie} - {"none"}) & {"reader", "root"}
            good = len(given) < 2 and not doubled and len(meant) == 1
            expected = {"reader": "nobody", "root": "root"}[next(iter(meant))] if good else None
            got = reply.json().get("name") if reply.status_code == 200 else None
            if got != expected or reply.status_code not in (200, 400, 401, 429):
                faults.append(f"{mixture}: {reply.status_code} {got}, not {expected}")
    return {"n": n, "failures": len(faults), "first_failures": faults[:3]}


def other_sites(address: str, headers: dict[str, str]) -> dict[str, Any]:
    """Odd hosts and origins; how many were let in, or were told that they may read the answer."""
    bad, n = 0, 0
    thumb = {"kind": "thumb", "answer": "x", "verdict": "wrong"}
    with httpx.Client(base_url=address, headers=headers, timeout=30) as client:
        for host in HOSTS:
            try:
                reply = client.get("/v1/me", headers={"host": host})
            except httpx.HTTPError:
                continue
            n += 1
            bad += reply.status_code not in (400, 421)
        for origin in ORIGINS:
            said = origin.format(host=address.removeprefix("http://"))
            for more in ({"origin": said}, {"origin": said, "sec-fetch-site": "cross-site"}):
                reply = client.post("/v1/ratings", json=thumb, headers=more)
                before = client.options("/v1/ratings", headers=more | {"access-control-request-method": "POST"})
                told = [name for one in (reply, before) for name in one.headers if name.startswith("access-control")]
                n += 1
                bad += reply.status_code != 403 or bool(told)
    return {"n": n, "failures": bad}


def first_key_twice(root: Path, times: int) -> dict[str, Any]:
    """Two processes make the first key at the same moment: how often both, or none, were given one."""
    program = "import sys; from tunewise.cli import main; sys.argv = ['tunewise', *sys.argv[1:]]; sys.exit(main())"
    bad = 0
    for _ in range(times):
        (root / ".tunewise" / "server.sqlite").unlink(missing_ok=True)
        settings = ["--role", "admin", "--config", str(root / "tunewise.toml")]
        asked = [sys.executable, "-c", program, "keys", "add", "first", *settings]
        both = [subprocess.Popen(asked, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(2)]
        bad += sorted(one.wait(60) for one in both) != [0, 2]
    return {"n": times, "failures": bad}


def guessing(address: str, secret: str, guesses: int) -> dict[str, Any]:
    """Wrong keys as quick as they go: how many were looked at, and whether a good key was let in meanwhile."""
    start, looked, kept_out = time.monotonic(), 0, 0
    with httpx.Client(base_url=address, timeout=30) as client:
        for number in range(guesses):
            looked += client.get("/v1/me", headers={"x-api-key": f"tw-{number}"}).status_code == 401
            if number % 50 == 49:
                kept_out += client.get("/v1/me", headers={"x-api-key": secret}).status_code != 200
    allowed = 20 + (time.monotonic() - start) / 3 + 1
    return {"n": guesses, "looked_at": looked, "allowed": round(allowed), "good_keys_kept_out": kept_out,
            "failures": int(looked > allowed) + kept_out}


def altered(project: Any, lines: int) -> dict[str, Any]:
    """A log in which one thing was altered at a time; how many alterations were not found."""
    state = open_state(project)
    for number in range(lines):
        state.audit_line(f"anna {number}", "ask", f"target {number}", {"n": number})
    log = state.audit()
    state.close()
    head = log[-1].hash
    tried: list[Sequence[audit.Line]] = []
    for place, line in enumerate(log):
        for field in fields(audit.Line):
            old = getattr(line, field.name)
            new = old + 1 if isinstance(old, int) else old[:-1] + ("y" if old.endswith("x") else "x") if old else "x"
            tried.append([*log[:place], replace(line, **{field.name: new}), *log[place + 1 :]])
        tried.append([*log[:place], *log[place + 1 :]])
        tried.append([*log[:place], line, *log[place:]])
        tried.append(log[:place])
        if place + 1 < len(log):
            tried.append([*log[:place], log[place + 1], line, *log[place + 2 :]])
            # Altered, and its own hash made anew: the next line, or the hash that was kept, tells.
            before = log[place - 1].hash if place else audit.GENESIS
            tried.append([*log[:place], audit.sealed(before, replace(line, principal="eve")), *log[place + 1 :]])
    missed = sum(not audit.faults(one, kept=head) for one in tried)
    # And once in the database itself.
    file = project.root / ".tunewise" / "server.sqlite"
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE audit SET target = 'other' WHERE number = 2")
    connection.close()
    state = open_state(project)
    missed += not state.audit_faults()
    state.close()
    return {"n": len(tried) + 1, "failures": missed, "intact_has_faults": len(audit.faults(log, kept=head))}


# ------------------------------------------------------------------------------------------------ what is reached


class _Site(BaseHTTPRequestHandler):
    reached: list[str] = []
    leads, led = "", 0

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        if self.path == "/start" and _Site.leads:
            self.send_response(302)
            self.send_header("Location", _Site.leads)
            _Site.led += 1
        else:
            _Site.reached.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextmanager
def _site() -> Iterator[int]:
    class Quiet(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Who asked went away as soon as it saw where it was led."""

    server = Quiet(("0.0.0.0", 0), _Site)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join(5)


def spellings(number: str) -> list[str]:
    """Ways to write an address of version 4, as systems, libraries and browsers understand them."""
    a, b, c, d = map(int, number.split("."))
    whole = (a << 24) + (b << 16) + (c << 8) + d
    six = ipaddress.IPv6Address(f"::ffff:{number}")
    wide = number.translate({ord(sign): ord(sign) + 0xFEE0 for sign in "0123456789"})
    return [
        number, str(whole), hex(whole), f"0{whole:o}", f"{a}.{(b << 16) + (c << 8) + d}", f"{a}.{b}.{(c << 8) + d}",
        f"0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}", f"0{a:o}.0{b:o}.0{c:o}.0{d:o}", f"0{a:o}.{b}.0x{c:x}.{d}",
        f"0x{a:x}.{(b << 16) + (c << 8) + d}", f"{a}.{b}.{c}.0{d:o}", f"{number}.", f"[{six}]", f"[{six.exploded}]",
        f"[::ffff:{a:x}{b:02x}:{c:x}{d:02x}]", f"[::{number}]", f"[64:ff9b::{number}]",
        f"[2002:{a:02x}{b:02x}:{c:02x}{d:02x}::]", wide, number.replace(".", "。"), number.replace(".", "．"),
        f"{number}%00.example", f"user@{number}", f"x:y@{number}", f"example.com@{number}", f"{number}#@example.com",
        f"{number}?@example.com", f"{number}\\@example.com", f"0{a}.0{b}.0{c}.0{d}", f"{number}%20",
        f"%31{number[1:]}", f"{a + 256}.{b}.{c}.{d}", f"00{a:o}.{b}.{c}.{d}", f"{number}/../{number}",
    ]


def reached(quick: bool = False) -> dict[str, Any]:
    """Every spelling given directly and by redirect, and names that change; how many requests came in."""
    inside = ("127.0.0.1", "0.0.0.0", "127.1.2.3", "10.0.0.1", "169.254.169.254")[: 1 if quick else 5]
    real, n = addresses.reachable, 0
    names = ["localhost", "LOCALHOST", "localhost.", "ip6-localhost", "[::1]", "[::]", "[0:0:0:0:0:0:0:1]"]
    forms = [*names, "[::1%25lo]", *(form for number in inside for form in spellings(number))]
    _Site.reached.clear()
    _Site.led = 0
    with _site() as port:

        def get(url: str, **more: Any) -> None:
            nonlocal n
            n += 1
            try:
                addresses.fetch(url, **more)
            except DataMistake:
                return

        _Site.leads = ""
        for form in forms:
            for scheme in ("http", "https"):
                get(f"{scheme}://{form}:{port}/direct")
        first = [False]

        def only_first(number: str, *, private: bool) -> bool:
            # The first hop stands for a site of the public internet; there is none here.
            if first[0]:
                first[0] = False
                return True
            return real(number, private=private)

        addresses.reachable = only_first  # type: ignore[assignment]
        try:
            for form in forms:
                first[0], _Site.leads = True, f"http://{form}:{port}/redirected"
                get(f"http://start.test:{port}/start", look_up=_start)
            # 127.0.0.2 stands for the public address; the name's next answer would lead to 127.0.0.1.
            addresses.reachable = lambda number, private: number == "127.0.0.2" or real(number, private=private)
            _Site.leads = f"http://changing.test:{port}/rebound"
            for turn in range(20 if quick else 50):
                answers = itertools.chain(["127.0.0.2"] * (turn % 2), itertools.repeat("127.0.0.1"))
                get(f"http://changing.test:{port}/start", look_up=lambda host, port, answers=answers: [next(answers)])
        finally:
            addresses.reachable = real
    came = _Site.reached
    return {"n": n, "led_elsewhere": _Site.led, "reached": came[:3], "failures": len(came)}


def _start(host: str, port: int) -> list[str]:
    return ["127.0.0.1"] if host == "start.test" else addresses.resolve(host, port)
