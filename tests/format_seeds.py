"""Small whole files of every format that is read, in English and Chinese, made by code: what mutations start from."""

from __future__ import annotations

import io
import struct
from functools import cache

from sample_files import CHINESE, ENGLISH, book, compound, mail, outlook, packed, pdf, repacked, sheet, slides, word

_PAGE = (
    "<html><head><title>{0}</title></head><body><nav><a href=/>Home</a></nav><main><h1>{0}</h1><p>{1}</p>"
    "<aside class=note>{0}!</aside><table><caption>{0}</caption><tr><th>a<th>b<tr><td rowspan=2>1<td>2<tr><td>3</table>"
    "<ol start=3><li>x<ul><li>y</ul><li value=9>z</ol><pre>a\n b</pre><p>10<sup>6</sup><br>next</main></body></html>"
)
_NOTES = (
    "---\ntitle: {0}\ntags: [a, b]\n---\n# {0}\n\n{1}\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n"
    "{0}\n---\n\n```\n# code\n```\n- x\n"
)


def seeds() -> dict[str, bytes]:
    """{file name: content}, more than 60 of them."""
    return dict(_seeds())


@cache
def _seeds() -> dict[str, bytes]:
    return _plain() | _markup() | _sheets() | _office() | _paged() | _messages()


def _plain() -> dict[str, bytes]:
    taiwan = "水壺的保修期為自購買之日起兩年。客戶在三十天內退貨可以退款。"
    german = "Café Müller öffnet für Gäste um zehn. Die Straße führt über den Fluss."
    japanese = "この製品の保証期間は購入日から二年間です。お客様は三十日以内に返品できます。"
    table = "产品,保修\n水壶,两年\n\"a,b\",c\n"
    return {
        "english.txt": ENGLISH.encode(), "chinese.txt": CHINESE.encode(), "wide.txt": CHINESE.encode("utf-16"),
        "old.txt": CHINESE.encode("gb18030"), "big.txt": taiwan.encode("big5"),
        "japanese.txt": japanese.encode("cp932"), "western.txt": german.encode("cp1252"),
        "damaged.txt": CHINESE.encode()[:-1], "guide.rst": f"Returns\n=======\n\n{ENGLISH}\n".encode(),
        "events.log": b"2025-11-01 10:00 kettle sold\n2025-11-02 11:00 kettle returned\n",
        "guide.adoc": f"= 保修\n\n{CHINESE}\n".encode(),
        "comma.csv": b"name,,price\nLid,,4\nPump,,9\n", "old.csv": table.encode("gb18030"),
        "wide.csv": table.encode("utf-16"), "named.csv": b"sep=;\na;b\n1;2\n",
        "quoted.csv": b'a,b\n"two\nlines","say ""so"""\n',
        "tab.tsv": b"a\tb\n1\t2\n",
    }


def _markup() -> dict[str, bytes]:
    return {
        "english.md": _NOTES.format("Returns", ENGLISH).encode(), "chinese.md": _NOTES.format("保修", CHINESE).encode(),
        "rules.md": b"---\n\n# Terms\n\nNote: 500 euros.\n\n---\n\nSecond part.",
        "bare.markdown": CHINESE.encode("gb18030"),
        "english.html": _PAGE.format("Returns", ENGLISH).encode(),
        "chinese.html": _PAGE.format("保修", CHINESE).encode(),
        "declared.htm": b"<meta charset=gb2312>" + _PAGE.format("保修", CHINESE).encode("gb18030"),
        "strict.xhtml": f'<?xml version="1.0"?><html xmlns="urn:x"><p>{ENGLISH}</p></html>'.encode(),
        "form.html": f"<form><div>{ENGLISH}<br><br>{CHINESE}</div></form>".encode(),
        "frame.html": f"<table><tr><td>{ENGLISH}</td></tr><tr><td>{CHINESE}</td></tr></table>".encode(),
    }


def _sheets() -> dict[str, bytes]:
    return {
        "two.xlsx": sheet(), "spaced.xlsx": _xlsx([["", "", 2024, "", 2023], ["Revenue", "", 100, "", 90]]),
        "chinese.xlsx": _xlsx([["产品", "保修"], ["水壶", 2], ["", ""], ["壶盖", 1]]),
        "english.xls": xls([["Part", "Price"], ["Lid", 4]]), "chinese.xls": xls([["产品", "价格"], ["水壶", 30.5]]),
        "english.xlsb": xlsb([["Part", "Price"], ["Lid", 4]]), "chinese.xlsb": xlsb([["产品", "价格"], ["水壶", 30.5]]),
        "english.ods": ods([["Part", "Price"], ["Lid", 4]]), "chinese.ods": ods([["产品", "价格"], ["水壶", 30.5]]),
    }


