"""Small files of every format for the tests of reading, and the promises that hold for whatever was read."""

from __future__ import annotations

import io
import struct
import unicodedata
import zipfile
from itertools import pairwise
from pathlib import Path

import docx
import pytest

from tunewise.errors import DataMistake
from tunewise.nouns import Document
from tunewise.reading import language_of, read_file
from tunewise.store import sha256

ENGLISH = (
    "The warranty of the kettle lasts two years from the day on which it was bought. A customer who returns it "
    "within thirty days gets the full price back, provided that the parts are complete and the receipt is there."
)
CHINESE = (
    "水壶的保修期为自购买之日起两年。客户在三十天内退货并附上发票的，可以全额退款；但是配件必须齐全，包装也应当完好。"
)


def sound(document: Document) -> Document:
    """The promises that hold for every document that was read."""
    text = document.text
    assert text == unicodedata.normalize("NFC", text) and "\r" not in text and "\0" not in text
    assert document.revision == sha256(text) and document.title
    for heading in document.headings:
        assert 0 <= heading.start < heading.end <= len(text) and 1 <= heading.level <= 6
        line = text[heading.start : heading.end]
        assert heading.start == 0 or text[heading.start - 1] == "\n"
        assert heading.title.split()[0].strip("*_`") in line
    for one, two in pairwise(document.pages):
        assert one.end == two.start and one.number < two.number
    if document.pages:
        assert document.pages[0].start == 0 and document.pages[-1].end == len(text)
    return document


def read(folder: Path, name: str, data: bytes | str, **options) -> Document:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return sound(read_file(path, **options))


def refused(folder: Path, name: str, data: bytes, **options) -> DataMistake:
    path = folder / name
    path.write_bytes(data)
    with pytest.raises(DataMistake) as caught:
        read_file(path, **options)
    assert name in caught.value.message and caught.value.tip
    return caught.value


def word(build) -> bytes:
    document = docx.Document()
    build(document)
    target = io.BytesIO()
    document.save(target)
    return target.getvalue()


def pdf(*pages: list, encrypt: str | None = None) -> bytes:
    """A PDF of the given pages; each holds paragraphs, ("h", heading) and ("t", rows)."""
    from reportlab.lib import colors
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate, Spacer, Table

    pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
    styles = getSampleStyleSheet()
    chinese = styles["BodyText"].clone("zh", fontName="STSong-Light", wordWrap="CJK", spaceBefore=8)
    story: list = []
    for number, page in enumerate(pages):
        if number:
            story.append(PageBreak())
        for item in page:
            if isinstance(item, str):
                story.append(Paragraph(item, chinese if language_of(item) == "zh" else styles["BodyText"]))
            elif item[0] == "h":
                story.append(Paragraph(item[1], styles["Heading1"]))
            else:
                story += [Table(item[1], style=[("GRID", (0, 0), (-1, -1), 0.5, colors.black)]), Spacer(1, 20)]
    target = io.BytesIO()
    SimpleDocTemplate(target, encrypt=encrypt, title="").build(story)
    return target.getvalue()


# ------------------------------------------------------------------------------------------------ other formats


def slides() -> bytes:
    """A presentation of two slides with a title, a list, a table, a chart, a group and notes."""
    from pptx import Presentation
    from pptx.chart.data import CategoryChartData
    from pptx.enum.chart import XL_CHART_TYPE
    from pptx.util import Inches

    presentation = Presentation()
    first = presentation.slides.add_slide(presentation.slide_layouts[1])
    first.shapes.title.text = "Returns 退货"
    first.placeholders[1].text = "Send it back\nKeep the receipt"
    table = first.shapes.add_table(3, 2, Inches(1), Inches(4), Inches(5), Inches(1)).table
    for row, cells in enumerate((("Part", "Price"), ("Lid", "4"), ("Body", "30"))):
        for column, text in enumerate(cells):
            table.cell(row, column).text = text
    first.notes_slide.notes_text_frame.text = "Say it slowly."
    second = presentation.slides.add_slide(presentation.slide_layouts[5])
    second.shapes.title.text = "Sales"
    data = CategoryChartData()
    data.categories = ["2024", "2025"]
    data.add_series("Kettles", (120, 135.5))
    second.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, 0, Inches(2), Inches(4), Inches(3), data)
    group = second.shapes.add_group_shape()
    group.shapes.add_textbox(0, Inches(6), Inches(2), Inches(1)).text_frame.text = "In a group"
    target = io.BytesIO()
    presentation.save(target)
    return target.getvalue()


def sheet() -> bytes:
    """A workbook of two sheets: a caption above a table with percentages and dates, and two tables side by side."""
    from xlsxwriter import Workbook

    target = io.BytesIO()
    with Workbook(target, {"in_memory": True}) as workbook:
        share = workbook.add_format({"num_format": "0.0%"})
        day = workbook.add_format({"num_format": "yyyy-mm-dd"})
        fees = workbook.add_worksheet("Fees")
        fees.write(0, 0, "Fees of 2025")
        fees.write_row(2, 0, ["Item", "Fee", "Share", "From"])
        fees.write_row(3, 0, ["Lid", 4])
        fees.write(3, 2, 0.125, share)
        fees.write(3, 3, 45809, day)
        fees.write_row(4, 0, ["壶身", 30.5])
        fees.write_row(6, 0, ["Cord", 7])
        both = workbook.add_worksheet("Both")
        both.write_column(0, 0, ["a", "b"])
        both.write_row(0, 2, ["Year", "Kettles"])
        both.merge_range(1, 2, 2, 2, "2025")
        both.write_column(1, 3, [1, 2])
    return target.getvalue()


