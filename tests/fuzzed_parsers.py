"""A small fuzzer, guided by coverage, for the parsers that are our own; for the tests and probes of reading.

An input that reaches a new edge (one line after another) inside `tunewise.reading` is kept and mutated further. What a
parser may do is to answer, with exact spans, or to raise one of our own errors: anything else is a finding.
"""

from __future__ import annotations

import random
import signal
import struct
import sys
import time
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import PurePath

import hostile_files
import tunewise.reading
from format_seeds import seeds
from sample_files import CHINESE, ENGLISH, book, packed, repacked, sheet, slides
from tunewise.errors import TunewiseError
from tunewise.reading import formats, ocr, pages, scans
from tunewise.reading.address import Fetched, site_map
from tunewise.reading.columns import gutter, in_columns
from tunewise.reading.draft import Block, Draft, assemble, grid, pipe_table
from tunewise.reading.lines import Line, blocks_of, without_running_lines
from tunewise.reading.mail import read_eml, read_msg
from tunewise.reading.plain import read_markdown, read_text
from tunewise.reading.tables import read_csv, table_blocks
from tunewise.reading.web import page_blocks

_OURS = tunewise.reading.__file__.removesuffix("__init__.py")
_LARGEST = 20_000
_SECONDS = 10.0
"""Of computing for one input of at most 20,000 bytes: what takes longer grows faster than its input."""
_WORDS = (
    b"---\n", b"\n\n", b"# ", b"title: ", b"```", b"|", b"\t", b'"', b'""', b"sep=;\n", b",,", b"\r",
    b"\xef\xbb\xbf", b"\xff\xfe", b"\0", b"\xc3\xa9", b"\xe4\xbf\x9d", b"\x81\x40", b"<aside class=note>",
    b"<main>", b"<table>", b"<td>", b"<tr>", b"<ol start=9>", b"<li value=7>", b"<sup>2</sup>", b"<br><br>",
    b"<pre>", b"<blockquote>", b"</p>", b"&#0;", b"&amp;", b"<!--", b"]]>", b"rowspan=9", b"colspan=99",
    b"<caption>", b"Content-Type: multipart/alternative; boundary=b\r\n", b"\r\n--b\r\n",
    b"Content-Type: message/rfc822\r\n\r\n", b"Content-Transfer-Encoding: base64\r\n", b"charset=gb2312",
    b"=?utf-8?b?5L+d?=", b"filename*=utf-8''%e4%bf%9d.csv", b'linear="no"', b'properties="nav"', b'idref="c1"',
    b"2024", b"100", b"1.5%", b"(3)", b"-7", b"\xe7\xac\xac\xe4\xb8\x80\xe7\xab\xa0", b"w:val=", b'"-1"',
    b"999999999999", b"1e309",
)
"""What the formats mean something by, put into inputs."""


@dataclass(slots=True)
class Fuzzed:
    """What came of one parser: inputs tried, edges reached, inputs kept, and findings (error, input)."""

    runs: int = 0
    edges: set[tuple[str, int, int]] = field(default_factory=set)
    kept: list[bytes] = field(default_factory=list)
    findings: dict[str, bytes] = field(default_factory=dict)


class _TooLong(BaseException):
    """Not an Exception: no parser of ours may catch it."""


def fuzz(
    name: str, *, seed: int = 1, runs: int = 0, seconds: float = 0.0, parse: Callable[[bytes], object] | None = None
) -> Fuzzed:
    """Fuzz one parser of `PARSERS` (or `parse` in its place) for so many runs or seconds."""
    own, first = PARSERS[name]
    parse = parse or own
    random_ = random.Random(f"{seed} {name}")
    done = Fuzzed()
    ends = time.monotonic() + seconds
    for data in first():
        _try(parse, data, done)
        done.kept.append(data)
    while done.runs < runs or time.monotonic() < ends:
        data = _changed(random_.choice(done.kept), done.kept, random_)[:_LARGEST]
        if _try(parse, data, done):
            done.kept.append(data)
    return done


def _changed(data: bytes, others: list[bytes], random_: random.Random) -> bytes:
    kind = random_.randrange(5)
    place = random_.randrange(len(data) + 1)
    if kind == 0:
        return data[:place] + random_.choice(_WORDS) + data[place:]
    if kind == 1:
        other = random_.choice(others)
        return data[:place] + other[random_.randrange(len(other) + 1) :]
    if kind == 2:
        end = place + random_.choice((1, 4, 16, 64))
        return data[:place] + data[place:end] * random_.choice((2, 3, 9, 200)) + data[end:]
    if kind == 3:
        end = place + random_.choice((1, 4, 16, 64))
        return data[:place] + random_.choice(_WORDS) * random_.choice((1, 2, 30)) + data[end:]
    return hostile_files.mutated(data or b"\0", random_)


