"""Reading: every format gives whole text with exact spans, and every file that cannot be read says why."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sample_files import CHINESE, ENGLISH, read, refused, word
from tunewise.errors import DataMistake
from tunewise.reading import language_of, read_file
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


@pytest.mark.parametrize(
    "text",
    [
        "---\n\n# Terms\n\nNote: the deposit is 500 euros.\n\nReturns within 30 days.\n\n---\n\nSecond part.",
        "---\nNote: the deposit is 500 euros.\nReturns within 30 days.\n---\nSecond part.",
        "---\nNote: see below\n\n# Terms\n\n---\nSecond part.",
        "---\nhttp://kettle.test\n---\nSecond part.",
        "---\n说明: 押金为五百元。\n\n三十天内退货。\n---\n第二部分。",
    ],
)
def test_markdown_between_rules_is_text(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, "a.md", text).text == text


@pytest.mark.parametrize(
    "front",
    [
        "title: T",
        "\ntitle: T\nlayout: page\n",
        "title: 'T'\n\n# of the site\nlayout: page\ntags:\n- a\n- b\n",
        'a:\n  - b\n\n"c" : d\ndescription: >\n  Long.',
    ],
)
def test_front_matter_goes(tmp_path: Path, front: str) -> None:
    assert read(tmp_path, "a.md", f"---\n{front}\n---\nText.").text == "Text."


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("Un café coûte 7£ ici".encode() + b"\xff.", "Un café coûte 7£ ici\ufffd."),
        (CHINESE.encode()[:-1], CHINESE[:-1] + "\ufffd"),
        (CHINESE.encode()[:31] + b"\x80" + CHINESE.encode()[33:], None),
    ],
)
@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.csv", "a.html"])
def test_a_damaged_place_costs_one_sign_and_is_said(tmp_path: Path, name: str, data: bytes, text: str | None) -> None:
    notes: list[str] = []
    found = read(tmp_path, name, data, notes=notes).text
    assert "\ufffd" in found and (text is None or text in found)
    assert len(notes) == 1 and notes[0].startswith("it is UTF-8 but for 1 damaged place")


@pytest.mark.parametrize("length", range(3, 40, 4))
def test_short_texts_in_old_encodings_are_not_taken_for_utf8(length: int) -> None:
    from tunewise.reading.plain import _damaged_utf8

    for name in ("gb18030", "big5"):
        for start in range(0, len(CHINESE) - length, 5):
            data = CHINESE[start : start + length].encode(name, "ignore")
            assert data.isascii() or not _damaged_utf8(data)
    assert not _damaged_utf8("Müller öffnet für Gäste".encode("cp1252"))


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


def test_html_remarks_stay_and_furniture_goes(tmp_path: Path) -> None:
    page = f"""<body><aside>Our shop in three lines of words</aside><main><h1>Pumps</h1><p>{ENGLISH}</p>
    <aside class="note">Warning: never run the pump dry.</aside><p>{ENGLISH}</p><aside>A box about valves.</aside>
    <blockquote>Good.<footer>Ann Bell</footer></blockquote>
    <aside class="related-posts">Other pumps you may like</aside><aside><a href="/a">Valves and more</a></aside>
    </main><div><aside role="doc-tip">Oil it once a year.</aside></div><footer>Imprint</footer></body>"""
    text = read(tmp_path, "a.html", page).text
    for kept in ("never run the pump dry", "A box about valves", "Ann Bell", "Oil it once a year"):
        assert kept in text
    for gone in ("Our shop", "Other pumps", "Valves and more", "Imprint"):
        assert gone not in text


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
