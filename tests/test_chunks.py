"""Chunks are exact, whole and small enough, whatever the text; they follow headings, tables and sentences."""

from __future__ import annotations

import re
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunewise.chunks import chunk, count_words
from tunewise.nouns import Document, Page
from tunewise.reading.plain import read_markdown
from tunewise.sentences import clauses, sentences, words
from tunewise.store import sha256


def markdown(text: str, pages: tuple[Page, ...] = ()) -> Document:
    draft = read_markdown(text.encode())
    return Document("guide.md", draft.text, draft.title, sha256(draft.text), headings=draft.headings, pages=pages)


_PIECES = st.sampled_from(
    [
        "# One\n",
        "## Two\n",
        "### 三级标题\n",
        "\n",
        "\n\n",
        " ",
        "The parcel arrives on Jan. 5. ",
        "It costs 3.50 euros! ",
        "See Fig. 2, e.g. the lid; ",
        "保修期为两年。",
        "可以退货吗？",
        "“当然可以！”他说，",
        "| Name | Price |\n",
        "|---|---|\n",
        "| Lid | 4 |\n",
        "- item one\n",
        "1. first\n",
        "```\ncode = 1\n",
        "```\n",
        "x" * 90,
        "长" * 50,
        "a\u0301",
        "\U0001f600",
        "\t",
        "---\n",
        "…",
        "Ω",
    ]
)
_ANY = st.text(max_size=400).map(lambda text: text.replace("\0", ""))
_TEXTS = st.one_of(st.lists(_PIECES, max_size=40).map("".join), _ANY)


@settings(max_examples=300, deadline=None)
@given(_TEXTS, st.integers(1, 60), st.booleans())
def test_every_chunk_is_exact_and_nothing_is_lost(text: str, tokens: int, by_signs: bool) -> None:
    document = markdown(text)
    count = len if by_signs else count_words
    position = 0
    for piece in chunk(document, tokens=tokens, count=count):
        assert piece.text == document.text[piece.start : piece.end]
        assert piece.start >= position and not document.text[position : piece.start].strip()
        assert count(piece.text) <= tokens
        assert piece.text == piece.text.strip()
        position = piece.end
    assert not document.text[position:].strip()


@settings(max_examples=100, deadline=None)
@given(_TEXTS, st.integers(5, 40))
def test_overlap_repeats_no_more_than_asked_and_loses_nothing(text: str, tokens: int) -> None:
    document = markdown(text)
    overlap = tokens // 3
    covered = start = 0
    for piece in chunk(document, tokens=tokens, overlap=overlap):
        assert piece.text == document.text[piece.start : piece.end] and count_words(piece.text) <= tokens
        assert piece.start >= start and piece.end > covered
        assert count_words(document.text[piece.start : covered]) <= overlap
        assert not document.text[covered : max(covered, piece.start)].strip()
        start, covered = piece.start, piece.end
    assert not document.text[covered:].strip()


def test_overlap_is_there_when_sentences_are_short_enough() -> None:
    document = markdown(" ".join(f"Sentence {n} has five words." for n in range(20)))
    pieces = chunk(document, tokens=20, overlap=6)
    assert all(a.end > b.start for a, b in pairwise(pieces))


@pytest.mark.parametrize("function", [sentences, clauses, words])
@given(text=st.text(max_size=200))
def test_spans_hold_every_sign(function, text: str) -> None:
    position = 0
    for start, end in function(text, 0, len(text)):
        assert position <= start < end and not text[position:start].strip()
        position = end
    assert not text[position:].strip()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Dr. Smith paid $3.50 on Jan. 5. He left.", ["Dr. Smith paid $3.50 on Jan. 5.", "He left."]),
        (
            "See Fig. 3 and v1.2.3. Visit www.example.com. Is it?",
            ["See Fig. 3 and v1.2.3.", "Visit www.example.com.", "Is it?"],
        ),
        ("The U.S. Army, e.g. this. J. R. Tolkien wrote.", ["The U.S. Army, e.g. this.", "J. R. Tolkien wrote."]),
        ('He asked, "Really?" She said no. Try again.', ['He asked, "Really?"', "She said no.", "Try again."]),
        ("1. First item. See No. 5 of it.", ["1. First item.", "See No. 5 of it."]),
        (
            "保修期为两年。“可以退货吗？”当然！！请在14.5天内办理；逾期无效……完。",
            ["保修期为两年。", "“可以退货吗？”", "当然！！", "请在14.5天内办理；", "逾期无效……", "完。"],
        ),
        ("型号X.1是新的。See section 3.5. 共两台", ["型号X.1是新的。", "See section 3.5.", "共两台"]),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert [text[start:end] for start, end in sentences(text, 0, len(text))] == expected


