"""PowerPoint, Excel, CSV, e-books, e-mail and scans: whole text, exact pages, and a reason for what cannot be read."""

from __future__ import annotations

import io
import struct
import sys
import zipfile
import zlib
from pathlib import Path

import pytest

from sample_files import (
    CHINESE,
    ENGLISH,
    book,
    mail,
    outlook,
    packed,
    pdf,
    read,
    refused,
    repacked,
    sheet,
    slides,
    word,
)
from tunewise.errors import DataMistake, MissingExtra
from tunewise.reading import ocr, page_boxes, read_file
from tunewise.reading.tables import table_blocks


def test_slides_are_pages(tmp_path: Path) -> None:
    document = read(tmp_path, "a.pptx", slides())
    assert [(h.level, h.title) for h in document.headings] == [(1, "Returns 退货"), (1, "Sales")]
    assert [page.number for page in document.pages] == [1, 2] and document.title == "Returns 退货"
    first, second = (document.text[page.start : page.end] for page in document.pages)
    assert "Send it back\nKeep the receipt\n\n| Part | Price |\n| --- | --- |\n| Lid | 4 |\n| Body | 30 |" in first
    assert first.strip().endswith("Notes: Say it slowly.")
    assert "|  | Kettles |\n| --- | --- |\n| 2024 | 120 |\n| 2025 | 135.5 |" in second and "In a group" in second


def test_sheets_are_pages_and_their_tables_markdown(tmp_path: Path) -> None:
    document = read(tmp_path, "a.xlsx", sheet())
    assert document.text == (
        "Fees\n\nFees of 2025\n\n| Item | Fee | Share | From |\n| --- | --- | --- | --- |\n"
        "| Lid | 4 | 12.5% | 2025-06-01 |\n| 壶身 | 30.5 |  |  |\n| Cord | 7 |  |  |\n\n"
        "Both\n\n| a | Year | Kettles |\n| --- | --- | --- |\n| b | 2025 | 1 |\n|  | 2025 | 2 |"
    )
    assert [page.number for page in document.pages] == [1, 2]


def test_a_sheet_that_is_a_chart_is_named(tmp_path: Path) -> None:
    from xlsxwriter import Workbook

    target = io.BytesIO()
    with Workbook(target, {"in_memory": True}) as workbook:
        workbook.add_worksheet("Fees").write_column(0, 0, ["Fee", 4, 5])
        chart = workbook.add_chart({"type": "line"})
        chart.add_series({"values": "=Fees!$A$2:$A$3"})
        workbook.add_chartsheet("Trend").set_chart(chart)
    notes: list[str] = []
    assert read(tmp_path, "a.xlsx", target.getvalue(), notes=notes).text == "Fees\n\nFee\n4\n5"
    assert notes == ["its sheet 'Trend' has no cells (a chart) and is not read"]


def test_tables_of_a_sheet_are_told_apart() -> None:
    rows = [["Title", "", ""], ["a", "b", ""], ["1", "2", ""], ["", "", ""], ["3", "4", ""], ["", "", ""],
            ["c", "d", "e"], ["x", "y", "z"]]
    assert [block.text for block in table_blocks(rows)] == [
        "Title", "| a | b |\n| --- | --- |\n| 1 | 2 |\n| 3 | 4 |", "| c | d | e |\n| --- | --- | --- |\n| x | y | z |",
    ]


