"""Citations: every rung of the ladder, in both languages, and offsets that hold in the document."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunewise.answers import _renumber
from tunewise.citations import pieces, strip_markers, unsupported, verify
from tunewise.nouns import Chunk, Hit

DOCUMENT = (
    "Warranty. The AX-200/B pump has a warranty of 24 months. Error E17 means a blocked filter, e.g. by sand.\n"
    "Opened bottles are not refundable. A refund of 1,200 euros takes 14-30 days.\n"
    "本公司产品的保修期为二十四个月，自2024年3月15日起计算。已拆封的商品不可退货。电压为24V。"
)


def hit(piece: str, rank: int = 1, document: str = DOCUMENT) -> Hit:
    start = document.index(piece)
    return Hit(Chunk(f"c{start}", "manual.md", "r7", start, start + len(piece), piece, page=3), 1.0, rank)


ENGLISH = hit(DOCUMENT[: DOCUMENT.index("Opened")].rstrip())
REFUNDS = hit(DOCUMENT[DOCUMENT.index("Opened") : DOCUMENT.index("本公司")].rstrip(), 2)
CHINESE = hit(DOCUMENT[DOCUMENT.index("本公司") :], 3)
HITS = [ENGLISH, REFUNDS, CHINESE]


@pytest.mark.parametrize(("raw", "text", "markers"), [
    ("24 months [1].", "24 months.", ["[1]"]),
    ("24 months[1,2]", "24 months", ["[1]", "[2]"]),
    ("24 months [1] [2].", "24 months.", ["[1]", "[2]"]),
    ("24 months[1][2]", "24 months", ["[1]", "[2]"]),
    ("保修期为二十四个月【3】。", "保修期为二十四个月。", ["[3]"]),
    ("保修期为二十四个月［３］", "保修期为二十四个月", ["[3]"]),
    ("保修期[１、3]", "保修期", ["[1]", "[3]"]),
    ("In [2024] it began", "In [2024] it began", []),
    ("[x] and []", "[x] and []", []),
])
def test_markers(raw, text, markers):
    said, citations = verify(raw, HITS)
    assert said == text and [citation.marker for citation in citations] == markers


def test_a_good_citation():
    said, (citation,) = verify("The warranty is 24 months [1].", HITS)
    assert said == "The warranty is 24 months."
    assert citation.verified and citation.how == "marker" and citation.page == 3 and citation.reason == ""
    assert citation.quote == "The AX-200/B pump has a warranty of 24 months."
    assert DOCUMENT[citation.start : citation.end] == citation.quote and citation.revision == "r7"


def test_the_quote_is_the_best_sentence_and_keeps_abbreviations_whole():
    _, (citation,) = verify("E17: blocked filter [1]", HITS)
    assert citation.quote == "Error E17 means a blocked filter, e.g. by sand." and citation.verified
    _, (citation,) = verify("Refund takes 30 days【2】", HITS)
    assert citation.quote == "A refund of 1,200 euros takes 14-30 days." and citation.verified


def test_a_number_that_was_not_in_the_prompt():
    _, (citation,) = verify("24 months [4]", HITS)
    assert not citation.verified and "no passage 4" in citation.reason and citation.quote == ""
    _, (citation,) = verify("24 months [0]", HITS)
    assert not citation.verified
    _, (citation,) = verify("24 months [1]", [])
    assert not citation.verified and "none" in citation.reason


@pytest.mark.parametrize("claim", [
    "12 months", "240 months", "2.4 months", "a warranty of 24 weeks", "The AX-200/C pump", "The AX-200 pump",
    "Error E1", "Error 17", "not a warranty of 24 months", "24 months and a free pony", "Is it so?", "yes",
])
def test_english_claims_that_the_passage_does_not_support(claim):
    assert unsupported(claim, ENGLISH.chunk.text), claim
    assert not verify(f"{claim} [1]", HITS)[1][0].verified


@pytest.mark.parametrize("claim", [
    "24 months", "The AX-200/B has 24 months of warranty", "error e17", "A BLOCKED FILTER", "２４ months",
    "blocked by sand",
])
def test_english_claims_that_it_supports(claim):
    assert unsupported(claim, ENGLISH.chunk.text) == ""


@pytest.mark.parametrize(("claim", "good"), [
    ("保修期为二十四个月", True), ("产品保修期是二十四个月", True), ("保修期为三十四个月", False),
    ("保修期为四个月", False), ("自2024年3月15日起", True), ("自2024年3月16日起", False),
    ("已拆封的商品不可退货", True), ("保修期未满", False), ("我们喜欢吃苹果", False),
    ("24 V", True), ("24V", True), ("12V", False),
    # A negation that the passage has, but about something else.
    ("产品不可拆封", False), ("保修期不可计算", False), ("已拆封的商品可以退货", False), ("商品可退货", False),
    # A name that the passage does not have, in words that it has.
    ("王建国的产品保修期为二十四个月", False), ("本公司产品的保修期为二十四个月", True),
])
def test_chinese_claims(claim, good):
    assert (unsupported(claim, CHINESE.chunk.text) == "") is good


@pytest.mark.parametrize(("claim", "passage"), [
    ("Opened bottles are refundable", "Opened bottles are not refundable."),
    ("Opened bottles aren't refundable", "Opened bottles are refundable."),
    ("It covers wear of belts", "It does not cover wear of belts."), ("Open the lid", "Never open the lid."),
    ("It costs more than 20 euros", "It costs no more than 20 euros."),
    ("It can be returned", "It cannot be returned."),
    ("基准液可以退货", "基准液开封后不予退货。"), ("仓库员工可以休年假", "仓库员工在盘点周不得休年假。"),
    ("接受无理由退货", "蓝标件不接受无理由退货。"), ("返程前9天内核销", "随行款须在返程后9天内核销。"),
    ("出任华南分公司总经理", "王建国出任华东分公司总经理。"), ("路程超过5小时", "路程不足5小时的乘坐二等座。"),
])
def test_the_opposite_in_the_passages_own_words_is_refused(claim, passage):
    assert unsupported(claim, passage)


@pytest.mark.parametrize(("claim", "passage"), [
    ("Opened bottles are not refundable", "Opened bottles are not refundable."),
    ("Sealed bottles are refundable", "Opened bottles are not refundable. Sealed bottles are refundable."),
    ("It is refundable", "It is not only refundable, it is also free."),
    ("Room 5 is open", "Not room 4, room 5 is open."),
    ("不得再次申请", "旧款未核销时不得再次申请。"), ("可以退货，也可以换货", "不仅可以退货，也可以换货。"),
    ("返程后9天内核销", "出差前可以申请随行款。随行款须在返程后9天内核销。"),
])
def test_a_negation_about_something_else_is_none(claim, passage):
    assert unsupported(claim, passage) == ""


def test_markers_of_other_shapes_are_seen_and_code_is_left_alone():
    said, citations = verify("The warranty is 24 months [100].", HITS)
    assert said == "The warranty is 24 months." and [(c.marker, c.verified) for c in citations] == [("[100]", False)]
    assert [c.marker for c in verify("24 months [1-3]", HITS)[1]] == ["[1]", "[2]", "[3]"]
    assert [(c.marker, c.verified) for c in verify("24 months [^1]", HITS)[1]] == [("[1]", True)]
    assert len(verify("24 months [1-900]", HITS)[1]) == 2
    assert verify("Call `argv[1]` or ```\nrow[2] = 1\n```", HITS)[1] == ()
    assert strip_markers("- one [1]\n    - two  wide\n[2] three") == "- one\n    - two  wide\nthree"
    assert strip_markers("Take `argv[1]` [2] now.") == "Take `argv[1]` now."


def test_numbers_in_other_dress():
    text = REFUNDS.chunk.text
    assert unsupported("1200 euros", text) == "" and unsupported("14–30 days", text) == ""
    assert unsupported("1,20 euros", text) and unsupported("30 euros", "It costs 3 or 0 euros")


def test_each_claim_is_checked_with_its_own_marker():
    said, citations = verify("The warranty is 24 months [1]. Opened bottles are not refundable [2].", HITS)
    assert [c.verified for c in citations] == [True, True]
    _, citations = verify("The warranty is 24 months [2]. Opened bottles are not refundable [1].", HITS)
    assert [c.verified for c in citations] == [False, False], "no other passage is tried"
    _, citations = verify("24 months [1] and a free pony.", HITS)
    assert [c.verified for c in citations] == [False], "words behind the last marker are checked too"
    _, citations = verify("[1] 24 months", HITS)
    assert [c.verified for c in citations] == [True]
    _, citations = verify("[1] 24 months [2] 1,200 euros", HITS)
    assert [(c.marker, c.verified) for c in citations] == [("[1]", True), ("[2]", False)]
    _, citations = verify("24 months [1]. [2]", HITS)
    assert [c.verified for c in citations] == [True, False]


# ------------------------------------------------------------------------------------------ located


def test_without_marker_the_best_ranked_verbatim_passage():
    twice = [hit("Warranty. The AX-200/B pump has a warranty of 24 months.", 2), hit("a warranty of 24 months.", 1)]
    said, (citation,) = verify("24 Months.", twice)
    assert said == "24 Months." and citation.how == "located" and citation.verified
    assert citation.marker == "[2]" and citation.quote == "a warranty of 24 months."
    assert DOCUMENT[citation.start : citation.end] == citation.quote
    _, (citation,) = verify("二十四个月", HITS)
    assert citation.quote == "本公司产品的保修期为二十四个月，自2024年3月15日起计算。"


@pytest.mark.parametrize("raw", [
    "4 months", "24 month", "the", "a", "保", "", "24 years", "refundable", "可退货", "200", "17", "2 and 4",
    "Not in the documents.", "文档中没有。",
])
def test_without_marker_nothing_is_made_up(raw):
    assert verify(raw, HITS)[1] == ()


def test_an_answer_over_two_sentences_and_lines():
    _, (citation,) = verify("by sand. Opened bottles are not refundable", [hit(DOCUMENT[: DOCUMENT.index("本公司")])])
    assert citation.quote.startswith("Error E17") and citation.quote.endswith("refundable.")


# ------------------------------------------------------------------------------------------ always


@settings(max_examples=200, deadline=None)
@given(
    st.text(alphabet="ab1２ .。[]【】,，不保修期\n-[1][2]", max_size=40),
    st.text(alphabet="ab12 .。不保修期\n-", min_size=1, max_size=40),
)
def test_whatever_is_said(raw, passage):
    document = "前言。" + passage
    chunk = Chunk("c", "d", "r", 3, 3 + len(passage), passage)
    if not passage.strip():
        return
    text, citations = verify(raw, [Hit(chunk, 1.0, 1)])
    assert strip_markers(text) == text or "[" in raw or "【" in raw
    for citation in citations:
        assert citation.verified == (not citation.reason)
        if citation.document:
            assert document[citation.start : citation.end] == citation.quote != ""


def test_a_long_answer_with_many_markers_is_read_in_time_that_grows_with_its_length():
    raw = "The office opens at nine [1]. " * 2000
    assert len(pieces(raw)) == 2001 and len(verify("24 months [1]. " * 2000, HITS)[1]) == 1


def test_markers_of_every_shape_are_renumbered():
    assert _renumber("a 【1】, [1, 2] [^1] ［１］ `x[1]`", 2, 5) == "a [3], [3, 7] [3] [3] `x[1]`"
