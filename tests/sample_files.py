"""Small files of every format for the tests of reading, and the promises that hold for whatever was read."""

from __future__ import annotations

import io
import unicodedata
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