@pytest.mark.parametrize(
    ("rows", "texts"),
    [
        # A statement with empty columns between its years, and the same with an empty row below them.
        (
            [["", "", "2024", "", "2023"], ["Revenue", "", "100", "", "90"], ["Costs", "", "65", "", "60"]],
            ["|  | 2024 | 2023 |\n| --- | --- | --- |\n| Revenue | 100 | 90 |\n| Costs | 65 | 60 |"],
        ),
        (
            [["", "", "2024", "", "2023"], [""] * 5, ["Revenue", "", "100", "", "90"]],
            ["|  | 2024 | 2023 |\n| --- | --- | --- |\n| Revenue | 100 | 90 |"],
        ),
        ([["", "2024"], ["Revenue", "100"]], ["|  | 2024 |\n| --- | --- |\n| Revenue | 100 |"]),
        (
            [["Item", "Q1", "Q2", "", "Q3", "Q4"], ["Lid", "4", "5", "", "6", "7"]],
            ["| Item | Q1 | Q2 | Q3 | Q4 |\n| --- | --- | --- | --- | --- |\n| Lid | 4 | 5 | 6 | 7 |"],
        ),
        (
            [["Fees", "", "", "Sales", ""], ["Item", "Fee", "", "Year", "Sold"], ["Lid", "4", "", "2025", "9"]],
            ["Fees", "| Item | Fee |\n| --- | --- |\n| Lid | 4 |", "Sales",
             "| Year | Sold |\n| --- | --- |\n| 2025 | 9 |"],
        ),
        # Words between the rows of a table are kept, and the rows below them keep their names.
        (
            [["Item", "Fee"], ["Lid", "4"], ["", ""], ["From May on:", ""], ["", ""], ["Lid", "5"]],
            ["| Item | Fee |\n| --- | --- |\n| Lid | 4 |", "From May on:",
             "| Item | Fee |\n| --- | --- |\n| Lid | 5 |"],
        ),
        # Names beside values begin another table; values beside labels do not.
        (
            [["a", "b", "", "", ""], ["1", "2", "", "", ""], ["3", "4", "", "c", "d"], ["5", "6", "", "7", "8"]],
            ["| a | b |\n| --- | --- |\n| 1 | 2 |\n| 3 | 4 |\n| 5 | 6 |", "| c | d |\n| --- | --- |\n| 7 | 8 |"],
        ),
        (
            [["", "", "", "Q1", "Q2"], ["Sales", "EUR", "", "100", "90"], ["Costs", "EUR", "", "65", "60"]],
            ["|  |  | Q1 | Q2 |\n| --- | --- | --- | --- |\n| Sales | EUR | 100 | 90 |\n| Costs | EUR | 65 | 60 |"],
        ),
        (
            [["a", "", "", "", ""], ["b", "c", "", "", ""], ["1", "2", "", "", ""], ["3", "4", "", "", ""],
             ["5", "6", "", "e", ""], ["", "", "", "f", "g"], ["", "", "", "1", "2"], ["", "", "", "3", "4"]],
            ["a", "| b | c |\n| --- | --- |\n| 1 | 2 |\n| 3 | 4 |\n| 5 | 6 |",
             "e", "| f | g |\n| --- | --- |\n| 1 | 2 |\n| 3 | 4 |"],
        ),
    ],
)
def test_empty_columns_part_only_what_can_stand_alone(rows: list[list[str]], texts: list[str]) -> None:
    assert [block.text for block in table_blocks(rows)] == texts


def test_csv_is_one_table(tmp_path: Path) -> None:
    spaced = read(tmp_path, "a.csv", "name,,price\nLid,,4\nPump,,9\n").text
    assert spaced == "| name | price |\n| --- | --- |\n| Lid | 4 |\n| Pump | 9 |"
    two = read(tmp_path, "b.csv", "Item,Fee,,Year,Sold\nLid,4,,2025,9\n").text
    assert two == "| Item | Fee | Year | Sold |\n| --- | --- | --- | --- |\n| Lid | 4 | 2025 | 9 |"


@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_csv_of_any_kind(tmp_path: Path, sign: str, encoding: str) -> None:
    text = f'产品{sign}保修期限（年）\n水壶{sign}两年\n"{sign}壶盖"{sign}一年\n\n配件{sign}不保修\n'
    cell = f"{sign}壶盖".strip().replace("|", "\\|")
    assert read(tmp_path, "a.csv", text.encode(encoding)).text == (
        f"| 产品 | 保修期限（年） |\n| --- | --- |\n| 水壶 | 两年 |\n| {cell} | 一年 |\n| 配件 | 不保修 |"
    )


def test_csv_oddities(tmp_path: Path) -> None:
    assert read(tmp_path, "a.csv", "sep=;\na;b\n1;2").text == "| a | b |\n| --- | --- |\n| 1 | 2 |"
    assert read(tmp_path, "a.tsv", "a\tb,c\n1\t2").text == "| a | b,c |\n| --- | --- |\n| 1 | 2 |"
    assert read(tmp_path, "b.csv", 'one\n"two\nlines"\n').text == "one\ntwo lines"
    assert "empty" in refused(tmp_path, "c.csv", b" \n").message
    assert "3,000,000 cells" in refused(tmp_path, "d.csv", b"a" + b"," * 3_000_001).message


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("この製品の保証期間は購入日から二年間です。お客様は三十日以内に返品できます。", "cp932"),
        ("この製品の保証期間は購入日から二年間です。お客様は三十日以内に返品できます。", "euc_jp"),
        ("이 제품의 보증 기간은 구입일로부터 이년입니다. 삼십일 이내에 반품하실 수 있습니다.", "cp949"),
    ],
)
def test_japanese_and_korean_encodings(tmp_path: Path, text: str, encoding: str) -> None:
    assert read(tmp_path, "a.txt", text.encode(encoding)).text == text


