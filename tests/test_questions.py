"""Question files: every fault at once, splits that do not leak, imports whose spans still hold."""

import json
import random

import pytest

from tunewise.errors import DataMistake
from tunewise.nouns import Gold, Question
from tunewise.questions import (
    check_questions,
    find_leaks,
    import_dataset,
    load_questions,
    question_json,
    save_questions,
    split_questions,
)


def test_a_file_comes_back_as_it_was(tmp_path):
    questions = [
        Question("a", "How long?", ("30 days", "thirty days"), (Gold("r.md", 3, 10),), kind="table", split="train"),
        Question("b", "多久？", answerable=False, language="zh", split="validation"),
        Question("c", "Write it.", ("A | b",), (Gold("r.md"),), need="form", rules=(("max_lines", 1), ("regex", "^A"))),
        Question(
            "d", "What term?", ("field return",), need="terms", rules=(("terms", ("field return",)),), groups=("hr",)
        ),
    ]
    save_questions(tmp_path / "q.jsonl", questions)
    assert load_questions(tmp_path / "q.jsonl") == questions


def test_all_faults_of_a_file_are_listed_with_their_lines(tmp_path):
    path = tmp_path / "q.jsonl"
    lines = [
        '{"id": "a", "question": "Fine?", "answers": ["yes"]}',
        "{broken",
        '{"id": "a", "question": "Again?", "answers": ["x"]}',
        '{"id": "b", "question": "", "answers": ["x"]}',
        '{"id": "c", "question": "No answer?"}',
        '{"id": "d", "question": "Odd?", "answers": ["x"], "colour": 1}',
        '{"id": "e", "question": "Span?", "answers": ["x"], "gold": [{"document": "r", "start": 9, "end": 3}]}',
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(DataMistake) as error:
        load_questions(path)
    assert len(error.value.faults) == 6 and "1 good" in error.value.message
    for number, fault in zip(range(2, 8), error.value.faults, strict=True):
        assert f"q.jsonl:{number}:" in fault
    assert "colour" in error.value.faults[4] and "known:" in error.value.faults[4]


@pytest.mark.parametrize(("more", "said"), [
    ({"groups": "hr"}, "'groups'"), ({"language": None}, "'language'"), ({"kind": 3}, "'kind'"),
    ({"answerable": "false"}, "true or false"), ({"answers": [5]}, "list of texts"),
])
def test_values_of_a_wrong_type_are_faults(tmp_path, more, said):
    path = tmp_path / "q.jsonl"
    path.write_text(json.dumps({"id": "a", "question": "Fine?", "answers": ["yes"]} | more), encoding="utf-8")
    with pytest.raises(DataMistake) as error:
        load_questions(path)
    assert said in error.value.faults[0]


def test_a_question_is_of_the_language_it_is_written_in(tmp_path):
    path = tmp_path / "q.jsonl"
    rows = [{"id": "a", "question": "仓库什么时候关门？"}, {"id": "b", "question": "When?"},
            {"id": "c", "question": "When?", "language": "zh"}]
    path.write_text("\n".join(json.dumps(row | {"answers": ["x"]}) for row in rows), encoding="utf-8")
    assert [question.language for question in load_questions(path)] == ["zh", "en", "zh"]


def test_gold_that_does_not_match_the_documents_is_found():
    documents = {"r.md": "Send it back within 30 days."}
    good = Question("a", "How long?", ("30 days",), (Gold("r.md", 20, 27),))
    assert check_questions([good], documents) == []
    bad = [
        Question("b", "?", ("30 days",), (Gold("x.md", 0, 4),)),
        Question("c", "?", ("30 days",), (Gold("r.md", 20, 99),)),
        Question("d", "?", ("30 days",), (Gold("r.md", 0, 4),)),
        Question("e", "?", ("30 days",), (Gold("r.md", 19, 27),)),
    ]
    faults = check_questions(bad, documents)
    assert [fault[0] for fault in faults] == ["b", "c", "d", "e"]


def made(count: int = 240, seed: int = 0) -> list[Question]:
    rng = random.Random(seed)
    letters = "abcdefghijklmnopqrstuvwxyz"
    questions = []
    for i in range(count):
        words = " ".join("".join(rng.choices(letters, k=6)) for _ in range(6))
        document = f"d{rng.randrange(20)}.md"
        start = 10 * rng.randrange(40)
        if i % 8 == 7:
            questions.append(Question(f"q{i}", words, answerable=False, kind="unanswerable"))
        else:
            questions.append(
                Question(f"q{i}", words, ("x",), (Gold(document, start, start + 8),), kind=("one", "two")[i % 2])
            )
    return questions


@pytest.mark.parametrize("seed", range(5))
def test_a_split_does_not_leak_and_keeps_its_shares(seed):
    questions = split_questions(made(seed=seed), seed=seed)
    by = {name: [q for q in questions if q.split == name] for name in ("train", "validation", "test")}
    assert find_leaks(by["train"], by["test"]) == []
    assert find_leaks(by["train"], by["validation"]) == []
    assert 0.33 < len(by["test"]) / len(questions) < 0.47 and len(by["validation"]) > 0.08 * len(questions)
    touched = {d for q in by["train"] for d in q.documents}
    untouched = [q for q in by["test"] if q.documents and not set(q.documents) & touched]
    assert len(untouched) >= 0.3 * len(by["test"])
    for kind in ("one", "two", "unanswerable"):
        assert all(any(q.kind == kind for q in some) for some in by.values())


def test_leaks_are_named_with_their_reason():
    train = [Question("a", "How long may I return an article?", ("x",), (Gold("r", 5, 9),), split="train")]
    test = [
        Question("b", "Something else entirely", ("x",), (Gold("r", 8, 20),)),
        Question("c", "How long may I return an article??", ("x",), (Gold("s", 1, 2),)),
        Question("d", "What does it cost to ship?", ("x",), (Gold("r", 9, 12),)),
    ]
    assert [(pair[0], pair[1]) for pair in find_leaks(train, test)] == [("a", "b"), ("a", "c")]


def test_chinese_wording_leaks_are_found():
    train = [Question("a", "出差住宿费的报销上限是多少？", ("x",), split="train", language="zh")]
    test = [
        Question("b", "出差住宿费报销上限是多少", ("x",), language="zh"),
        Question("c", "新员工多久转正？", ("x",), language="zh"),
    ]
    assert [pair[1] for pair in find_leaks(train, test)] == ["b"]


def test_an_import_keeps_every_span(tmp_path):
    text = "  Leading space. The lake is 30 m deep. 湖很深。"
    start = text.index("30 m")
    (tmp_path / "x.docs.jsonl").write_text(
        json.dumps({"doc_id": "x:1", "title": "Lake", "text": text}), encoding="utf-8"
    )
    rows = [
        {
            "qid": "1",
            "question": "How deep?",
            "answers": ["30 m"],
            "answerable": True,
            "type": "extractive",
            "lang": "en",
            "split": "val",
            "gold": [{"doc_id": "x:1", "start": start, "end": start + 4, "text": "30 m"}],
        },
        {
            "qid": "2",
            "question": "How wide?",
            "answers": [],
            "answerable": False,
            "gold": [],
            "split": "test",
            "lang": "en",
        },
    ]
    rows.append({"qid": "3", "question": " ", "answers": ["30 m"], "gold": [], "split": "train", "lang": "en"})
    (tmp_path / "x.questions.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert import_dataset(tmp_path / "x.docs.jsonl", tmp_path / "x.questions.jsonl", tmp_path / "out") == (1, 2, ["3"])
    first, second = load_questions(tmp_path / "out" / "questions.jsonl")
    written = (tmp_path / "out" / "documents" / first.gold[0].document).read_text(encoding="utf-8").strip()
    assert written[first.gold[0].start : first.gold[0].end] == "30 m"
    assert first.split == "validation" and not second.answerable and second.answers == ()


def test_a_line_holds_no_defaults_that_say_nothing():
    assert set(question_json(Question("a", "Q?", ("x",)))) >= {"id", "question", "answers", "gold", "split"}
    assert "rules" not in question_json(Question("a", "Q?", ("x",)))


def test_odd_line_breaks_inside_a_text_do_not_break_its_line(tmp_path):
    questions = [Question("a", "Before\u2028after\x85end?", ("x\u2029y",)), Question("b", "Next?", ("z",))]
    save_questions(tmp_path / "q.jsonl", questions)
    assert load_questions(tmp_path / "q.jsonl") == questions


def test_one_document_does_not_eat_up_the_test_share():
    questions = [
        Question(f"q{i}", one.question, ("x",), (Gold("only.pdf", 10 * i, 10 * i + 5),))
        for i, one in enumerate(made(100))
    ]
    assert sum(q.split == "train" for q in split_questions(questions)) > 30


def test_imported_lists_and_scaled_numbers_become_rules(tmp_path):
    (tmp_path / "x.docs.jsonl").write_text('{"doc_id": "d", "title": "t", "text": "some text"}\n', encoding="utf-8")
    plain = {"question": "Q?", "answerable": True, "gold": [{"doc_id": "d"}], "split": "test"}
    lines = [
        {**plain, "qid": "a", "answers": ["red", "blue"], "answers_are_list": True, "scale": ""},
        {**plain, "qid": "b", "answers": ["$(1,496.5)"], "answers_are_list": False, "scale": "million"},
        {**plain, "qid": "c", "answers": ["some text"], "answers_are_list": False, "scale": ""},
        {**plain, "qid": "d", "answers": ["24", "twenty-four"]},
    ]
    (tmp_path / "x.questions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    import_dataset(tmp_path / "x.docs.jsonl", tmp_path / "x.questions.jsonl", tmp_path / "out")
    a, b, c, d = load_questions(tmp_path / "out" / "questions.jsonl")
    assert a.answers == ("red, blue",) and dict(a.rules) == {"list": ("red", "blue")}
    assert json.loads(dict(b.rules)["number"]) == {"value": -1496.5, "tolerance": 0.05, "unit": "million dollars"}
    assert c.rules == d.rules == () and d.answers == ("24", "twenty-four")
