"""Page pictures and boxes: what a citation shows on the page is where its words stand."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from sample_files import CHINESE, ENGLISH, pdf
from tunewise.errors import DataMistake
from tunewise.reading import page_boxes, page_png, read_file


def written(folder: Path, draw, name: str = "a.pdf") -> Path:
    """A PDF that `draw(canvas)` drew, 400 × 300 points."""
    from reportlab.pdfgen.canvas import Canvas

    target = io.BytesIO()
    canvas = Canvas(target, pagesize=(400, 300))
    draw(canvas)
    canvas.save()
    (folder / name).write_bytes(target.getvalue())
    return folder / name


def boxes(path: Path, document, words: str, which: int = 0):
    """The boxes of the `which`-th occurrence of some words, by page."""
    start = -1
    for _ in range(which + 1):
        start = document.text.index(words, start + 1)
    return {found.page: found.boxes for found in page_boxes(path, document, start, start + len(words))}


def test_boxes_stand_where_the_words_were_drawn(tmp_path: Path) -> None:
    def draw(canvas) -> None:
        canvas.setFont("Helvetica", 10)
        canvas.drawString(50, 200, "The lid costs four euros.")
        canvas.drawString(50, 180, "The lid costs four dollars.")

    path = written(tmp_path, draw)
    document = read_file(path)
    (found,) = page_boxes(path, document, 0, len(document.text))
    assert (found.page, round(found.width), round(found.height), len(found.boxes)) == (1, 400, 300, 2)
    first, second = (boxes(path, document, "The lid costs four", which)[1][0] for which in (0, 1))
    # The foot of the letters is 200 points above the lower edge: 100 below the upper one.
    assert first[0] == pytest.approx(50, abs=1) and first[1] < 100 < first[3] < 106
    assert second[1] == pytest.approx(first[1] + 20, abs=0.1)
    assert boxes(path, document, "dollars.")[1][0][0] > second[2] - 1


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_boxes_on_a_turned_page(tmp_path: Path, rotation: int) -> None:
    def draw(canvas) -> None:
        canvas.setPageRotation(rotation)
        canvas.drawString(50, 200, "Turned")

    path = written(tmp_path, draw)
    (found,) = page_boxes(path, read_file(path), 0, 6)
    x0, y0, x1, y1 = found.boxes[0]
    # reportlab turns the sheet with the page: it is 400 × 300 points as it is shown.
    assert (round(found.width), round(found.height)) == (400, 300)
    if rotation == 180:
        assert x1 == pytest.approx(350, abs=1) and y0 < 200 < y1
    else:
        assert x0 - 1 < 200 < x1 + 1 and y1 - y0 > x1 - x0
        assert (y0 if rotation == 90 else y1) == pytest.approx(50 if rotation == 90 else 250, abs=1)


def test_boxes_over_lines_pages_and_hyphens(tmp_path: Path) -> None:
    def draw(canvas) -> None:
        lines = ("All branches of the house keep to an inter-", "national rule about the return of used", "and broken")
        for number, line in enumerate(lines):
            canvas.drawString(50, 250 - 14 * number, line)
        canvas.showPage()
        canvas.drawString(50, 250, "kettles that nobody wants to keep at home.")

    path = written(tmp_path, draw)
    document = read_file(path)
    words = "an international rule"
    assert len(boxes(path, document, words)[1]) == 2
    whole = page_boxes(path, document, 0, len(document.text))
    assert [(found.page, len(found.boxes)) for found in whole] == [(1, 3), (2, 1)]


def test_boxes_of_tables_and_chinese(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(
        pdf([("h", "Returns"), ENGLISH, ("t", [["Part", "Price"], ["Lid", "4 euros"], ["Body", "4 euros"]])], [CHINESE])
    )
    document = read_file(path)
    lid, body = (boxes(path, document, "4 euros", which)[1][0] for which in (0, 1))
    assert body[1] - lid[1] == pytest.approx(18, abs=1) and body[0] == lid[0]
    row = boxes(path, document, "| Body | 4 euros |")[1]
    assert min(box[0] for box in row) < lid[0] and max(box[2] for box in row) == body[2]
    ((page, lines),) = boxes(path, document, CHINESE).items()
    assert page == 2 and len(lines) == 2 and all(box[3] - box[1] > 5 for box in lines)


def test_pictures_of_pages(tmp_path: Path) -> None:
    from PIL import Image

    path = written(tmp_path, lambda canvas: canvas.drawString(50, 200, "One page"))
    with Image.open(io.BytesIO(page_png(path, 1, scale=2))) as picture:
        assert picture.format == "PNG" and picture.size == (800, 600)
        assert picture.convert("L").getextrema() == (0, 255)
    with pytest.raises(DataMistake, match="no page 2"):
        page_png(path, 2)
    with pytest.raises(DataMistake, match="scale"):
        page_png(path, 1, scale=100)


def test_pages_need_a_pdf_and_its_password(tmp_path: Path) -> None:
    text = tmp_path / "a.txt"
    text.write_text(ENGLISH)
    assert page_boxes(text, read_file(text), 0, 5) == []
    with pytest.raises(DataMistake, match="only the pages of"):
        page_png(text, 1)
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf([ENGLISH], encrypt="sesame"))
    document = read_file(path, password="sesame")
    with pytest.raises(DataMistake, match="password"):
        page_png(path, 1)
    assert page_png(path, 1, password="sesame").startswith(b"\x89PNG")
    assert page_boxes(path, document, 0, 5, password="sesame")[0].boxes
    path.write_bytes(b"%PDF-1.4 broken")
    with pytest.raises(DataMistake, match=r"a\.pdf: it is damaged"):
        page_boxes(path, document, 0, 5)
    with pytest.raises(ValueError, match="span"):
        page_boxes(path, document, 5, 5)
