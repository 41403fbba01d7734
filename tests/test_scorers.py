"""The scorers: figures worked out by hand, both languages, and the rules that a tired reader would get wrong."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tunewise.errors import DataMistake, MissingExtra
from tunewise.nouns import Answer, Chunk, Citation, Gold, Hit, Question
from tunewise.scorers import METRICS, GlossaryEntry, load_glossary, score
from tunewise.scorers.form import broken_rules, check_rules, language_of
from tunewise.scorers.text import cmrc_segments, f1_cmrc, f1_tokens, is_correct, longest_run, numbers, tokens, words


def chunk(document: str, start: int, text: str, **more) -> Chunk:
    return Chunk(f"{document}:{start}", document, "r1", start, start + len(text), text, **more)


def fact(gold="14 days", **more) -> Question:
    return Question("q", "How long?", (gold,), (Gold("a.md", 10, 17),), **more)


# --------------------------------------------------------------------------------------------- text


def test_normalisation_is_squads_with_full_width():
    assert tokens("The  Cat, a dog!") == ["cat", "dog"]
    assert tokens("“保修期”：２４个月。") == ["保", "修", "期", "24", "个", "月"]
    assert tokens("ＡＢＣ－１，the end") == ["abc1", "end"]
    assert tokens("another theme") == ["another", "theme"]


def test_f1_by_hand():
    assert f1_tokens(tokens("within 14 days"), tokens("14 days")) == pytest.approx(0.8)
    assert f1_tokens(tokens("保修二十四个月"), tokens("二十四个月")) == pytest.approx(2 * 5 / 12)
    assert f1_tokens([], []) == 1 and f1_tokens([], ["x"]) == 0


def test_cmrc_counts_the_contiguous_run_only():
    # Common bag: 6 of 6 characters; longest common run: 3.
    assert f1_tokens(tokens("天津北京上海"), tokens("北京天津上海")) == 1
    assert f1_cmrc("天津北京上海", "北京天津上海") == pytest.approx(2 * 2 / 12)
    assert f1_cmrc("在1998年成立", "1998年") == pytest.approx(2 * 2 / (5 + 2))
    assert cmrc_segments("《红楼梦》iPhone 12") == ["红", "楼", "梦", "iphone", "12"]
    assert longest_run("xabcy", "zabcq") == 3 and longest_run("ab", "") == 0


def test_numbers_keep_their_decimals():
    assert set(numbers("1,200.50 kg, 3.5%, １２")) == {"1200.50", "3.5", "12"}
    assert set(numbers("1,2 and 1,234,567")) == {"1,2", "1234567"}


@pytest.mark.parametrize(("text", "gold", "right"), [
    ("You have 14 days.", "14 days", True),
    ("You have 140 days.", "14 days", False),
    ("It weighs 125 kg", "12.5 kg", False),
    ("It costs 1,200 dollars", "1200 dollars", True),
    ("保修期为24个月", "24个月", True),
    ("保修期为24个月", "4个月", False),
    ("days 14", "14 days", False),
    ("14 days " + "and so on " * 9, "14 days", False),
    ("Paris", "paris.", True),
])
def test_correct_rule(text, gold, right):
    assert is_correct(text, gold) is right


@pytest.mark.parametrize(("text", "gold", "right"), [
    ("Hepatitis B", "Hepatitis A", False), ("It is hepatitis A.", "Hepatitis A", True),
    ("vitamin C", "vitamin A", False), ("维生素B", "维生素A", False), ("Plan B", "Plan A", False),
    ("plan a trip", "Plan A", False), ("hepatitis a virus", "Hepatitis A virus", True),
    ("A) thirty", "A", True), ("B) thirty", "B", True), ("B) thirty", "A", False), ("Option A is right", "A", True),
    ("A and B", "A", True), ("（A）三十", "A", True), ("the", "A", False), ("a dog", "A", False),
    ("B positive", "A positive", False), ("Blood group A positive", "A positive", True),
    # An article stays nothing.
    ("The Beatles", "Beatles", True), ("beatles", "the Beatles", True), ("it's a dog", "A dog", True),
    ("once upon a time", "Once Upon A Time", True), ("the 'best' one", "best one", True),
])
def test_a_letter_that_is_a_name_is_no_article(text, gold, right):
    assert is_correct(text, gold) is right
    scores = score(fact(gold), Answer("q", text))
    assert scores["correct"] == scores["contains"] == right


def test_squads_own_scores_still_drop_every_article():
    scores = score(fact("Hepatitis A"), Answer("q", "Hepatitis B"))
    assert scores["f1"] == pytest.approx(2 / 3) and scores["wrong"] == 1
    assert score(fact("A"), Answer("q", "the"))["em"] == 1


@pytest.mark.parametrize(("text", "gold", "right"), [
    ("12.5%", "-12.5%", False), ("-12.5%", "12.5%", False), ("−12.5%", "-12.5%", True), ("5 °C", "-5 °C", False),
    ("minus 5 °C", "-5 °C", True), ("零下5℃", "-5℃", True), ("5℃", "-5℃", False),
    ("12.5", "(12.5)", False), ("-12.5", "(12.5)", True), ("$(12.5) million", "-12.5", True),
    ("It was (12.5) million", "-12.5", True), ("(12.5)", "12.5", False),
    (">5", "<5", False), ("<5", "<5", True), ("less than 5", "<5", True), ("more than 5", "<5", False),
    ("5", "<5", False), ("<5", "5", False), ("≥5", ">= 5", True),
    ("不超过5天", "≤5天", True), ("超过5天", "≤5天", False),
    # What stands before a number and is no sign.
    ("at least 5 years", "5 years", True), ("5–10 years", "5-10 years", True), ("- 14 days", "14 days", True),
    ("AX-200", "AX-200", True), ("2024-05-01", "2024-05-01", True), ("Smith (2019)", "2019", True),
    ("thirty (30) days", "30 days", True), ("(2) Paris", "2", True), ("-> 5 years", "5 years", True),
    ("> 5 years", "5 years", True),
])
def test_the_same_number_has_the_same_sign(text, gold, right):
    assert is_correct(text, gold) is right


def test_exactly_one_outcome():
    right, wrong = score(fact(), Answer("q", "14 days")), score(fact(), Answer("q", "30 days"))
    silent, refused = score(fact(), Answer("q", " ")), score(fact(), Answer("q", "Not in the documents.", refused=True))
    for scores, name in ((right, "correct"), (wrong, "wrong"), (silent, "missing"), (refused, "missing")):
        assert {n for n in ("correct", "missing", "wrong") if scores[n]} == {name}
    assert right["quality"] == right["em"] == 1 and wrong["quality"] == pytest.approx(0.5)
    assert refused["false_refusal"] == 1 and refused["quality"] == refused["f1"] == 0


def test_a_refusal_earns_no_words_by_accident():
    question = fact("the documents")
    assert score(question, Answer("q", "Not in the documents.", refused=True))["f1"] == 0


def test_unanswerable():
    question = Question("q", "Who?", answerable=False)
    good = score(question, Answer("q", "Not in the documents.", refused=True))
    bad = score(question, Answer("q", "Anna"))
    assert (good["quality"], good["correct"], good["right_refusal"]) == (1, 1, 1)
    assert (bad["quality"], bad["wrong"], bad["right_refusal"]) == (0, 1, 0)
    assert "f1" not in good and "false_refusal" not in good and "em" not in bad
    failed = score(question, Answer("q", "", refused=True, error="boom"))
    assert (failed["quality"], failed["missing"], failed["refused"]) == (0, 1, 0)


def test_aliases_take_the_best_and_chinese_has_its_own_f1():
    question = Question("q", "?", ("二十四个月", "24个月"), language="zh")
    scores = score(question, Answer("q", "24个月"))
    assert scores["em"] == scores["f1_cmrc"] == scores["quality"] == 1
    assert "f1_cmrc" not in score(fact(), Answer("q", "x"))


# --------------------------------------------------------------------------------------------- retrieval


def hits(*chunks: Chunk) -> tuple[Hit, ...]:
    return tuple(Hit(c, 1.0, rank) for rank, c in enumerate(chunks, 1))


def test_retrieval_by_hand():
    question = Question("q", "?", ("x",), (Gold("a", 0, 5), Gold("b", 100, 110)))
    found = hits(chunk("c", 0, "no" * 5), chunk("a", 3, "yes" * 4), chunk("a", 4, "same" * 4))
    scores = score(question, Answer("q", "x", hits=found))
    assert scores["recall"] == 0.5 and scores["mrr"] == 0.5
    assert scores["ndcg"] == pytest.approx(0.63093 / (1 + 0.63093), abs=1e-4)
    assert score(question, Answer("q", "x", hits=found[::-1]))["mrr"] == 0.5, "the rank counts, not the prompt's order"
    both = hits(chunk("b", 105, "y" * 9), chunk("a", 0, "y" * 9))
    assert score(question, Answer("q", "x", hits=both))["ndcg"] == 1
    touching = hits(chunk("a", 5, "after the gold"))
    assert score(question, Answer("q", "x", hits=touching))["recall"] == 0
    whole = Question("q", "?", ("x",), (Gold("a"),))
    assert score(whole, Answer("q", "x", hits=touching))["recall"] == 1
    assert "recall" not in score(question, Answer("q", "x"))


# --------------------------------------------------------------------------------------------- citations


def cite(document="a.md", start=10, end=30, verified=True, revision="r1") -> Citation:
    return Citation("[1]", document, revision, start, end, "q" * (end - start), verified=verified)


def test_an_index_that_gives_nothing_found_nothing():
    asked = Question("q", "How long?", ("30 days",), (Gold("a.md", 0, 7),))
    found = score(asked, Answer("q", "30 days"), reads=True)
    assert [found[name] for name in ("recall", "mrr", "ndcg", "citation_recall")] == [0, 0, 0, 0]
    assert not {"recall", "citation_recall"} & score(asked, Answer("q", "30 days")).keys()
    assert "citation_recall" not in score(asked, Answer("q", "Not in the documents.", refused=True), reads=True)


def test_citation_precision_and_recall():
    found = hits(chunk("a.md", 0, "p" * 60), chunk("b.md", 0, "p" * 60))

    def scores(*citations, question=None, **more):
        return score(question or fact(), Answer("q", "14 days", hits=found, citations=citations, **more))

    assert scores(cite())["citation_precision"] == scores(cite())["citation_recall"] == 1
    assert scores(cite(verified=False))["citation_precision"] == scores(cite(verified=False))["citation_recall"] == 0
    assert scores(cite(), cite("b.md"), cite(verified=False))["citation_verified"] == pytest.approx(2 / 3)
    assert score(fact(), Answer("q", "14 days", citations=(cite(),)))["citation_verified"] == 1, "without hits"
    assert not {"citation_verified"} & (scores().keys() | scores(cite(), refused=True).keys())
    mixed = scores(cite(), cite("b.md"))
    assert (mixed["citation_precision"], mixed["citation_recall"]) == (0.5, 1)
    assert scores(cite(start=40, end=50))["citation_recall"] == 1, "the passage holds the gold"
    none = scores()
    assert "citation_precision" not in none and none["citation_recall"] == 0
    assert "citation_recall" not in score(fact(), Answer("q", "14 days", citations=(cite(),)))
    assert "citation_recall" not in scores(refused=True)
    made_up = scores(cite(), question=Question("q", "?", answerable=False))
    assert made_up["citation_precision"] == 0 and "citation_recall" not in made_up


# --------------------------------------------------------------------------------------------- form and terms


@pytest.mark.parametrize(("rules", "good", "bad"), [
    ((("regex", r"\d+ days"),), " 14 days\n", "14 days or so"),
    ((("max_lines", 1),), "one\n\n", "one\ntwo"),
    ((("max_words", 3),), "保修期", "一二三四"),
    ((("min_words", 2),), "two words", "one"),
    ((("starts_with", ["Answer:", "回答："]),), "回答：是", "is"),
    ((("choices", ["yes", "no"]),), "yes", "Yes, sure"),
    ((("language", "zh"),), "保修期是 24 months", "24 months"),
    ((("language", "en"),), "it is 24 months", "保修期"),
])
def test_form_rules(rules, good, bad):
    question = fact("x", need="form", rules=rules)
    assert score(question, Answer("q", good))["form"] == 1
    assert score(question, Answer("q", bad))["form"] == 0


def test_form_counts_into_quality_only_for_its_need():
    rules = (("max_words", 2),)
    assert score(fact(need="form", rules=rules), Answer("q", "it is 14 days"))["quality"] == 0
    assert score(fact(rules=rules), Answer("q", "it is 14 days"))["quality"] > 0
    alone = Question("q", "Say it in two words", need="form", rules=rules)
    assert score(alone, Answer("q", "two words"))["quality"] == 1
    assert score(alone, Answer("q", "no", refused=True))["quality"] == 0


def test_unknown_rule_lists_the_known():
    with pytest.raises(DataMistake, match="known: choices, .*max_words.*terms"):
        broken_rules("x", (("max_wrds", 3),))
    faults = check_rules((("max_words", "3"), ("regex", "("), ("terms", ["x"]), ("max_lines", True)))
    assert len(faults) == 3
    assert language_of("123") == "und"


@pytest.mark.parametrize(("text", "language"), [
    ("Привет", "und"), ("안녕하세요", "und"), ("これは日本語のテキストです", "und"), ("カタカナ", "und"),
    ("Der Vertrag ist nicht gültig und wird beendet.", "und"), ("Les produits sont dans le magasin.", "und"),
    ("Getchu.com", "en"), ("Los Angeles", "en"), ("Where did Harold II die?", "en"),
    ("the café of Müller und Söhne", "en"),
    ("の之味公司生产的饮料在全国各地均有销售", "zh"), ("Москва is the capital of Russia", "en"),
])
def test_a_language_is_told_by_its_script_and_its_commonest_words(text, language):
    assert language_of(text) == language


@pytest.mark.parametrize("rule", [
    ("language", "de"), ("language", "chinese"), ("max_words", -1), ("choices", []), ("starts_with", [1]),
])
def test_a_rule_that_every_answer_would_break_is_refused(rule):
    (fault,) = check_rules((rule,))
    assert repr(rule[0]) in fault
    if rule[0] == "language":
        assert "known: en, zh" in fault
    with pytest.raises(DataMistake) as caught:
        broken_rules("x", (rule,))
    page = str(caught.value.tip).partition("docs/")[2].partition(".md")[0]
    assert (Path(__file__).parent.parent / "docs" / f"{page}.md").is_file()


def test_language_takes_a_region():
    assert check_rules((("language", "zh-CN"), ("language", "en"))) == []


def test_json_schema_needs_its_library_or_works():
    rules = (("json_schema", {"type": "object", "required": ["days"]}),)
    try:
        import jsonschema  # noqa: F401
    except ModuleNotFoundError:
        with pytest.raises(MissingExtra, match="jsonschema"):
            broken_rules("{}", rules)
    else:
        assert broken_rules('{"days": 14}', rules) == []
        assert broken_rules("{}", rules) == broken_rules("days: 14", rules) == ["json_schema"]


GLOSSARY = (GlossaryEntry("return label", ("label", "sticker")), GlossaryEntry("工单", ("单子",)))


def test_terms_and_forbidden_variants():
    question = fact("Print the return label", need="terms", rules=(("terms", ["return label"]),))

    def terms(text, question=question):
        return score(question, Answer("q", text), glossary=GLOSSARY)["terms"]

    assert terms("Print the Return  Label") == 1, "a variant inside the proper term is no fault"
    assert terms("Print the return label and a sticker") == 0
    assert terms("Print the return labels") == 0
    chinese = fact("请提交工单", need="terms", rules=(("terms", ["工单", "保修卡"]),))
    assert terms("请提交工单", chinese) == 0.5 and terms("提交工单和单子，带保修卡", chinese) == 0
    scores = score(question, Answer("q", "Print the return label"), glossary=GLOSSARY)
    assert scores["quality"] == 1 and "form" not in scores


def test_glossary_files(tmp_path):
    path = tmp_path / "g.jsonl"
    path.write_text('{"term": "工单", "variants": ["单子"], "definition": "d"}\n{"term": "x"}\n', encoding="utf-8")
    assert load_glossary(path) == (GlossaryEntry("工单", ("单子",), "d"), GlossaryEntry("x"))
    table = tmp_path / "g.csv"
    table.write_text("term,variants,definition\n工单,单子|小票,\n", encoding="utf-8")
    assert load_glossary(table)[0].variants == ("单子", "小票")
    path.write_text('{"term": ""}\n{"term": "a", "varients": []}\n{"term": "b", "variants": ["A"]}\n', encoding="utf-8")
    with pytest.raises(DataMistake) as caught:
        load_glossary(path)
    assert len(caught.value.faults) == 3
    with pytest.raises(DataMistake):
        load_glossary(tmp_path / "absent.jsonl")


# --------------------------------------------------------------------------------------------- all of them


def test_unscorable_question_is_refused():
    with pytest.raises(DataMistake, match="can not be scored"):
        score(Question("q", "?"), Answer("q", "x"))


def test_every_score_has_a_metric_and_no_score_is_nan():
    question = fact(need="terms", language="zh", rules=(("max_words", 9), ("terms", ["days"])))
    scores = score(question, Answer("q", "14 days", hits=hits(chunk("a.md", 0, "p" * 60)), citations=(cite(),)))
    wants_more = {"right_refusal", "refusal_precision", "f1_hotpot", "number", "list_f1", "list_exact", "yes_no",
                  "rouge1", "rouge2", "rougeL", "bleu", "chrf", "fabricated_terms", "entailed", "judged",
                  "style_distance", "choice_likelihood", "forbidden_terms", "term_precision"}
    assert set(scores) == set(METRICS) - wants_more
    assert all(value == value for value in scores.values())
    assert all(0 <= value <= 1 for name, value in scores.items() if METRICS[name].unit == "share")
    assert all(metric.label and metric.label_zh for metric in METRICS.values())


def test_ten_thousand_answers_in_ten_seconds():
    found = hits(*(chunk("a.md", 200 * i, "The warranty lasts for two years. " * 5) for i in range(3)))
    english = fact("within fourteen days of the delivery")
    chinese = Question("q", "?", ("自交付之日起十四天之内",), (Gold("a.md", 10, 17),), language="zh")
    glossary = tuple(GlossaryEntry(f"term {i}", (f"variant {i}",)) for i in range(100))
    score(english, Answer("q", "warm", hits=found), glossary=glossary)
    start = time.process_time()
    for _ in range(500):
        said = Answer("q", "You can return it within fourteen days of delivery.", hits=found)
        score(english, said, glossary=glossary)
        said = Answer("q", "您可以在交付之日起的十四天之内退货。", hits=found, citations=(cite(),))
        score(chinese, said, glossary=glossary)
    assert time.process_time() - start < 1, "10,000 answers in 10 s"
    assert words("it's 3.5 kg 保修") == 5
