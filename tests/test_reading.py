"""Reading: every format gives whole text with exact spans, and every file that cannot be read says why."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sample_files import CHINESE, ENGLISH, pdf, read, refused, sound, word
from tunewise.errors import DataMistake
from tunewise.reading import SUFFIXES, language_of, read_file, read_folder
from tunewise.reading.child import Child
from tunewise.reading.draft import clean, grid, pipe_table, raised

# ------------------------------------------------------------------------------------------------ text and Markdown


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (ENGLISH, "ascii"),
        (CHINESE, "utf-8"),
        (CHINESE, "utf-8-sig"),
        (CHINESE, "utf-16"),
        (ENGLISH, "utf-16-le"),
        (ENGLISH + CHINESE, "utf-16-be"),
        (CHINESE, "gb18030"),
        (CHINESE[:15], "gb18030"),
        (CHINESE, "gbk"),
        ("水壺的保修期為自購買之日起兩年。客戶在三十天內退貨並附上發票的，可以全額退款；但是配件必須齊全。", "big5"),
        ("Café Müller öffnet für Gäste um zehn. Die Straße führt über den Fluss.", "cp1252"),
        ("Le garçon a mangé une crêpe à la fête de l'école.", "latin-1"),
        (CHINESE, "utf-32"),
    ],
)
def test_text_of_any_encoding(tmp_path: Path, text: str, encoding: str) -> None:
    assert read(tmp_path, "a.txt", text.encode(encoding)).text == text


@pytest.mark.parametrize(
    "data",
    [
        bytes(range(256)) * 8,
        b"A\xe6\xf8 \xb3\xbf \xea\xf0\xff\xd0 \xde\xfe" * 3,
        b"\x7fELF\x02\x01\x01\0\0\0" * 50,
        b"\xff\xfe\x00\xd8\x00\xd8",
    ],
)
def test_undecidable_bytes_are_refused(tmp_path: Path, data: bytes) -> None:
    refused(tmp_path, "a.txt", data)


def test_text_is_normalised(tmp_path: Path) -> None:
    document = read(tmp_path, "a.txt", "Cafe\u0301\r\nline\rtwo\u2028three\0")
    assert document.text == "Café\nline\ntwo\nthree"


@given(st.text())
def test_clean_is_stable(text: str) -> None:
    once = clean(text)
    assert clean(once).removeprefix("\ufeff") == once.removeprefix("\ufeff")
    once.encode()


def test_markdown_keeps_its_text_but_for_front_matter(tmp_path: Path) -> None:
    body = (
        "# Returns *and* refunds\n\nSend it back.\n\n```sh\n# no heading\n```\n\n"
        "保修\n----\n\n| a | b |\n|---|---|\n\n#hashtag\n\n## Two ##"
    )
    document = read(tmp_path, "a.md", f'---\ntitle: "Our handbook"\nlayout: page\n---\n{body}\n')
    assert document.text == body
    assert document.title == "Our handbook"
    assert [(h.level, h.title) for h in document.headings] == [(1, "Returns and refunds"), (2, "保修"), (2, "Two")]
    assert document.text[document.headings[1].start : document.headings[1].end] == "保修\n----"


def test_markdown_title_is_the_first_heading_and_a_rule_is_no_front_matter(tmp_path: Path) -> None:
    document = read(tmp_path, "b.md", "---\nJust a line.\n---\n\n# Title")
    assert document.title == "Title" and document.text.startswith("---\nJust a line.")
    assert read(tmp_path, "no_heading.md", "only words").title == "no_heading"


def test_identity_and_dates(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(ENGLISH)
    os.utime(tmp_path / "a.txt", (0, 1_700_000_000))
    document = read_file(tmp_path / "a.txt", id="policies/a.txt")
    assert document.id == "policies/a.txt" and document.modified == "2023-11-14T22:13:20Z"
    assert read_file(tmp_path / "a.txt").id == "a.txt"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (ENGLISH, "en"),
        (CHINESE, "zh"),
        ("The model 水壶 is sold in two colours and three sizes all year.", "en"),
        ("12 + 3", "und"),
        ("この製品の保証期間は購入日から二年間です。", "ja"),
        ("이 제품의 보증 기간은 구입일로부터 2년입니다.", "ko"),
        ("产品カメラ的保修期为两年，可以在任何一家门店办理退货手续，无需另付费用。", "zh"),
    ],
)
def test_language(text: str, language: str) -> None:
    assert language_of(text) == language


# ------------------------------------------------------------------------------------------------ HTML

PAGE = f"""<!DOCTYPE html><html><head><title>Returns | Kettle Ltd</title><script>var x = "secret";</script></head><body>
<nav><ul><li><a href="/">Home page link</a></li><li><a href="/shop">Shop link</a></li></ul></nav>
<main><h1>Returns</h1><p>{ENGLISH}</p><h2>保修</h2><p>{CHINESE}</p><p>Mass 10<sup>6</sup> kg, H<sub>2</sub>O<br>next</p>
<table><tr><th>Year</th><th>Month</th><th>Fee</th></tr><tr><td rowspan="2">2025</td><td>May</td><td>3</td></tr>
<tr><td>June</td><td>4</td></tr></table><ul><li>first item of the list</li><li>second item of the list</li></ul></main>
<footer>Imprint and cookies</footer></body></html>"""


def test_html_keeps_the_article_and_its_tables(tmp_path: Path) -> None:
    document = read(tmp_path, "a.html", PAGE)
    assert document.title == "Returns | Kettle Ltd"
    assert [(h.level, h.title) for h in document.headings] == [(1, "Returns"), (2, "保修")]
    assert ENGLISH in document.text and CHINESE in document.text
    assert "| 2025 | May | 3 |\n| 2025 | June | 4 |" in document.text
    assert "10⁶ kg, H2O\nnext" in document.text
    assert "- first item of the list\n- second item of the list" in document.text
    for noise in ("secret", "Home page", "Imprint"):
        assert noise not in document.text


def test_html_without_an_article_is_read_whole(tmp_path: Path) -> None:
    assert read(tmp_path, "a.htm", "<p>Fee: 5 euros").text == "Fee: 5 euros"
    assert read(tmp_path, "b.html", "<meta charset=gb2312><p>费用：五元。".encode("gb18030")).text == "费用：五元。"
    assert (
        read(tmp_path, "c.html", '<meta charset="utf-8"><p>Caf\xe9 für alle Gäste'.encode("cp1252")).text
        == "Café für alle Gäste"
    )


def test_empty_and_deep_html(tmp_path: Path) -> None:
    assert "empty" in refused(tmp_path, "a.html", b"").message
    assert "no text" in refused(tmp_path, "b.html", b"<html><body><script>1</script></body></html>").message
    assert read(tmp_path, "c.html", "<div>" * 200 + "word" + "</div>" * 200).text == "word"
    assert "no text" in refused(tmp_path, "d.html", b"<div>" * 3000 + b"word" + b"</div>" * 3000).message


# ------------------------------------------------------------------------------------------------ Word


def test_word_keeps_order_headings_tables_and_lists(tmp_path: Path) -> None:
    def build(document) -> None:
        document.add_heading("Handbook", 0)
        document.add_heading("Returns", 1)
        document.add_paragraph(ENGLISH)
        table = document.add_table(rows=3, cols=2)
        for row, cells in enumerate((("Part", "Price"), ("Lid|cover", "4"), ("壶身", "30"))):
            for column, text in enumerate(cells):
                table.cell(row, column).text = text
        document.add_heading("保修", 2)
        document.add_paragraph("first", style="List Bullet")
        document.add_paragraph("second", style="List Bullet")
        paragraph = document.add_paragraph("Area: 5 m")
        paragraph.add_run("2").font.superscript = True
        document.add_paragraph(CHINESE)

    document = read(tmp_path, "a.docx", word(build))
    assert document.title == "Handbook"
    assert [(h.level, h.title) for h in document.headings] == [(1, "Handbook"), (1, "Returns"), (2, "保修")]
    assert document.text == (
        f"Handbook\n\nReturns\n\n{ENGLISH}\n\n| Part | Price |\n| --- | --- |\n| Lid\\|cover | 4 |\n| 壶身 | 30 |\n\n"
        f"保修\n\n- first\n- second\n\nArea: 5 m²\n\n{CHINESE}"
    )


def test_word_numbers_that_are_not_stored_are_written(tmp_path: Path) -> None:
    def build(document) -> None:
        for text in ("open", "close", "lock"):
            document.add_paragraph(text, style="List Number")

    assert read(tmp_path, "a.docx", word(build)).text == "1. open\n2. close\n3. lock"


def test_word_merged_cells_repeat_their_label(tmp_path: Path) -> None:
    def build(document) -> None:
        table = document.add_table(rows=3, cols=2)
        table.cell(0, 0).text, table.cell(0, 1).text = "Year", "Fee"
        table.cell(1, 1).text, table.cell(2, 1).text = "3", "4"
        table.cell(1, 0).merge(table.cell(2, 0)).text = "2025"

    assert "| 2025 | 3 |\n| 2025 | 4 |" in read(tmp_path, "a.docx", word(build)).text


def test_damaged_word_files_say_why(tmp_path: Path) -> None:
    whole = word(lambda document: document.add_paragraph(ENGLISH * 50))
    assert "0 bytes" in refused(tmp_path, "a.docx", b"").message
    assert "damaged or cut off" in refused(tmp_path, "b.docx", whole[: len(whole) // 2]).message
    assert ".doc" in refused(tmp_path, "c.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500)).message
    assert "no text" in refused(tmp_path, "d.docx", word(lambda document: None)).message
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as package:
        package.writestr("hello.txt", "no document in here")
    assert "damaged" in refused(tmp_path, "e.docx", target.getvalue()).message
    for place in range(60, len(whole) - 60, 997):
        path = tmp_path / "flipped.docx"
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            read_file(path)
        except DataMistake as mistake:
            assert mistake.tip


# ------------------------------------------------------------------------------------------------ PDF


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


# ------------------------------------------------------------------------------------------------ tables


def test_grid_keeps_values_in_their_columns() -> None:
    rows = [[("a", 1, 3), ("b", 2, 1)], [("c", 1, 2), ("d", 1, 1)], [("e", 1, 1)], [("f", 3, 1)]]
    assert grid(rows) == [["a", "b", ""], ["a", "c", "d"], ["a", "c", "e"], ["f", "", ""]]


@settings(max_examples=50)
@given(st.lists(st.lists(st.tuples(st.text(max_size=2), st.integers(1, 4), st.integers(1, 4)), max_size=4), max_size=5))
def test_grid_takes_any_spans(rows: list) -> None:
    assert len(grid(rows)) == len(rows)


def test_pipe_tables_and_superscripts() -> None:
    assert pipe_table([["a", "", "b\nc"], ["1", "", "2|3"]]) == "| a | b c |\n| --- | --- |\n| 1 | 2\\|3 |"
    assert pipe_table([["", ""]]) == ""
    assert raised("-12") == "⁻¹²" and raised("th") == "th" and raised("[3]") == "[3]"


# ------------------------------------------------------------------------------------------------ folders


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "documents"
    (root / "policies" / ".hidden").mkdir(parents=True)
    (root / "policies" / "returns.md").write_text("# Returns\n\n" + ENGLISH)
    (root / "保修.txt").write_text(CHINESE)
    (root / "broken.pdf").write_bytes(b"%PDF-1.7 cut")
    (root / "slides.pptx").write_bytes(b"PK")
    (root / "LICENSE").write_text("x")
    # The name of a team, not the file of groups, which is called `.groups.toml`.
    (root / "team.groups").write_text("x")
    for silent in (".secret.md", ".groups.toml", "tunewise.toml", "~$a.docx", "policies/.hidden/a.md"):
        (root / silent).write_text("must not be read")
    (tmp_path / "outside.md").write_text("# Outside")
    (root / "link.md").symlink_to(tmp_path / "outside.md")
    (root / "nothing.md").symlink_to(tmp_path / "absent.md")
    (root / "up").symlink_to(tmp_path)
    os.mkfifo(root / "pipe.txt")
    return root


def test_a_folder_is_read_and_what_is_not_read_says_why(folder: Path) -> None:
    seen = []
    started = time.perf_counter()
    documents, unread = read_folder(folder, progress=lambda phase, done, total: seen.append((phase, done, total)))
    assert [document.id for document in documents] == ["policies/returns.md", "保修.txt"]
    assert documents[0].headings[0].title == "Returns" and documents[1].language == "zh"
    assert seen == [("read", n, 4) for n in (1, 2, 3, 4)]
    reasons = {item.source: item.reason for item in unread}
    assert sorted(reasons) == [
        "LICENSE", "broken.pdf", "link.md", "nothing.md", "pipe.txt", "slides.pptx", "team.groups", "up",
    ]
    assert "damaged" in reasons["broken.pdf"] and str(folder) not in reasons["broken.pdf"]
    assert all(suffix in reasons["LICENSE"] for suffix in SUFFIXES) and "damaged" in reasons["slides.pptx"]
    assert "leaves the folder" in reasons["link.md"] and "leaves the folder" in reasons["up"]
    assert "not a regular file" in reasons["pipe.txt"]
    assert time.perf_counter() - started < 10


def test_one_or_many_processes_read_the_same(folder: Path) -> None:
    assert read_folder(folder, processes=1) == read_folder(folder, processes=3)


def test_small_plain_texts_need_no_child_and_read_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tunewise.reading import folder as reader

    (folder / "latin.txt").write_bytes("Die Straße ist für Fußgänger gesperrt, Grüße aus Köln.".encode("latin-1"))
    (folder / "long.md").write_text("# Long\n\n" + ENGLISH * 2000)
    (folder / "blank.md").write_text(" \n")
    (folder / "false.txt").write_bytes(b"%PDF-1.7 cut")
    asked: list[str] = []
    ask = reader.Child.ask
    monkeypatch.setattr(reader.Child, "ask", lambda self, request: asked.append(request["id"]) or ask(self, request))
    here = read_folder(folder)
    assert sorted(asked) == ["broken.pdf", "latin.txt", "long.md", "slides.pptx"]
    monkeypatch.setattr(reader, "_SMALL", -1)
    assert read_folder(folder) == here
    assert len(asked) == 4 + 8


def test_absent_and_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(DataMistake, match="no such folder"):
        read_folder(tmp_path / "absent")
    with pytest.raises(DataMistake, match="empty"):
        read_folder(tmp_path)


def test_passwords_reach_the_children(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf([ENGLISH], encrypt="sesame"))
    assert "--password" in read_folder(tmp_path)[1][0].reason
    assert read_folder(tmp_path, passwords=("x", "sesame"))[0][0].text == ENGLISH


def test_a_file_that_takes_too_long_costs_itself_only(tmp_path: Path) -> None:
    (tmp_path / "slow.html").write_text("<div>" * 100 + "".join(f"<p>{ENGLISH} {n}</p>" for n in range(60_000)))
    (tmp_path / "a.md").write_text("# Fine")
    documents, unread = read_folder(tmp_path, processes=1, seconds_per_file=1.0)
    assert [document.id for document in documents] == ["a.md"]
    assert unread[0].source == "slow.html" and "longer than 1 seconds" in unread[0].reason


def test_a_file_that_eats_memory_costs_itself_only(tmp_path: Path) -> None:
    whole = word(lambda document: document.add_paragraph("x"))
    bomb = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(whole)) as old,
        zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as new,
    ):
        for name in old.namelist():
            content = old.read(name)
            if name == "word/document.xml":
                content = content.replace(b"<w:p>", b"<w:p/>" * 30_000_000 + b"<w:p>", 1)
            new.writestr(name, content)
    (tmp_path / "bomb.docx").write_bytes(bomb.getvalue())
    (tmp_path / "a.md").write_text("# Fine")
    documents, unread = read_folder(tmp_path, processes=1)
    assert [document.id for document in documents] == ["a.md"]
    assert [item.source for item in unread] == ["bomb.docx"] and unread[0].reason


def test_a_child_that_dies_is_replaced() -> None:
    code = (
        "import os, sys\n"
        "for line in sys.stdin:\n"
        "    if 'die' in line: os.abort()\n"
        '    print(\'{"reason": "lives"}\', flush=True)\n'
    )
    child = Child(5, [sys.executable, "-c", code])
    assert child.ask({"path": "well"}) == {"reason": "lives"}
    assert "SIGABRT" in child.ask({"path": "die"})["reason"]
    assert child.ask({"path": "well"}) == {"reason": "lives"}
    child.bury()
    child.stop()
    assert child.ask({"path": "well"}) == {"reason": "reading was stopped"}


def test_the_clock_of_a_child_gives_back_what_it_is_told() -> None:
    code = (
        "import json, sys, time\n"
        "for line in sys.stdin:\n"
        "    for given in json.loads(line)['given']:\n"
        "        time.sleep(0.5)\n"
        "        print(json.dumps({'goes_on': given}), flush=True)\n"
        "    time.sleep(0.5)\n"
        '    print(\'{"done": 1}\', flush=True)\n'
    )
    child = Child(1.2, [sys.executable, "-c", code], way_out="make it shorter")
    assert child.ask({"given": [None, None, None]}) == {"done": 1}
    assert child.ask({"given": [0.5, 0.5, 0.5]}) == {"done": 1}
    late = child.ask({"given": [0, 0, 0]})
    assert "longer than 1.2 seconds" in late["reason"] and late["tip"] == "make it shorter"
    child.bury()


@pytest.mark.parametrize(
    "hangs",
    [
        "time.sleep(600)",
        # Holds the interpreter, so that no thread of it can look who its parent is: the alarm ends it.
        pytest.param("re.match('(a+)+$', 'a' * 60 + 'b')", marks=pytest.mark.slow),
    ],
)
def test_a_child_whose_parent_was_killed_ends_itself(hangs: str) -> None:
    worker = (
        "import re, time\n"
        "from tunewise.reading import worker\n"
        f"worker._DOES['hang'] = lambda request, tell: {hangs}\n"
        "worker.main()\n"
    )
    code = (
        "import sys, threading, time\n"
        "from tunewise.reading.child import Child\n"
        f"child = Child(6, [sys.executable, '-c', {worker!r}])\n"
        "threading.Thread(target=child.ask, args=({'do': 'hang'},), daemon=True).start()\n"
        "while child.process is None: time.sleep(0.05)\n"
        "print(child.process.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        pid = int(parent.stdout.readline())
        # So that it hangs by then.
        time.sleep(2)
        parent.kill()
    ends = time.monotonic() + 20
    while time.monotonic() < ends and _runs(pid):
        time.sleep(0.2)
    if left := _runs(pid):
        os.kill(pid, 9)
    assert not left


def _runs(pid: int) -> bool:
    try:
        # One that waits to be buried has ended.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_how_long_a_file_may_take_is_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tunewise import reading
    from tunewise.embeddings import HashEmbedder
    from tunewise.jobs.ingest import ingest_project
    from tunewise.project import load_project

    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "slow.html").write_text("<p>" + "</p><p>".join([ENGLISH] * 30_000))
    (tmp_path / "tunewise.toml").write_text("[reading]\nseconds_per_file = 1\n")
    project = load_project(tmp_path, environ={}, user=tmp_path / "absent.toml")
    asked: list[float] = []
    read_folder = reading.read_folder

    def watched(*where: object, **how: object) -> object:
        asked.append(how["seconds_per_file"])
        return read_folder(*where, **how)

    monkeypatch.setattr(reading, "read_folder", watched, raising=False)
    with pytest.raises(DataMistake) as caught:
        ingest_project(project, embedder=HashEmbedder())
    assert asked == [1] and "--seconds-per-file" in caught.value.faults[0] and "[reading]" in caught.value.faults[0]