# ------------------------------------------------------------------------------------------------ books and mail


def test_books_follow_their_spine(tmp_path: Path) -> None:
    document = read(tmp_path, "a.epub", book())
    assert document.title == "The book of kettles" and [h.title for h in document.headings] == ["Returns", "保修"]
    assert document.text == f"Returns\n\n{ENGLISH}\n\n保修\n\n{CHINESE}"
    notes: list[str] = []
    opf = (
        '<package><manifest><item id="a" href="one.xhtml" media-type="application/xhtml+xml"/>'
        '<item id="b" href="../../../etc/passwd" media-type="text/html"/></manifest>'
        '<spine><itemref idref="b"/><itemref idref="a"/></spine></package>'
    )
    assert read(tmp_path, "b.epub", book(opf=opf), notes=notes).text.startswith("Returns")
    assert notes == ["its part ../../etc/passwd is missing"]


def test_books_keep_what_stands_outside_of_their_order(tmp_path: Path) -> None:
    opf = (
        '<package><manifest><item id="n" href="notes.xhtml" media-type="application/xhtml+xml"/>'
        '<item id="a" href="one.xhtml" media-type="application/xhtml+xml"/>'
        '<item id="i" href="idle.xhtml" media-type="application/xhtml+xml"/>'
        '<item id="s" href="cover.svg" media-type="image/svg+xml"/></manifest>'
        '<spine><itemref idref="s"/><itemref idref="n" linear="no"/><itemref idref="a"/><itemref idref="z"/></spine>'
        "</package>"
    )
    chapters = {"one.xhtml": f"<p>{ENGLISH}</p>", "notes.xhtml": f"<p>{CHINESE}</p>", "idle.xhtml": "<p>Draft</p>"}
    notes: list[str] = []
    assert read(tmp_path, "a.epub", book(chapters, opf), notes=notes).text == f"{ENGLISH}\n\n{CHINESE}"
    assert notes == [
        "its part cover.svg is of a kind that is not read", "its part z is not listed",
        "outside of its reading order, not read: idle.xhtml",
    ]


def test_books_that_cannot_be_read(tmp_path: Path) -> None:
    locked = repacked(book(), lambda name, content: content)
    with_lock = {"META-INF/encryption.xml": '<encryption><CipherReference URI="O/one.xhtml"/></encryption>'}
    target = io.BytesIO(locked)
    with zipfile.ZipFile(target, "a") as package:
        for name, content in with_lock.items():
            package.writestr(name, content)
    assert "DRM" in refused(tmp_path, "a.epub", target.getvalue()).message
    assert "no e-book" in refused(tmp_path, "b.epub", packed({"a.txt": "x"})).message
    assert "no text" in refused(tmp_path, "c.epub", book({"a.xhtml": "<img src='a.png'/>"})).message


def test_mail_with_its_attachments(tmp_path: Path) -> None:
    document = read(tmp_path, "a.eml", mail())
    assert document.title == "退货 of the kettle"
    assert document.text == (
        "退货 of the kettle\n\nFrom: Ann Bell <ann@kettle.test>\nTo: house@kettle.test\n"
        f"Date: Sat, 01 Nov 2025 10:00:00 +0000\n\nDear house,\n\n{ENGLISH}\n\nAttachment: fees.csv\n\n"
        "| Part | Price |\n| --- | --- |\n| Lid | 4 |"
    )


def test_mail_in_mail_and_damaged_attachments(tmp_path: Path) -> None:
    import email
    from email.message import EmailMessage

    outer = EmailMessage()
    outer["Subject"] = "Fwd"
    outer.set_content("See below.")
    outer.add_attachment(email.message_from_bytes(mail()))
    outer.add_attachment(b"PK cut", maintype="application", subtype="octet-stream", filename="a.docx")
    notes: list[str] = []
    document = read(tmp_path, "a.eml", outer.as_bytes(), notes=notes)
    assert "See below." in document.text and ENGLISH in document.text and "| Lid | 4 |" in document.text
    assert len(notes) == 2 and notes[1].startswith("its attachment 'a.docx' could not be read: the file is damaged")
    assert notes[0].startswith("its attachment 'message.eml': its attachment 'setup.exe' could not be read")


