"""Files made to do harm, small on disk: bombs, entities, depths, false sizes. For the tests and probes of reading."""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from sample_files import book, mail, packed, repacked, sheet, slides, word

SVG = '<svg xmlns="http://www.w3.org/2000/svg"><text>&x;</text></svg>'


def entities(canary: Path, address: str) -> str:
    """A document type that reads a file, calls an address, and laughs a billion times."""
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    return (
        f'<!DOCTYPE x [<!ENTITY x SYSTEM "{canary.as_uri()}"><!ENTITY % p SYSTEM "{address}/p">'
        f'<!ENTITY y SYSTEM "{address}/y"><!ENTITY l0 "ha">{laughs}]>'
    )


def with_entities(data: bytes, part: str, canary: Path, address: str) -> bytes:
    """An Office file or book whose part declares entities and uses them in its first text."""

    def change(name: str, content: bytes) -> bytes:
        if name != part:
            return content
        head = entities(canary, address).encode()
        declared, _, rest = content.partition(b"?>") if content.startswith(b"<?xml") else (b"", b"", content)
        for end in (b"</w:t>", b"</a:t>", b"</t>", b"</dc:title>", b"</p>"):
            rest = rest.replace(end, b"&x;&y;&l9;" + end, 1)
        return (declared + b"?>" if declared else b"") + head + rest

    return repacked(data, change)


def simple_word() -> bytes:
    return word(lambda document: document.add_paragraph("Words"))


