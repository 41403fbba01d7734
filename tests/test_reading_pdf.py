"""PDF: whole text in its order with pages, headings and tables; scans and damage are named."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from sample_files import CHINESE, ENGLISH, pdf, read, refused, sound
from tunewise.errors import DataMistake
from tunewise.reading import read_file


def test_pdf_pages_paragraphs_headings_and_tables(tmp_path: Path) -> None:
    data = pdf(
        [
            ("h", "Returns"),
            ENGLISH,
            ("t", [["Part", "Price"], ["Lid", "4 euros"], ["Body", "30 euros"]]),
            "After the table.",
        ],
        [("h", "Warranty"), CHINESE],
    )
    document = read(tmp_path, "a.pdf", data)
    assert [h.title for h in document.headings] == ["Returns", "Warranty"] and document.title == "Returns"
    assert ENGLISH in document.text and CHINESE in document.text
    table = "| Part | Price |\n| --- | --- |\n| Lid | 4 euros |\n| Body | 30 euros |"
    assert document.text.index(ENGLISH) < document.text.index(table) < document.text.index("After the table.")
    assert document.text.count("30 euros") == 1
    assert [page.number for page in document.pages] == [1, 2]
    assert document.text[document.pages[1].start :].startswith("Warranty")


def test_pdf_sentence_runs_on_over_a_page_break(tmp_path: Path) -> None:
    document = read(tmp_path, "a.pdf", pdf([" ".join([ENGLISH] * 40)]))
    assert document.text == " ".join([ENGLISH] * 40)
    assert len(document.pages) == 2 and document.text[document.pages[1].start - 1] == " "


def test_pdf_running_lines_go_but_stay_once(tmp_path: Path) -> None:
    from reportlab.pdfgen.canvas import Canvas

    target = io.BytesIO()
    canvas = Canvas(target)
    for number in range(1, 5):
        canvas.drawString(72, 800, "Kettle Ltd, internal")
        for line in range(6):
            canvas.drawString(
                72, 790 - 40 * line, f"Clause {number}.{line} holds for every branch of the house number {line}."
            )
        canvas.drawString(300, 30, f"- {number} -")
        canvas.showPage()
    canvas.save()
    document = read(tmp_path, "a.pdf", target.getvalue())
    assert document.text.count("Kettle Ltd, internal") == 1 and "- 3 -" not in document.text
    assert document.text.count("Clause") == 24


def test_pdf_columns_that_were_written_row_by_row(tmp_path: Path) -> None:
    from reportlab.pdfgen.canvas import Canvas

    def rows(text: str, size: int) -> list[str]:
        words = text.split()
        return [" ".join(words[place : place + size]) for place in range(0, len(words), size)]

    left, right = rows(ENGLISH, 5), rows(ENGLISH.replace("kettle", "teapot"), 5)
    target = io.BytesIO()
    canvas = Canvas(target)
    canvas.drawString(60, 740, "A title that stands across both of the columns of this page of the handbook")
    for number, (one, two) in enumerate(zip(left, right, strict=True)):
        canvas.drawString(60, 700 - 14 * number, one)
        canvas.drawString(320, 700 - 14 * number, two)
    canvas.showPage()
    # Labels and their values are no columns.
    for number in range(8):
        canvas.drawString(60, 700 - 14 * number, f"Fee {number}")
        canvas.drawString(320, 700 - 14 * number, f"{number} euros")
    canvas.save()
    text = read(tmp_path, "a.pdf", target.getvalue()).text
    assert text.startswith("A title") and text.index(ENGLISH) < text.index(ENGLISH.replace("kettle", "teapot"))
    assert "Fee 3 3 euros" in text


def test_pdf_passwords(tmp_path: Path) -> None:
    data = pdf([ENGLISH], encrypt="open sesame")
    assert "--password" in refused(tmp_path, "a.pdf", data).tip
    assert "none of those" in refused(tmp_path, "a.pdf", data, password="wrong").message
    assert read(tmp_path, "a.pdf", data, password="open sesame").text == ENGLISH
    assert read(tmp_path, "a.pdf", data, passwords=("wrong", "open sesame")).text == ENGLISH


def test_pdf_scans_and_damage_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunewise.reading.ocr.available", lambda: False)
    from reportlab.lib.utils import ImageReader
    from reportlab.pdfgen.canvas import Canvas

    picture = io.BytesIO(b"P6 2 2 255\n" + bytes([200, 10, 10] * 4))
    target = io.BytesIO()
    canvas = Canvas(target)
    canvas.drawImage(ImageReader(picture), 0, 0, 500, 700)
    canvas.showPage()
    scan = target
    canvas.save()
    mistake = refused(tmp_path, "a.pdf", scan.getvalue())
    assert "scan" in mistake.message and "tunewise[ocr]" in mistake.tip
    target = io.BytesIO()
    canvas = Canvas(target)
    canvas.drawString(72, 700, "The first page has words.")
    canvas.showPage()
    picture.seek(0)
    canvas.drawImage(ImageReader(picture), 0, 0, 500, 700)
    canvas.showPage()
    canvas.save()
    notes: list[str] = []
    assert read(tmp_path, "b.pdf", target.getvalue(), notes=notes).pages[0].number == 1
    assert len(notes) == 1 and notes[0].startswith("page 2 is without text (a scan)")
    assert "0 bytes" in refused(tmp_path, "c.pdf", b"").message
    assert refused(tmp_path, "d.pdf", b"%PDF-1.7\nnonsense").message.endswith("no page table was found in it")
    data = pdf([ENGLISH], [CHINESE])
    for length in range(100, len(data), 701):
        path = tmp_path / "cut.pdf"
        path.write_bytes(data[:length])
        try:
            sound(read_file(path))
        except DataMistake as mistake:
            assert mistake.tip


def scanned(pages: int, stamp: str, *, form: bool = False, share: float = 1.0) -> bytes:
    """A PDF of pages that are pictures with a stamp of text: `stamp` with the number of the page."""
    from reportlab.lib.utils import ImageReader
    from reportlab.pdfgen.canvas import Canvas

    picture = ImageReader(io.BytesIO(b"P6 2 2 255\n" + bytes([200, 10, 10] * 4)))
    target = io.BytesIO()
    canvas = Canvas(target, pagesize=(500, 700))
    if form:
        canvas.beginForm("page")
        canvas.drawImage(picture, 0, 0, 500, 700 * share)
        canvas.endForm()
    for number in range(1, pages + 1):
        if form:
            canvas.doForm("page")
        else:
            canvas.drawImage(picture, 0, 0, 500, 700 * share)
        canvas.drawString(20, 10, stamp.format(number))
        canvas.showPage()
    canvas.save()
    return target.getvalue()


@pytest.mark.parametrize(
    "stamp", ["ABC{:06}", "Case 1:20-cv-01234-ABC Document 12-3 Filed 01/02/20 Page {} of 20 PageID 345"]
)
@pytest.mark.parametrize("form", [False, True])
def test_stamped_scans_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stamp: str, form: bool) -> None:
    monkeypatch.setattr("tunewise.reading.ocr.available", lambda: False)
    notes: list[str] = []
    read(tmp_path, "a.pdf", scanned(20, stamp, form=form), notes=notes)
    assert len(notes) == 1 and notes[0].startswith("pages 1–20 are without text") and "tunewise[ocr]" in notes[0]


def test_pages_with_a_picture_are_no_scans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunewise.reading.ocr.available", lambda: False)
    for name, data in (
        ("logo.pdf", scanned(2, "Chapter {}", share=0.1)), ("form.pdf", scanned(2, "Chapter {}", form=True, share=0.1)),
        ("half.pdf", scanned(2, "A photograph of the pump in the yard, taken in {}", share=0.5)),
        ("words.pdf", scanned(2, "{}" + ENGLISH + ENGLISH)),
    ):
        notes: list[str] = []
        read(tmp_path, name, data, notes=notes)
        assert notes == []


def test_only_so_many_scans_are_recognised_and_the_others_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunewise.reading import ocr, scans

    text = "The lid costs four euros, the body costs thirty, the cord seven, and the box is free."
    line = ocr.Seen(text, 0, 0, 9, 9, 1)
    monkeypatch.setattr(ocr, "available", lambda: True)
    monkeypatch.setattr(scans, "seen_on", lambda page: ([line], 500, 700))
    monkeypatch.setattr(scans, "_MOST_PAGES", 2)
    notes: list[str] = []
    document = read(tmp_path, "a.pdf", scanned(4, "ABC{:06}"), notes=notes)
    assert document.text.startswith("The lid costs") and "ABC000003" in document.text
    assert len(notes) == 1 and notes[0].startswith("pages 3–4 are") and "pip" not in notes[0] and "first 2" in notes[0]


def test_tables_give_back_the_time_of_usual_pages_and_say_where_they_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunewise.reading import ruled

    data = pdf(*[[("t", [[f"Part {word}", "Price"], [word, "4"]])] for word in ("lid", "cord", "body", "box")])
    told: list[tuple] = []
    read(tmp_path, "a.pdf", data, tell=lambda *seconds: told.append(seconds))
    assert len(told) == 4 and all(0 < seconds <= 1 for (seconds,) in told)
    monkeypatch.setattr(ruled, "_USUAL", 0.0)
    monkeypatch.setattr(ruled, "_MOST_PAGES", 2)
    notes: list[str] = []
    told.clear()
    text = read(tmp_path, "a.pdf", data, tell=lambda *seconds: told.append(seconds), notes=notes).text
    assert not told and text.count("| --- |") == 2
    assert notes[0].startswith("from page 3 on its tables stand as plain lines")