def test_mail_names_every_attachment_that_is_not_read(tmp_path: Path) -> None:
    from email.message import EmailMessage

    outer = EmailMessage()
    outer["Subject"] = "Papers"
    outer.set_content("See below.")
    for name in ("contract.doc", "letter.rtf", "all.zip", "blank.txt"):
        outer.add_attachment(b" ", maintype="application", subtype="octet-stream", filename=name)
    outer.add_attachment(b"x", maintype="application", subtype="pkcs7-signature", filename="smime.p7s")
    outer.add_attachment(pdf([CHINESE]), maintype="application", subtype="pdf")
    outer.get_payload()[-1].replace_header("Content-Disposition", "inline")
    notes: list[str] = []
    document = read(tmp_path, "a.eml", outer.as_bytes(), notes=notes)
    assert CHINESE in document.text
    assert [note.split("'")[1] for note in notes] == ["contract.doc", "letter.rtf", "all.zip", "blank.txt"]
    assert "save it as .docx" in notes[0] and "unpack it" in notes[2] and "no text" in notes[3]


def test_what_is_attached_beside_an_html_text_is_read(tmp_path: Path) -> None:
    data = (
        b"Subject: x\r\nContent-Type: multipart/alternative; boundary=a\r\n\r\n--a\r\nContent-Type: text/plain\r\n\r\n"
        b"Plain words.\r\n--a\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
        b"Content-Type: text/html\r\n\r\n<p>Plain words.</p>\r\n--b\r\nContent-Type: text/csv; name=fees.csv\r\n"
        b"Content-Disposition: attachment; filename=fees.csv\r\n\r\nPart,Price\r\nLid,4\r\n--b--\r\n--a--\r\n"
    )
    text = read(tmp_path, "a.eml", data).text
    assert text.count("Plain words.") == 1 and "| Lid | 4 |" in text


def test_outlook_names_what_it_leaves_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import oxmsg

    class One:
        file_name, file_bytes = "a.txt", b"Words."

    class Inner:
        file_name, file_bytes = None, None

    monkeypatch.setattr(oxmsg.Message, "attachments", [Inner(), *[One()] * 202])
    notes: list[str] = []
    document = read(tmp_path, "a.msg", outlook(), notes=notes)
    assert document.text.count("Words.") == 199
    assert notes[0] == "3 of its attachments were not read: only the first 200 are" and "save it by itself" in notes[1]


def test_a_picture_in_a_mail_without_ocr_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from email.message import EmailMessage

    def missing(*_: object, **__: object) -> object:
        raise MissingExtra("recognising text needs rapidocr")

    monkeypatch.setattr("tunewise.reading.scans.read_picture", missing)
    outer = EmailMessage()
    outer["Subject"] = "Hello"
    outer.set_content("See below.")
    outer.add_attachment(b"\x89PNG", maintype="image", subtype="png", filename="logo.png")
    notes: list[str] = []
    assert "See below." in read(tmp_path, "a.eml", outer.as_bytes(), notes=notes).text
    assert notes == ["its attachment 'logo.png' could not be read: recognising text needs rapidocr"]


def test_mail_in_old_encodings(tmp_path: Path) -> None:
    data = b"Subject: =?gb2312?B?" + b"zsTUwg==" + b"?=\r\nContent-Type: text/plain; charset=gb2312\r\n\r\n"
    assert CHINESE in read(tmp_path, "a.eml", data + CHINESE.encode("gb18030")).text
    html = b"Subject: x\r\nContent-Type: text/html\r\n\r\n<p>Fee: <b>5</b> euros</p><script>bad()</script>"
    assert read(tmp_path, "b.eml", html).text == "x\n\nFee: 5 euros"
    assert "no e-mail" in refused(tmp_path, "c.eml", b"just words").message


def test_outlook_messages(tmp_path: Path) -> None:
    document = read(tmp_path, "a.msg", outlook())
    assert document.title == "Kettle 水壶"
    assert document.text == f'Kettle 水壶\n\nFrom: "Ann Bell" <ann@kettle.test>\n\n{ENGLISH}'
    assert "damaged" in refused(tmp_path, "b.msg", outlook()[:1500]).message
    assert "no Outlook message" in refused(tmp_path, "c.msg", b"Subject: x").message


