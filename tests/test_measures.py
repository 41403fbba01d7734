"""The finer measures: values, overlap, harm, groundedness, style and terms, in both languages, worked out by hand."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from grounding_labels import figures, labelled
from sample_comparison import sample
from tunewise.errors import DataMistake, ModelMistake
from tunewise.nouns import Answer, Chunk, Estimate, Gold, Hit, Question
from tunewise.questions import load_questions, question_json, save_questions
from tunewise.reports.columns import columns
from tunewise.reports.measures import PLACES
from tunewise.scorers import METRICS, GlossaryEntry, score
from tunewise.scorers.form import check_rules, grade, sentence_words
from tunewise.scorers.grounding import THRESHOLD, load_nli, support
from tunewise.scorers.harm import names_in, unknown_names, unknown_numbers
from tunewise.scorers.overlap import longest_subsequence, rouge_l, rouge_n, rouge_tokens
from tunewise.scorers.quantities import chinese_number, quantities
from tunewise.scorers.style import style_distance
from tunewise.scorers.text import em_cmrc, f1_hotpot
from tunewise.scorers.values import decision, items_of, list_scores


def ask(*answers: str, rules=None, **more) -> Question:
    return Question("q", more.pop("question", "What is it?"), answers,
                    rules=tuple(sorted((rules or {}).items())), **more)


def said(text: str, *passages: str, **more) -> Answer:
    hits = tuple(Hit(Chunk(f"c{i}", "a.md", "r", 0, len(p), p), 1.0, i) for i, p in enumerate(passages, 1))
    return Answer("q", text, hits=hits, **more)


# ------------------------------------------------------------------------------------------------ values


@pytest.mark.parametrize(("text", "value"), [
    ("二十四", 24), ("一百零五", 105), ("三万五千", 35000), ("二〇二四", 2024), ("十", 10), ("两百", 200),
    ("三点五", 3.5),
    ("一亿二千万", 120_000_000),
])
def test_chinese_numbers(text, value):
    assert chinese_number(text) == value


@pytest.mark.parametrize(("text", "found"), [
    ("It lasts 24 months", [(24, "months")]), ("two years", [(24, "months")]), ("保修二十四个月", [(24, "months")]),
    ("1,200.50 kg", [(1200500, "mass")]), ("$1.2 million", [(1_200_000, "dollars")]), ("3.5 %", [(3.5, "share")]),
    ("百分之五", [(5, "share")]), ("(1,234)", [(-1234, "")]), ("-12.6", [(-12.6, "")]), ("AX-200", [(200, "")]),
    ("twenty-five days", [(25 * 86400, "time")]), ("三万元", [(30000, "yuan")]), ("十分重要，一般情况", []),
    ("百分之三点五", [(3.5, "share")]), ("百分之二点十五", [(2, "share"), (15, "")]),
    ("百分之三点五点", [(3.5, "share")]),
    ("１２天", [(12 * 86400, "time")]), ("12 per cent", [(12, "share")]), ("no number", []), ("5 m", [(5, "length")]),
    # Scales as letters, beside a currency only.
    ("$3M", [(3e6, "dollars")]), ("USD 5m", [(5e6, "dollars")]), ("5m USD", [(5e6, "dollars")]),
    ("$3 k", [(3000, "dollars")]), ("US$5bn", [(5e9, "dollars")]), ("£2b", [(2e9, "pounds")]), ("5m", [(5, "length")]),
    # Scales in a row.
    ("3万5千元", [(35000, "yuan")]), ("3亿5000万", [(3.5e8, "")]), ("1万2000元", [(12000, "yuan")]),
    ("3万零500", [(30500, "")]), ("3万4万", [(30000, ""), (40000, "")]),
    ("two hundred and fifty dollars", [(250, "dollars")]), ("seven eight", [(7, ""), (8, "")]),
    # Said again in brackets.
    ("thirty (30) days", [(30 * 86400, "time")]), ("三十（30）天", [(30 * 86400, "time")]),
    ("30 (thirty) days", [(30 * 86400, "time")]), ("thirty (20) days", [(30, ""), (20 * 86400, "time")]),
    # Brackets of a balance sheet, and others.
    ("(12.55) million", [(-12_550_000, "")]), ("$(12.5)", [(-12.5, "dollars")]), ("(21)%", [(-21, "share")]),
    ("| (56) | (58%) |", [(-56, ""), (-58, "share")]), ("Smith (2019)", [(2019, "")]),
    ("(1,234) kg", [(1234e3, "mass")]), ("(1) First", [(1, "")]), ("(94 pounds)", [(-94, "pounds")]),
    ("one (94 pounds) of", [(1, ""), (94, "pounds")]),
    ("1995年－2002年", [(23940, "months"), (24024, "months")]), ("(12) bps", [(-0.12, "share")]),
    ("−5 °C", [(-5, "celsius")]), ("温度为-5℃", [(-5, "celsius")]),
    ("零下5摄氏度", [(-5, "celsius")]), ("- 5 items", [(5, "")]), ("2–3", [(2, ""), (3, "")]),
])
def test_quantities(text, found):
    assert [(one.value, one.dimension) for one in quantities(text)] == [(pytest.approx(v), d) for v, d in found]


@pytest.mark.parametrize(("rule", "text", "right"), [
    ({"value": 12.5, "tolerance": 0.1, "unit": "kg"}, "about 12.45 kg", 1),
    ({"value": 12.5, "tolerance": 0.1, "unit": "kg"}, "12,450 g", 1),
    ({"value": 12.5, "tolerance": 0.1, "unit": "kg"}, "12.7 kg", 0),
    ({"value": 12.5, "tolerance": 0.1, "unit": "kg"}, "12.5 metres", 0),
    ({"value": 12.5, "unit": "kg"}, "12.5", 1),
    ({"value": 24, "unit": "months"}, "二年", 1),
    ({"value": 24, "unit": "months"}, "2", 0),
    ({"value": -12.6, "tolerance": "1%", "unit": "million"}, "(12.55) million", 1),
    ({"value": 100}, "1 or 2 or 3 or 100", 0),
    ({"value": 1496.5, "tolerance": 0.05, "unit": "million dollars"}, "$1,496.5", 1),
    ({"value": 1496.5, "tolerance": 0.05, "unit": "million dollars"}, "1.4965 billion", 1),
    ({"value": 1496.5, "tolerance": 0.05, "unit": "million dollars"}, "1,496.5 thousand", 0),
    ({"value": 3, "unit": "million dollars"}, "$3M", 1),
    ({"value": 3, "unit": "million dollars"}, "$3 bn", 0),
    ({"value": 35000, "unit": "yuan"}, "3万5千元", 1),
    (True, "it is two years", 1),
    (True, "it is 23 months", 0),
])
def test_number_rule(rule, text, right):
    question = ask("24 months", rules={"number": json.dumps(rule) if isinstance(rule, dict) else rule})
    scores = score(question, said(text))
    assert scores["number"] == scores["correct"] == scores["quality"] == right


def test_number_rule_refuses_nonsense():
    bad = {"value": "x", "tolerance": -1, "unit": "parsec", "valeu": 3}
    assert len(check_rules((("number", bad),))) == 4
    with pytest.raises(DataMistake, match="valeu"):
        score(ask("3", rules={"number": json.dumps({"valeu": 3})}), said("3"))
    with pytest.raises(DataMistake, match="holds no number"):
        score(ask("blue", rules={"number": True}), said("3"))


def test_lists():
    wanted = ["red", "blue|navy", "salt and pepper"]
    assert list_scores("Red, navy and salt and pepper", wanted) == {"list_f1": 1.0, "list_exact": 1.0}
    assert list_scores("- red\n- green", wanted)["list_f1"] == pytest.approx(2 * (1 / 3) * (1 / 2) / (1 / 3 + 1 / 2))
    assert list_scores("nothing", wanted)["list_f1"] == 0
    assert items_of("73,260, 57,768 and time-and-material") == ["73,260", "57,768", "time-and-material"]
    assert items_of("106.4, 70.5") == ["106.4", "70.5"]
    assert items_of("1. 红色\n2. 蓝色、绿色") == ["红色", "蓝色", "绿色"]
    scores = score(ask("红色、蓝色和绿色", rules={"list": True}, language="zh"), said("绿色，蓝色，红色"))
    assert scores["list_exact"] == scores["correct"] == scores["quality"] == 1
    assert score(ask("a, b", rules={"list": ("a", "b")}), said("b"))["correct"] == 0


@pytest.mark.parametrize(("text", "found"), [
    ("共和国、参与者及时", ["共和国", "参与者及时"]), ("涉及和谐、普及率", ["涉及和谐", "普及率"]),
    ("红色、蓝色和绿色", ["红色", "蓝色", "绿色"]), ("张三、李四以及王五", ["张三", "李四", "王五"]),
    ("可以及时退货、换货", ["可以及时退货", "换货"]), ("北京和上海与广州及深圳", ["北京", "上海", "广州", "深圳"]),
])
def test_chinese_lists_are_not_split_inside_words(text, found):
    assert items_of(text) == found


def test_a_wanted_item_says_what_belongs_together():
    assert items_of("：和平与发展 和稳定", ["和平与发展", "稳定"]) == ["和平与发展", "稳定"]
    assert items_of("共和国、和平与发展", ["和平与发展"]) == ["共和国", "和平与发展"]
    assert items_of("梨和苹果、茶", ["梨", "茶"]) == ["梨", "苹果", "茶"]
    assert items_of("和平与发展和稳定", ["和平与发展", "稳定"]) == ["和平与发展", "稳定"]
    for rule in (True, ("共和国", "和平与发展")):
        question = ask("共和国、和平与发展", rules={"list": rule}, language="zh")
        wrong = score(question, said("共产党、国家、公平、发展"))
        assert wrong["list_exact"] == wrong["correct"] == 0
        assert score(question, said("共和国、和平与发展"))["correct"] == 1
    assert list_scores("Vitamin B, iron", ["vitamin A", "iron"])["list_exact"] == 0


@pytest.mark.parametrize(("text", "found"), [
    ("Yes, it did.", "yes"), ("No.", "no"), ("The answer is: maybe", "maybe"), ("Nobody knows", ""), ("不是，", "no"),
    ("是的，可以", "yes"), ("可能会", "maybe"), ("It depends", ""), ("答案：否", "no"), ("不确定", "maybe"),
    # Words that open with a deciding sign and decide nothing.
    ("对不起，我找不到", ""), ("有效期为30天", ""), ("对于这个问题", ""), ("是否可以取决于经理", ""), ("不清楚", ""),
    ("不仅可以，而且免费", ""), ("能否退货", ""), ("无法退货", "no"), ("能退货", "yes"), ("无法确定", "maybe"),
])
def test_decisions(text, found):
    assert decision(text) == found


def test_yes_no_maybe_is_read_by_its_first_word():
    scores = score(ask("no"), said("No, the trial showed that it was not so, yes, even after all of the months."))
    assert scores["yes_no"] == scores["quality"] == scores["correct"] == 1 and scores["f1_hotpot"] == 0
    assert score(ask("no"), said("Yes and no"))["correct"] == 0
    assert "yes_no" not in score(ask("no, never"), said("no"))
    assert f1_hotpot("yes", "yes") == 1 and f1_hotpot("yes it is", "yes") == f1_hotpot("yes", "yes it is") == 0


def test_rules_with_objects_come_back_from_the_file(tmp_path):
    schema = {"type": "object", "required": ["days"]}
    line = {"id": "a", "question": "Q?", "answers": ["14"], "need": "form",
            "rules": {"json_schema": schema, "number": {"value": 14}, "list": ["a"], "regex": "a{3}"}}
    path = tmp_path / "q.jsonl"
    path.write_text(json.dumps(line), encoding="utf-8")
    (question,) = load_questions(path)
    assert check_rules(question.rules) == [] and question_json(question)["rules"]["json_schema"] == schema
    save_questions(path, [question])
    assert load_questions(path) == [question]
    (plain,) = [Question("b", "Q?", ("x",), need="form", rules=(("json_schema", json.dumps(schema)),))]
    assert score(plain, said('{"days": 3}'))["form"] == 1 and score(plain, said("{}"))["form"] == 0
    assert score(plain, said('```json\n{"days": 3}\n```'))["form"] == 1


# ------------------------------------------------------------------------------------------------ overlap


def test_rouge_by_hand():
    a, b = rouge_tokens("the cat sat on the mat"), rouge_tokens("the cat was on a mat")
    assert rouge_n(a, b, 1) == pytest.approx(8 / 12) and rouge_n(a, b, 2) == pytest.approx(2 / 10)
    assert longest_subsequence(a, b) == 4 and rouge_l(a, b) == pytest.approx(8 / 12)
    assert rouge_tokens("保修期24个月。") == ["保", "修", "期", "24", "个", "月"]


def test_overlap_is_right_for_chinese_and_only_for_long_answers():
    text = "自交付之日起十四天内可以退货"
    scores = score(ask(text, language="zh"), said(text))
    assert all(scores[name] == pytest.approx(1) for name in ("rouge1", "rouge2", "rougeL", "bleu", "chrf"))
    other = score(ask(text, language="zh"), said("本店概不退货"))
    assert 0 < other["rouge1"] < 0.4 and other["chrf"] < 0.4
    assert "bleu" not in score(ask("14 days"), said("14 days"))
    refused = score(ask("within fourteen days of the delivery"), said("Not in the documents.", refused=True))
    assert refused["rougeL"] == refused["bleu"] == 0
    assert em_cmrc("《红楼梦》。", "红楼梦") == 1 and em_cmrc("红楼", "红楼梦") == 0


# ------------------------------------------------------------------------------------------------ harm


def test_numbers_from_nowhere():
    assert unknown_numbers("It lasts 24 months", ["The warranty lasts two years."]) == []
    assert unknown_numbers("within thirty (30) days", ["within 30 days"]) == []
    assert unknown_numbers("in 2019", ["Smith (2019)"]) == []
    assert unknown_numbers("It lasts 36 months", ["The warranty lasts two years."]) == [36]
    assert unknown_numbers("1. Open it\n2. Wait 5 minutes", ["wait five minutes"]) == []
    assert unknown_numbers("共二十四个月", ["24个月"]) == [] and unknown_numbers("共二十五个月", ["24个月"]) == [25]


def test_names_from_nowhere():
    assert names_in("Ask Anna Berg about AX-200. She knows the TUV and 24V parts.") == [
        "AX-200", "Anna", "Berg", "TUV"
    ]
    assert unknown_names("Call Anna's desk.", ["anna works here"]) == []
    assert unknown_names("Call Otto.", ["Anna works here, ottoman too"]) == ["Otto"]
    assert unknown_names("请联系王晓经理或青岚公司。", ["青岚公司成立于2001年"]) == ["王晓"]
    assert names_in("型号 Merrow 见《差旅制度》") == ["Merrow", "差旅制度"]


def test_harm_scores():
    passage = "Unworn shoes may be returned within 45 days to Northwind."
    question = ask("45 days", gold=(Gold("a.md", 36, 43),))
    good, bad = score(question, said("within 45 days", passage)), score(question, said("30 days, says Otto", passage))
    assert good["fabricated"] == good["parametric"] == 0 and good["grounded"] == 1
    assert bad["fabricated"] == bad["fabricated_numbers"] == bad["fabricated_names"] == 1 and bad["grounded"] == 0
    assert "parametric" not in bad and good["truthfulness"] == 1 and bad["truthfulness"] == -1
    known = score(Question("q", "?", ("45 days",)), said("45 days", "Something else altogether."))
    assert known["parametric"] == 1
    refused = score(question, said("Not in the documents.", passage, refused=True))
    assert "fabricated" not in refused and refused["truthfulness"] == 0 and refused["refusal_precision"] == 0
    assert score(Question("u", "?", answerable=False), said("No.", refused=True))["refusal_precision"] == 1


# ------------------------------------------------------------------------------------------------ groundedness


def test_support_sees_numbers_negations_and_both_languages():
    passage = "Field returns are kept for ten days. A courier collects them."
    assert support("Field returns are kept for 10 days.", [passage]) == 1
    assert support("Field returns are kept for 12 days.", [passage]) == 0
    assert support("Field returns are not kept for ten days.", [passage]) <= 0.5
    assert support("现场退货保留十天。", ["现场退货保留10天。"]) == 1
    contract = "Returns are accepted within thirty (30) days."
    assert support("Returns are accepted within 30 days.", [contract]) == 1
    assert support(contract, ["Returns are accepted within 30 days."]) >= THRESHOLD
    assert support("现场退货保留十二天。", ["现场退货保留10天。"]) == 0
    assert support("The moon is made of cheese.", [passage]) < THRESHOLD


@pytest.mark.parametrize("language", ["en", "zh"])
def test_nothing_from_nowhere_in_what_was_labelled_as_grounded(language):
    rows = [row for row in labelled(language) if row.label == "g"]
    flagged = [row.sentence for row in rows
               if unknown_numbers(row.sentence, [row.section]) or unknown_names(row.sentence, [row.section])]
    assert not flagged
    section = re.compile(r"\d+(?:\.\d+)?")
    changed = [row for row in labelled(language) if row.label == "c"
               and set(section.findall(row.sentence)) - set(section.findall(row.section))]
    assert len(changed) >= 9 and all(unknown_numbers(row.sentence, [row.section]) for row in changed)


def test_judge_and_entailment_are_closures():
    calls = []

    def entails(pairs):
        calls.append(list(pairs))
        return [0.9 if "ten" in premise else 0.1 for premise, _ in pairs]

    answer = said("It is ten. It is green.", "ten", "eleven")
    scores = score(ask("ten"), answer, entails=entails, judge=lambda question, answer: 0.25)
    assert scores["entailed"] == 1 and scores["judged"] == 0.25 and len(calls[0]) == 4
    assert "entailed" not in score(ask("ten"), answer)


# ------------------------------------------------------------------------------------------------ form and terms


def test_reading_level_and_length_rules():
    easy, hard = "The cat sat. It was red.", "Institutional considerations necessitate comprehensive documentation."
    assert grade(easy) < 4 < 12 < grade(hard)
    assert sentence_words("保修两年。请保留发票。") == 4.5 or sentence_words("保修两年。请保留发票。") == 5
    assert score(ask("x", need="form", rules={"max_grade": 6}), said(easy))["form"] == 1
    assert score(ask("x", need="form", rules={"max_grade": 6}), said(hard))["form"] == 0
    assert score(ask("x", need="form", rules={"max_sentence_words": 5}), said("保修两年。请保留发票。"))["form"] == 1
    assert score(ask("x", need="form", rules={"max_characters": 3}), said("abcd"))["form"] == 0


def test_style_distance_tells_kinds_of_writing_apart():
    dry = ("Ticket closed. No fault found.", "Ticket open. Waiting for part 4411.", "Ticket closed. Cable replaced.")
    near = "Ticket closed. Fuse replaced."
    far = "Hi there! Thank you so much for asking; we would love to help, if you could tell us a bit more about it?"
    assert style_distance(near, dry) < 0.15 < 0.4 < style_distance(far, dry)
    chinese = ("工单已关闭。未发现故障。", "工单处理中。等待配件。")
    assert style_distance("工单已关闭。已更换线缆。", chinese) < 0.15
    assert style_distance("您好！非常感谢您的来信，我们很乐意帮助您，请问您能再详细说说吗？", chinese) > 0.4
    assert "style_distance" in score(ask("x", rules={"style": dry}), said(near))


GLOSSARY = (GlossaryEntry("return label", ("label", "sticker")), GlossaryEntry("工单", ("单子",)),
            GlossaryEntry("bench check"))


def test_terms_in_four_readings():
    question = ask("Print the return label", need="terms", rules={"terms": ("return label", "bench check")})
    scores = score(question, said("Print the return label and a sticker"), glossary=GLOSSARY)
    assert (scores["terms"], scores["term_coverage"], scores["forbidden_terms"]) == (0, 0.5, 1)
    assert scores["term_precision"] == 0.5
    wide = score(ask("Print the return label"), said("the return label after the bench check"), glossary=GLOSSARY)
    assert wide["term_precision"] == 0.5 and wide["forbidden_terms"] == 0 and wide["fabricated_terms"] == 1
    assert "term_precision" not in score(ask("x"), said("x"), glossary=GLOSSARY)


def test_every_measure_has_words_in_both_languages_and_the_report_reads_them():
    assert set(PLACES) == set(METRICS)
    for metric in METRICS.values():
        assert metric.label and metric.label_zh and metric.explain and metric.explain_zh
    comparison = sample()[0]
    everything = {name: Estimate(0.5, 0.4, 0.6, 9) for name in METRICS}
    standings = tuple(replace(standing, metrics=everything) for standing in comparison.standings)
    shown = {one.key: one for one in columns(replace(comparison, standings=standings))}
    for name, metric in METRICS.items():
        assert shown[name].label == (metric.label, metric.label_zh)
        assert shown[name].explain == (metric.explain, metric.explain_zh)


@pytest.mark.parametrize(("language", "precision", "recall"), [("en", 0.62, 0.78), ("zh", 0.61, 0.86)])
def test_groundedness_is_as_good_as_its_page_says(language, precision, recall):
    """docs/measures.md publishes these figures; they are of the half that the threshold was not chosen on."""
    rows = labelled(language)
    assert len(rows) >= 100 and {row.label for row in rows} == set("gpuc")
    assert len({(row.section, row.sentence) for row in rows}) == len(rows)
    held = rows[1::2]
    found = figures(held, [support(row.sentence, [row.section]) >= THRESHOLD for row in held])
    assert found["precision"] == pytest.approx(precision, abs=0.02)
    assert found["recall"] == pytest.approx(recall, abs=0.02)
    assert found["u"] == 0, "an invention in other words never passes"


def test_an_entailment_model_comes_by_name(monkeypatch):
    """A stand-in for sentence-transformers' CrossEncoder: the contract is id2label and predict."""
    import sys
    from types import SimpleNamespace

    class CrossEncoder:
        def __init__(self, name, **how):
            if name == "absent":
                raise OSError("no such model\nand more")
            assert how == {"model_kwargs": {"use_safetensors": True}, "trust_remote_code": False}
            names = ["relevant"] if name == "ranker" else ["contradiction", "Entailment", "neutral"]
            self.config = SimpleNamespace(id2label=dict(enumerate(names)))

        def predict(self, pairs, *, apply_softmax, show_progress_bar):
            return [[0.1, 0.8 if hypothesis in premise else 0.2, 0.1] for premise, hypothesis in pairs]

    monkeypatch.setitem(sys.modules, "sentence_transformers", SimpleNamespace(CrossEncoder=CrossEncoder))
    entails = load_nli("nli")
    scores = score(ask("ten"), said("It is ten.", "Look: It is ten.", "no"), entails=entails)
    assert scores["entailed"] == 1
    for name, why in (("ranker", "no entailment model"), ("absent", "no such model")):
        with pytest.raises(ModelMistake, match=why):
            load_nli(name)