def test_sections_keep_apart_and_carry_their_path() -> None:
    body = "This sentence has exactly eight words in it. " * 5
    document = markdown(f"# Guide\n\n## Returns\n\n{body}\n\n## 保修\n\n{body}\n\n### Batteries\n\n{body}")
    pieces = chunk(document)
    assert [piece.heading for piece in pieces] == ["Guide > Returns", "Guide > 保修", "Guide > 保修 > Batteries"]
    assert pieces[0].text.startswith("# Guide\n\n## Returns")
    assert pieces[1].text.startswith("## 保修")


def test_tiny_neighbours_share_a_chunk_and_others_do_not() -> None:
    document = markdown("# A\n\nShort one.\n\n# B\n\nShort two.\n\n# C\n\n" + "A longer sentence of six words. " * 6)
    pieces = chunk(document)
    assert [piece.heading for piece in pieces] == ["A; B", "C"]


def test_rows_of_a_table_stay_whole_and_name_their_columns() -> None:
    rows = "\n".join(f"| Part {n} | {n * 3} euros | in stock |" for n in range(40))
    document = markdown(f"# Prices\n\n| Part | Price | State |\n|---|---|---|\n{rows}\n")
    pieces = chunk(document, tokens=60)
    assert len(pieces) > 3
    assert pieces[0].heading == "Prices" and "| Part | Price | State |" in pieces[0].text
    for piece in pieces[1:]:
        assert piece.heading == "Prices | Part | Price | State"
        assert all(re.fullmatch(r"\| Part \d+ \| \d+ euros \| in stock \|", line) for line in piece.text.split("\n"))


def test_a_piece_of_a_wide_row_names_the_columns_that_stand_over_it() -> None:
    names = [f"name{i}" for i in range(40)]
    rows = [names, ["---"] * 40, *([f"v{row}x{i}" for i in range(40)] for row in range(3))]
    text = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    chunks = chunk(markdown(text), tokens=12, count=count_words)
    pieces = [one for one in chunks if re.search(r"v\dx", one.text)]
    assert len(pieces) > 6 and all(count_words(one.heading) <= 12 for one in pieces)
    for one in pieces:
        here = {int(number) for number in re.findall(r"v\dx(\d+)", one.text)}
        there = {int(number) for number in re.findall(r"name(\d+)", one.heading)}
        assert here <= there and len(there - here) <= 1, (one.heading, one.text)
    # A short row under long names: as many names as a passage may have tokens.
    text = f"| {' | '.join(names)} |\n|{' --- |' * 40}\n" + f"|{' |' * 40}\n" * 5
    assert all(count_words(one.heading) <= 12 for one in chunk(markdown(text), tokens=12, count=count_words))


def test_sentences_are_not_torn_unless_they_are_too_long() -> None:
    document = markdown("退货须在三十天之内提出申请并附上发票。" * 30)
    for piece in chunk(document, tokens=50):
        assert piece.text.endswith("。") and piece.text.startswith("退货")
    long = markdown("清单包括" + "螺丝，" * 200)
    assert all(piece.text.endswith("，") for piece in chunk(long, tokens=50))


def test_pages_and_ids() -> None:
    text = "First page here. " * 10 + "Second page here. " * 10
    document = markdown(text, pages=(Page(1, 0, 170), Page(2, 170, len(text.strip()))))
    pieces = chunk(document, tokens=15)
    assert {piece.page for piece in pieces} == {1, 2}
    for piece in pieces:
        assert piece.page == (1 if piece.start < 170 else 2)
        assert piece.id == f"guide.md@{document.revision[:12]}#{piece.start}-{piece.end}"


def test_bad_numbers_are_refused() -> None:
    for numbers in ({"tokens": 0}, {"tokens": 10, "overlap": 10}, {"overlap": -1}):
        with pytest.raises(ValueError, match="tokens"):
            chunk(markdown("text"), **numbers)


def test_an_empty_text_has_no_chunks() -> None:
    assert chunk(Document("a", " \n ", "a", sha256(" \n "))) == []


@pytest.mark.parametrize(
    "text",
    [
        "." * 60_000,
        "!" * 30_000 + '"' * 30_000,
        "e.g. " * 12_000,
        "保" * 60_000,
        "| a |\n" * 10_000,
        "\n" * 60_000 + "x",
        "- a\n" * 15_000,
    ],
)
def test_time_grows_with_the_length_only(text: str) -> None:
    started = time.perf_counter()
    chunk(Document("a", text, "a", sha256(text)))
    assert time.perf_counter() - started < 8