def _office() -> dict[str, bytes]:
    def lists(document: object) -> None:
        document.add_heading("Returns", 1)
        for text in ("open", "close"):
            document.add_paragraph(text, style="List Number")
        document.add_paragraph("also", style="List Bullet 2")
        document.add_paragraph("Area: 5 m").add_run("2").font.superscript = True

    def table(document: object) -> None:
        cells = document.add_table(rows=3, cols=2)
        for row in range(3):
            for column in range(2):
                cells.cell(row, column).text = f"{'保修' if column else 'Part'} {row}"
        cells.cell(1, 0).merge(cells.cell(2, 0))

    def chinese(document: object) -> None:
        document.add_heading("保修", 0)
        document.add_paragraph(CHINESE)
        document.sections[0].header.paragraphs[0].text = "内部文件"

    def renamed(name: str, content: bytes) -> bytes:
        words = "请在期限内退回".encode()
        return content.replace(b"Send it back", words) if name.startswith("ppt/slides/") else content

    chapters = {"a.xhtml": f"<h1>Returns</h1><p>{ENGLISH}</p><aside>x</aside>", "b.xhtml": "<p>保修</p>"}
    items = "".join(f'<item id="{name[0]}" href="{name}" media-type="text/html"/>' for name in chapters)
    spine = '<itemref idref="b" linear="no"/><itemref idref="a"/>'
    return {
        "plain.docx": word(lambda document: document.add_paragraph("Words")), "lists.docx": word(lists),
        "table.docx": word(table), "chinese.docx": word(chinese), "slides.pptx": slides(),
        "chinese.pptx": repacked(slides(), renamed), "english.epub": book(),
        "chinese.epub": book({"一.xhtml": f"<h1>保修</h1><p>{CHINESE}</p>"}),
        "notes.epub": book(chapters, f"<package><manifest>{items}</manifest><spine>{spine}</spine></package>"),
    }


def _paged() -> dict[str, bytes]:
    import PIL.Image
    import PIL.ImageDraw
    import PIL.ImageFont

    picture = PIL.Image.new("L", (180, 60), 255)
    PIL.ImageDraw.Draw(picture).text((30, 10), "Lid 4", fill=0, font=PIL.ImageFont.load_default(32))
    made = {}
    for suffix, kind in (("png", "PNG"), ("jpg", "JPEG"), ("tif", "TIFF"), ("bmp", "BMP"), ("webp", "WEBP")):
        target = io.BytesIO()
        picture.save(target, kind)
        made[f"lid.{suffix}"] = target.getvalue()
    scan = io.BytesIO()
    picture.save(scan, "PDF")
    return made | {
        "english.pdf": pdf([("h", "Returns"), ENGLISH]), "chinese.pdf": pdf([CHINESE], ["保修期为两年。"]),
        "table.pdf": pdf([("t", [["Part", "Price"], ["Lid", "4"], ["Body", "30"]])]),
        "locked.pdf": pdf(["Locked"], encrypt="x"),
        "long.pdf": pdf([" ".join([ENGLISH] * 30)]), "pages.pdf": pdf(*[[f"Clause {n} holds."] for n in range(4)]),
        "scan.pdf": scan.getvalue(),
    }


def _messages() -> dict[str, bytes]:
    from email.message import EmailMessage

    nested = EmailMessage()
    nested["Subject"] = "Fwd"
    nested.set_content("See below.")
    nested.add_attachment(sheet(), maintype="application", subtype="octet-stream", filename="fees.xlsx")
    nested.add_attachment(b"x", maintype="application", subtype="msword", filename="old.doc")
    old = b"Subject: =?gb2312?B?zsTUwg==?=\r\nContent-Type: text/plain; charset=gb2312\r\n\r\n"
    old += CHINESE.encode("gb18030")
    html = f"Subject: x\r\nContent-Type: text/html; charset=utf-8\r\n\r\n{_PAGE.format('保修', CHINESE)}".encode()
    return {
        "both.eml": mail(), "nested.eml": nested.as_bytes(), "old.eml": old, "html.eml": html,
        "english.msg": outlook(), "chinese.msg": outlook("保修", CHINESE),
    }