def _try(parse: Callable[[bytes], object], data: bytes, done: Fuzzed) -> bool:
    """Whether the input reached what none before had reached."""
    before = len(done.edges)
    last: dict[object, int] = {}

    def line(frame: object, event: str, _: object) -> object:
        done.edges.add((frame.f_code.co_filename, last.get(frame, 0), frame.f_lineno))
        last[frame] = frame.f_lineno
        return line

    def call(frame: object, event: str, _: object) -> object:
        return line if frame.f_code.co_filename.startswith(_OURS) else None

    def late(*_: object) -> None:
        raise _TooLong

    outside, alarm = sys.gettrace(), signal.signal(signal.SIGVTALRM, late)
    signal.setitimer(signal.ITIMER_VIRTUAL, _SECONDS)
    sys.settrace(call)
    try:
        result = parse(data)
        sys.settrace(outside)
        if isinstance(result, Draft):
            _sound(result)
    except TunewiseError:
        pass
    except (Exception, _TooLong) as error:  # noqa: BLE001 - that is what is looked for
        sys.settrace(outside)
        done.findings.setdefault(_where(error), data)
    finally:
        sys.settrace(outside)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, alarm)
    done.runs += 1
    return len(done.edges) > before


def _where(error: BaseException) -> str:
    """The error and the line of ours that it came through last: one finding for one fault."""
    trace, place = error.__traceback__, ""
    while trace:
        name = trace.tb_frame.f_code.co_filename
        if name.startswith(_OURS):
            place = f"{PurePath(name).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{type(error).__name__} at {place}: {str(error)[:100]}"


def _sound(draft: Draft) -> None:
    """The promises of every draft: text as the house stores it, spans inside of it."""
    text = draft.text
    assert text == unicodedata.normalize("NFC", text), "not normalised"
    assert "\r" not in text and "\0" not in text, "signs that are not stored"
    text.encode()
    for heading in draft.headings:
        assert 0 <= heading.start < heading.end <= len(text), "a heading outside of its text"
        assert 1 <= heading.level <= 6, "a heading of no level"
    for one, two in pairwise(draft.pages):
        assert one.end == two.start and one.number < two.number, "pages that do not touch"


# ------------------------------------------------------------------------------------------------ the parsers


def _of(*suffixes: str) -> Callable[[], list[bytes]]:
    return lambda: [data for name, data in seeds().items() if name.endswith(suffixes)]


def _mail(data: bytes) -> Draft:
    def attached(name: str, inner: bytes) -> Draft:
        return formats.read_bytes(".csv" if name.endswith(".csv") else ".txt", inner)

    return read_eml(data, attached)


def _rows(data: bytes) -> list[list[str]]:
    return [row.split("\t")[:30] for row in data.decode("utf-8", "replace").split("\n")[:120]]


def _spans(data: bytes) -> list[list[tuple[str, int, int]]]:
    rows = [data[place : place + 6] for place in range(0, min(len(data), 90), 6)]
    return [[(chr(97 + one % 26), 1 + one % 9, 1 + (one >> 4)) for one in row[: 1 + row[0] % 6]] for row in rows]


def _texts(data: bytes) -> list[str]:
    return data.decode("utf-8", "replace").split("\n")


def _lines(data: bytes) -> list[Line]:
    """Lines at places that the bytes before their text tell."""
    made = []
    for number, text in enumerate(_texts(data)[:200]):
        at = struct.unpack("<4B", text.encode()[:4].ljust(4, b"\0"))
        size = (8.0, 10.0, 10.0, 14.0)[at[3] % 4]
        bottom = 800.0 - 12 * number - at[0] % 7
        made.append(Line(
            text, 1 + number // 20, left=float(at[1] * 2), bottom=bottom, right=at[1] * 2 + 5.0 * len(text),
            top=bottom + size, base=bottom, size=size, bold=at[2] % 5 == 0, table=at[2] % 11 == 0,
        ))
    return made


def _layout(data: bytes) -> Draft:
    lines = _lines(data)
    by_page = [[line for line in lines if line.page == number] for number in range(1, 11)]
    place = gutter(lines, [(line.left, line.right) for line in lines])
    if place is not None:
        in_columns(lines, place)
    return assemble(blocks_of(without_running_lines(by_page), {_texts(data)[0].casefold(): 1 + len(data) % 6}))