# ------------------------------------------------------------------------------------------------ mislabelled


@pytest.mark.parametrize(
    ("name", "make", "what"),
    [
        ("a.docx", sheet, "an Excel file"), ("a.xlsx", slides, "a PowerPoint file"), ("a.pptx", mail, "zip archive"),
        ("a.txt", lambda: pdf([ENGLISH]), "a PDF"), ("a.docx", lambda: pdf([ENGLISH]), "a PDF"),
        ("a.md", sheet, "zip archive"), ("a.xls", lambda: b"<html><table>", "an HTML page"),
        ("a.pdf", lambda: b"<!doctype html><p>x", "an HTML page"), ("a.csv", outlook, "old Office file"),
        ("a.html", lambda: b"\x89PNG\r\n\x1a\n", "a PNG picture"), ("a.txt", lambda: b"{\\rtf1 x}", "an RTF file"),
        ("a.txt", lambda: b"\x7fELF" + b"x" * 99, "a program"), ("a.epub", lambda: word(lambda d: None), "a Word file"),
    ],
)
def test_mislabelled_files_are_named(tmp_path: Path, name: str, make, what: str) -> None:
    assert what in refused(tmp_path, name, make()).message


def test_macros_and_passwords_are_named(tmp_path: Path) -> None:
    def with_macros(name: str, content: bytes) -> bytes:
        return content.replace(b"sheet.main", b"sheet.macroEnabled.main") if "Content_Types" in name else content

    assert "macros" in refused(tmp_path, "a.xlsx", repacked(sheet(), with_macros)).message
    locked = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)
    for name in ("a.docx", "a.pptx", "b.xlsx"):
        assert "password" in refused(tmp_path, name, locked).message
    for name in ("a.docm", "a.xlsm", "a.pptm", "a.ppt", "a.zip"):
        (tmp_path / name).write_bytes(b"x")
        with pytest.raises(DataMistake, match="not read"):
            read_file(tmp_path / name)


# ------------------------------------------------------------------------------------------------ scans


def picture(*lines: str) -> bytes:
    """A PNG picture of some lines of print, drawn by pdfium."""
    import pypdfium2

    page = pypdfium2.PdfDocument(pdf(list(lines)))[0]
    target = io.BytesIO()
    page.render(scale=1.5).to_pil().crop((0, 80, 893, 330)).save(target, "PNG")
    return target.getvalue()


def test_pictures_without_the_extra_name_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    monkeypatch.setattr(ocr, "_engine", ocr._engine.__wrapped__)
    (tmp_path / "a.png").write_bytes(picture("Words"))
    with pytest.raises(MissingExtra) as caught:
        read_file(tmp_path / "a.png")
    assert "tunewise[ocr]" in caught.value.tip and "a.png" in caught.value.message


@pytest.mark.skipif(not ocr.available(), reason="the extra ocr is not installed")
def test_pictures_are_recognised(tmp_path: Path) -> None:
    document = read(tmp_path, "a.png", picture("The lid costs four euros."))
    assert document.text == "The lid costs four euros." and document.pages[0].number == 1


@pytest.mark.slow
@pytest.mark.skipif(not ocr.available(), reason="the extra ocr is not installed")
def test_boxes_on_pictures_and_scanned_pages(tmp_path: Path) -> None:
    from PIL import Image

    data = picture("The lid costs four euros.")
    document = read(tmp_path, "a.png", data)
    (found,) = page_boxes(tmp_path / "a.png", document, 4, 7)
    assert found.width == 893 and len(found.boxes) == 1 and found.boxes[0][2] - found.boxes[0][0] < 60
    Image.open(io.BytesIO(data)).save(tmp_path / "scan.pdf")
    assert read_file(tmp_path / "scan.pdf").text == "The lid costs four euros."


def test_pictures_that_cannot_be_read(tmp_path: Path) -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    huge = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0))
    refusal = refused(tmp_path, "a.png", huge + chunk(b"IDAT", zlib.compress(bytes(999)))).message
    assert "more than 40,000,000 pixels" in refusal
    assert "damaged" in refused(tmp_path, "b.png", b"\x89PNG\r\n\x1a\nnonsense").message
    assert "0 bytes" in refused(tmp_path, "c.jpg", b"").message