# ------------------------------------------------------------------------------------------------ workbooks

Rows = list[list[str | float]]


def _xlsx(rows: Rows) -> bytes:
    from xlsxwriter import Workbook

    target = io.BytesIO()
    with Workbook(target, {"in_memory": True}) as workbook:
        page = workbook.add_worksheet()
        for number, row in enumerate(rows):
            page.write_row(number, 0, row)
    return target.getvalue()


def xls(rows: Rows) -> bytes:
    """A workbook as Excel 97 wrote it (BIFF8), of one sheet."""

    def record(kind: int, body: bytes = b"") -> bytes:
        return struct.pack("<HH", kind, len(body)) + body

    def begin(kind: int) -> bytes:
        return record(0x0809, struct.pack("<HHHHII", 0x0600, kind, 0x0DBB, 0x07CC, 0, 6))

    cells = b""
    for row, values in enumerate(rows):
        for column, value in enumerate(values):
            if isinstance(value, str):
                text = struct.pack("<HHHHB", row, column, 0, len(value), 1) + value.encode("utf-16-le")
                cells += record(0x0204, text)
            else:
                cells += record(0x0203, struct.pack("<HHHd", row, column, 0, value))
    name = "Sheet".encode("utf-16-le")
    start = len(begin(5)) + 4 + 8 + len(name) + 4
    head = begin(5) + record(0x85, struct.pack("<IBBBB", start, 0, 0, 5, 1) + name) + record(0x0A)
    return compound({"Workbook": head + begin(0x10) + cells + record(0x0A)})


def xlsb(rows: Rows) -> bytes:
    """A binary workbook (.xlsb) of one sheet."""

    def record(kind: int, body: bytes = b"") -> bytes:
        number = bytes([kind]) if kind < 128 else bytes([kind & 0x7F | 0x80, kind >> 7])
        length = bytes([len(body)]) if len(body) < 128 else bytes([len(body) & 0x7F | 0x80, len(body) >> 7])
        return number + length + body

    def wide(text: str) -> bytes:
        return struct.pack("<I", len(text)) + text.encode("utf-16-le")

    cells = b""
    for row, values in enumerate(rows):
        cells += record(0, struct.pack("<IIHBBBI", row, 0, 300, 0, 0, 0, 0))
        for column, value in enumerate(values):
            place = struct.pack("<II", column, 0)
            if isinstance(value, str):
                cells += record(6, place + wide(value))
            else:
                cells += record(5, place + struct.pack("<d", value))
    size = record(148, struct.pack("<IIII", 0, len(rows) - 1, 0, max(map(len, rows)) - 1))
    book = record(156, struct.pack("<II", 0, 1) + wide("r1") + wide("Sheet"))
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    link = '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" '
    return packed({
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
        "_rels/.rels": f'{link}Type="{office}/officeDocument" Target="xl/workbook.bin"/></Relationships>',
        "xl/_rels/workbook.bin.rels": f'{link}Type="{office}/worksheet" Target="worksheets/sheet1.bin"/>'
        "</Relationships>",
        "xl/workbook.bin": record(131) + record(143) + book + record(144) + record(132),
        "xl/worksheets/sheet1.bin": record(129) + size + record(145) + cells + record(146) + record(130),
    })


def ods(rows: Rows) -> bytes:
    """An OpenDocument sheet."""
    space = "urn:oasis:names:tc:opendocument:xmlns"

    def cell(value: str | float) -> str:
        kind = "string" if isinstance(value, str) else f'float" office:value="{value}'
        return f'<table:table-cell office:value-type="{kind}"><text:p>{value}</text:p></table:table-cell>'

    body = "".join(f"<table:table-row>{''.join(map(cell, row))}</table:table-row>" for row in rows)
    return packed({
        "mimetype": "application/vnd.oasis.opendocument.spreadsheet",
        "META-INF/manifest.xml": f'<m:manifest xmlns:m="{space}:manifest:1.0"/>',
        "content.xml": f'<office:document-content xmlns:office="{space}:office:1.0" xmlns:table="{space}:table:1.0" '
        f'xmlns:text="{space}:text:1.0"><office:body><office:spreadsheet><table:table table:name="Sheet">{body}'
        "</table:table></office:spreadsheet></office:body></office:document-content>",
    })