def _seen(data: bytes) -> Draft:
    lines = [
        ocr.Seen(line.text, line.left, 900 - line.top, line.right, 900 - line.bottom, 0.9)
        for line in _lines(data) if line.text
    ]
    return assemble(blocks_of([scans._lines(ocr._in_order(lines), 1, 900.0)], {}))


def _found(data: bytes) -> object:
    letters, _, span = data.decode("utf-8", "replace").partition("\n")
    whole = letters + span
    return pages._find(pages._plain(letters), span, len(data) % 50, pages._plain(whole))


def _map(data: bytes) -> object:
    return site_map(Fetched("https://kettle.test/sitemap.xml", data, ".xml"))


def _part_of(suffix: str, whole: Callable[[], bytes], part: str) -> Callable[[bytes], Draft]:
    """A parser of one part of a package that is whole otherwise, with right checksums."""
    package = whole()

    def parse(data: bytes) -> Draft:
        return formats.read_bytes(suffix, repacked(package, lambda name, content: data if name == part else content))

    return parse


def _inside(whole: Callable[[], bytes], part: str) -> Callable[[], list[bytes]]:
    found: list[bytes] = []
    repacked(whole(), lambda name, content: found.append(content) or content if name == part else content)
    return lambda: found


def _office(suffix: str, whole: Callable[[], bytes], part: str) -> tuple[Callable, Callable]:
    return _part_of(suffix, whole, part), _inside(whole, part)


def _word() -> bytes:
    return seeds()["lists.docx"]


def _book_of(data: bytes) -> Draft:
    return formats.read_bytes(".epub", packed({"O/c.opf": data, "O/one.xhtml": f"<p>{ENGLISH}</p>"}))


_STATEMENT = b"\t\t2024\t\t2023\nRevenue\t\t100\t\t90\n\nItem\tFee\t\tYear\tSold\nLid\t4\t\t2025\t9"
_PROSE = f"Returns\n{ENGLISH[:80]}\n- 1 -\n\x20{CHINESE[:30]}\n2.1 Fees\nLid 4\nRe-\nturn it\nPage 3 of 9".encode()
_SITES = b"<urlset xmlns='x'><url><loc>https://kettle.test/a</loc></url><url><loc>https://b.test</loc></url></urlset>"
_OPF = (
    b'<package><metadata><title>T</title></metadata><manifest><item id="a" href="one.xhtml" '
    b'media-type="application/xhtml+xml"/><item id="n" href="n.xhtml" properties="nav" media-type="text/html"/>'
    b'</manifest><spine><itemref idref="a" linear="no"/></spine></package>'
)

PARSERS: dict[str, tuple[Callable[[bytes], object], Callable[[], list[bytes]]]] = {
    "Markdown": (read_markdown, _of(".md")),
    "text and its encoding": (read_text, _of(".txt", ".rst", ".log", ".adoc")),
    "CSV": (read_csv, _of(".csv", ".tsv")),
    "tables of a sheet": (lambda data: assemble(table_blocks(_rows(data))), lambda: [_STATEMENT]),
    "merged cells": (lambda data: assemble([Block(pipe_table(grid(_spans(data))))]), lambda: [_PROSE]),
    "HTML": (lambda data: assemble(page_blocks(data)), _of(".html", ".xhtml", ".htm")),
    "mail": (_mail, _of(".eml")),
    "Outlook mail": (lambda data: read_msg(data, lambda name, inner: read_text(inner)), _of(".msg")),
    "contents of a book": (_book_of, lambda: [_OPF]),
    "chapter": _office(".epub", book, "O/one.xhtml"),
    "Word": _office(".docx", _word, "word/document.xml"),
    "Word's numbering": _office(".docx", _word, "word/numbering.xml"),
    "slide": _office(".pptx", slides, "ppt/slides/slide1.xml"),
    "chart": _office(".pptx", slides, "ppt/charts/chart1.xml"),
    "formats of a workbook": _office(".xlsx", sheet, "xl/styles.xml"),
    "layout of a page": (_layout, lambda: [_PROSE]),
    "layout of a picture": (_seen, lambda: [_PROSE]),
    "place of a span": (_found, lambda: [_PROSE]),
    "site map": (_map, lambda: [_SITES]),
    "what a file really is": (
        lambda data: [formats._mislabelled(suffix, data) for suffix in (".md", ".docx", ".pdf", ".xls")],
        lambda: [data for _, data in sorted(seeds().items())][::6],
    ),
}