def png(width: int, height: int) -> bytes:
    """A PNG that says that it is so large and holds next to nothing."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(9999))) + chunk(b"IEND", b"")


def raw_pdf(stream: bytes, entries: str, page: str = "") -> bytes:
    """A PDF of one page with one stream object (number 4): its contents, or a picture when `page` draws it."""
    resources = "/Resources << /XObject << /I 4 0 R >> >>" if page else ""
    contents = "5 0 R" if page else "4 0 R"
    parts = [
        b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 300] {resources} /Contents {contents} >>".encode(),
        f"<< /Length {len(stream)} {entries} >>\nstream\n".encode() + stream + b"\nendstream",
        f"<< /Length {len(page)} >>\nstream\n{page}\nendstream".encode(),
    ]
    data, places = b"%PDF-1.7\n", []
    for number, part in enumerate(parts, 1):
        places.append(len(data))
        data += f"{number} 0 obj\n".encode() + part + b"\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    return data + (
        f"xref\n0 {len(places) + 1}\n0000000000 65535 f \n{table}trailer << /Size {len(places) + 1} /Root 1 0 R >>\n"
        f"startxref\n{len(data)}\n%%EOF"
    ).encode()


def deflated(size: int, what: bytes = b" ") -> bytes:
    packer = zlib.compressobj(6)
    piece = what * (1 << 20)
    return b"".join(packer.compress(piece) for _ in range(size >> 20)) + packer.flush()


def cells(rows: int, columns: int) -> bytes:
    """A sheet of rows × columns different strings, and one cell in the farthest corner when `rows` is 0."""

    def change(name: str, content: bytes) -> bytes:
        if name != "xl/worksheets/sheet1.xml":
            return content
        head, tail = content.split(b"<sheetData>")[0], content.split(b"</sheetData>")[1]
        if not rows:
            body = b'<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>2</v></c></row>'
        else:
            body = "".join(
                "<row>" + "".join(f'<c t="inlineStr"><is><t>s{row}.{column}</t></is></c>' for column in range(columns))
                + "</row>" for row in range(rows)
            ).encode()
        return head + b"<sheetData>" + body + b"</sheetData>" + tail

    return repacked(sheet(), change)


def part_of(size: int) -> bytes:
    """A Word file whose text unpacks to `size` bytes of white space."""

    def change(name: str, content: bytes) -> bytes:
        return content + b" " * size if name == "word/document.xml" else content

    return repacked(simple_word(), change)


def nested_mail(depth: int) -> bytes:
    data = b"Subject: deep\r\n"
    for level in range(depth):
        data += f'Content-Type: multipart/mixed; boundary="b{level}"\r\n\r\n--b{level}\r\n'.encode()
    return data + b"\r\nwords"


def hostile(canary: Path, address: str, size: int) -> dict[str, Callable[[], bytes]]:
    """{file name: what makes it}; bombs unpack to about `size` MiB."""
    large = size << 20
    nested = packed({"in.zip": packed({"in.zip": packed({"a.xml": b" " * (large // 4)})})})
    made: dict[str, Callable[[], bytes]] = {
        "bomb.docx": lambda: part_of(large),
        "nested.docx": lambda: nested,
        "nested.epub": lambda: book({"a.xhtml": "x"}) and packed({"O/c.opf": "<package/>", "in.zip": nested}),
        "far.xlsx": lambda: cells(0, 0),
        "flate.pdf": lambda: raw_pdf(deflated(large), "/Filter /FlateDecode"),
        "operators.pdf": lambda: raw_pdf(deflated(large // 8, b"BT (x) Tj ET\n"), "/Filter /FlateDecode"),
        "twice.pdf": lambda: raw_pdf(zlib.compress(deflated(large)), "/Filter [/FlateDecode /FlateDecode]"),
        "image.pdf": lambda: raw_pdf(
            deflated(min(large, 312 << 20), b"\0"), "/Type /XObject /Subtype /Image /Width 50000 /Height 50000 "
            "/BitsPerComponent 1 /ColorSpace /DeviceGray /Filter /FlateDecode", "q 300 0 0 300 0 0 cm /I Do Q"
        ),
        "jbig2.pdf": lambda: raw_pdf(
            struct.pack(">IBBBI", 0, 48, 0, 1, 19) + struct.pack(">IIIIBH", 65535, 65535, 0, 0, 0, 0),
            "/Type /XObject /Subtype /Image /Width 65535 /Height 65535 /BitsPerComponent 1 "
            "/ColorSpace /DeviceGray /Filter /JBIG2Decode", "q 300 0 0 300 0 0 cm /I Do Q"
        ),
        "large.png": lambda: png(50_000, 50_000),
        "wide.png": lambda: png(39_000_000, 1),
        "deep.html": lambda: b"<div>" * 200_000 + b"word",
        "bold.html": lambda: b"<p>" + b"<b>" * 5_000 + b"word",
        "spans.html": lambda: b"<table>" + b"<tr><td rowspan=65000 colspan=65000>x<td>y" * 3000 + b"</table>",
        "lists.html": lambda: b"<ol>" + b"<li>x" * 20_000,
        "brackets.md": lambda: b"# " + b"[" * 200_000 + b"\n" + b"*" * 100_000,
        "fields.csv": lambda: b'"' + b"a," * 2_000_000,
        "nested.eml": lambda: nested_mail(3000),
        "attached.eml": lambda: mail().replace(b"fees.csv", b"fees.xlsx"),
        "laughs.html": lambda: (entities(canary, address) + f"<p>words &x; &l9;</p>{SVG}").encode(),
        "frames.html": lambda: (
            f'<p>words</p><img src="{address}/i"><iframe src="{canary.as_uri()}"></iframe>'
            f'<link rel=stylesheet href="{address}/c"><object data="{address}/o"></object><p>more words</p>'
        ).encode(),
    }
    for name, data, part in (
        ("laughs.docx", simple_word, "word/document.xml"), ("laughs.xlsx", sheet, "xl/sharedStrings.xml"),
        ("laughs.pptx", slides, "ppt/slides/slide1.xml"), ("laughs.epub", book, "O/c.opf"),
        ("chapter.epub", book, "O/one.xhtml"),
    ):
        made[name] = lambda data=data, part=part: with_entities(data(), part, canary, address)
    return made


def mutated(data: bytes, random_: random.Random) -> bytes:
    """The file with one to four of: flipped bits, a part cut out, doubled, overwritten, or its end cut off."""
    changed = bytearray(data)
    for _ in range(random_.randint(1, 4)):
        place = random_.randrange(max(1, len(changed)))
        length = random_.choice((1, 2, 8, 64, 512))
        kind = random_.randrange(6)
        if kind == 0:
            for _ in range(random_.choice((1, 4, 16))):
                changed[random_.randrange(len(changed))] ^= 1 << random_.randrange(8)
        elif kind == 1:
            del changed[place : place + length]
        elif kind == 2:
            changed[place:place] = changed[place : place + length]
        elif kind == 3:
            changed[place : place + length] = random_.randbytes(length)
        elif kind == 4:
            changed[place : place + 4] = random_.choice((b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff", b"-1 0"))
        elif random_.random() < 0.3:
            del changed[place:]
        if not changed:
            changed = bytearray(b"\0")
    return bytes(changed)


def mutation(data: bytes, random_: random.Random) -> bytes:
    """A mutated file; half of the archives are changed inside, with right checksums: so it reaches the readers."""
    if data.startswith(b"PK") and random_.random() < 0.5:
        with zipfile.ZipFile(io.BytesIO(data)) as package:
            chosen = random_.choice([part for part in package.namelist() if not part.endswith(("/", "mimetype"))])
        return repacked(data, lambda part, content: mutated(content or b"x", random_) if part == chosen else content)
    return mutated(data, random_)