def book(chapters: dict[str, str] | None = None, opf: str = "") -> bytes:
    """An EPUB of the chapters {file name: body}."""
    if chapters is None:
        chapters = {"one.xhtml": f"<h1>Returns</h1><p>{ENGLISH}</p>", "二.xhtml": f"<h1>保修</h1><p>{CHINESE}</p>"}
    items = "".join(
        f'<item id="c{n}" href="{name}" media-type="application/xhtml+xml"/>' for n, name in enumerate(chapters)
    )
    spine = "".join(f'<itemref idref="c{n}"/>' for n in range(len(chapters)))
    parts = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<container><rootfiles><rootfile full-path="O/c.opf"/></rootfiles></container>',
        "O/c.opf": opf or '<package xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata><dc:title>The book of kettles'
        f"</dc:title></metadata><manifest>{items}</manifest><spine>{spine}</spine></package>",
    } | {f"O/{name}": f"<html><body>{body}</body></html>" for name, body in chapters.items()}
    return packed(parts)


def packed(parts: dict[str, bytes | str]) -> bytes:
    """A zip archive of the parts."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in parts.items():
            package.writestr(name, content)
    return target.getvalue()


def repacked(data: bytes, change) -> bytes:
    """The archive again with the parts that `change(name, content)` gives; its checksums are right."""
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        return packed({name: change(name, package.read(name)) for name in package.namelist()})


def mail() -> bytes:
    """A message in two kinds of text with a CSV table and a program attached."""
    from email.message import EmailMessage

    message = EmailMessage()
    message["Subject"], message["From"] = "退货 of the kettle", "Ann Bell <ann@kettle.test>"
    message["To"], message["Date"] = "house@kettle.test", "Sat, 01 Nov 2025 10:00:00 +0000"
    message.set_content(f"Dear house,\n\n{ENGLISH}\n")
    message.add_alternative(f"<p>Dear house,</p><p>{ENGLISH}</p>", subtype="html")
    message.add_attachment(b"Part,Price\nLid,4\n", maintype="text", subtype="csv", filename="../../fees.csv")
    message.add_attachment(b"MZ", maintype="application", subtype="octet-stream", filename="setup.exe")
    return message.as_bytes()


def outlook(subject: str = "Kettle 水壶", body: str = ENGLISH) -> bytes:
    """An Outlook message (.msg): a compound file that holds its properties."""
    texts = {0x001A: "IPM.Note", 0x0037: subject, 0x0C1A: "Ann Bell", 0x0C1F: "ann@kettle.test", 0x1000: body}
    streams = {f"__substg1.0_{id:04X}001F": text.encode("utf-16-le") for id, text in texts.items()}
    entries = b"".join(
        struct.pack("<HHIII", 0x001F, id, 6, len(text.encode("utf-16-le")) + 2, 0) for id, text in texts.items()
    )
    streams["__properties_version1.0"] = struct.pack("<8xIIII8x", 0, 0, 0, 0) + entries
    return compound(streams)


def compound(streams: dict[str, bytes]) -> bytes:
    """A compound file, as Outlook and the old Excel wrote: at most seven streams, each below 4,096 bytes."""
    names = sorted(streams, key=lambda name: (len(name), name.upper()))
    small, starts, table = b"", {}, []
    for name in names:
        starts[name] = len(small) // 64
        count = -(-len(streams[name]) // 64)
        table += [starts[name] + place + 1 for place in range(count - 1)] + [0xFFFFFFFE]
        small += streams[name].ljust(count * 64, b"\0")
    small = small.ljust(-(-len(small) // 512) * 512, b"\0")

    def entry(name: str, kind: int, right: int, child: int, start: int, size: int) -> bytes:
        coded = name.encode("utf-16-le")
        return (coded + b"\0\0").ljust(64, b"\0") + struct.pack(
            "<HBBIII16xI16xIII", len(coded) + 2, kind, 1, 0xFFFFFFFF, right, child, 0, start, size, 0
        )

    folder = entry("Root Entry", 5, 0xFFFFFFFF, 1, 3, len(small))
    for place, name in enumerate(names, 1):
        right = place + 1 if place < len(names) else 0xFFFFFFFF
        folder += entry(name, 2, right, 0xFFFFFFFF, starts[name], len(streams[name]))
    # Sectors: 0 the table of sectors, 1 and 2 folder and small table, then the small streams.
    folder = folder.ljust(1024, b"\0")
    sectors = len(small) // 512
    fat = [0xFFFFFFFD, 0xFFFFFFFE, 0xFFFFFFFE, *range(4, 3 + sectors), 0xFFFFFFFE]
    # The folder takes two sectors: its second one stands after the small streams.
    fat[1] = 3 + sectors
    fat += [0xFFFFFFFE]
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + struct.pack(
        "<16xHHHHH6xIIIIIIIII", 0x3E, 3, 0xFFFE, 9, 6, 0, 1, 1, 0, 4096, 2, 1, 0xFFFFFFFE, 0
    ) + struct.pack("<I", 0)

    def numbers(values: list[int]) -> bytes:
        return struct.pack(f"<{len(values)}I", *values).ljust(512, b"\xff")

    return header.ljust(512, b"\xff") + numbers(fat) + folder[:512] + numbers(table) + small + folder[512:]
