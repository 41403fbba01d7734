"""Questions made from documents: forms in two languages, what a model writes, filters that count, kills."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tunewise.errors import DataMistake
from tunewise.nouns import Chunk, Document, Hit
from tunewise.questions import check_questions, load_questions
from tunewise.questions.generation import generate, messages, place, read_pairs, sift
from tunewise.questions.patterns import Draft, drafts

ENGLISH = """## Bench check

A bench check costs 55 crowns. The swap unit is lent for at most 21 days. It is never sold.
Returns are led by Luis Marrable. Below that value freight costs 14 crowns.
The probe needs water that is two metres deep. Parcels must be sent within 10 days. The office opens at 8:30.

| Rule | Request | What to do |
|---|---|---|
| R1 | unused meter | APPROVE |

- The fee is 15 crowns."""
CHINESE = """## 质保

质保期为24个月。检测费由客户支付。报销单由主管批准。它是五天。滤芯需要更换3次。静候期指读数稳定之前的时段。

| 物料 | 价格 |
|---|---|
| 电极 | 560元 |"""


def chunk(text, *, id="c", language="en", document="r.md", title="Returns", start=100, groups=()):
    return Chunk(id, document, "v", start, start + len(text), text, title, title, language=language, groups=groups)


def pairs(found):
    return {one.question: one.answer for one in found}


def test_forms_of_english_passages():
    made = drafts(chunk(ENGLISH))
    assert pairs(made) == {
        "How much does a bench check cost?": "55 crowns",
        "For how long is the swap unit lent?": "at most 21 days",
        "By whom are Returns led?": "Luis Marrable",
        "Within what time must Parcels be sent?": "10 days",
        "When does the office open?": "8:30",
        "What is the request of R1?": "unused meter",
        "What stands under 'What to do' for R1?": "APPROVE",
        "What is the fee?": "15 crowns",
    }
    for one in made:
        assert one.answer in ENGLISH[one.start - 100 : one.end - 100]


def test_forms_of_chinese_passages():
    made = drafts(chunk(CHINESE, language="zh", title="条款"))
    assert pairs(made) == {
        "质保期为多长时间？": "24个月",
        "报销单由谁批准？": "主管",
        "静候期指什么？": "读数稳定之前的时段",
        "电极的“价格”是什么？": "560元",
    }
    for one in made:
        assert one.answer in CHINESE[one.start - 100 : one.end - 100]


def test_a_section_without_facts_is_asked_by_its_heading():
    text = "## Shared desks\n\nTeams with many home days share desks."
    assert pairs(drafts(chunk(text))) == {"What does 'Returns' say about 'Shared desks'?": text.split("\n\n")[1]}


def test_what_models_write_is_read():
    assert read_pairs("Q: How long?\nA: 30 days\n\n**Q2:** Who?\n**A2:** the desk") == [
        ("How long?", "30 days"), ("Who?", "the desk")]
    assert read_pairs("问：多久？\n答：30天") == [("多久？", "30天")]
    assert read_pairs('Here: [{"question": "How?", "answer": "so"}, {"question": 3}]') == [("How?", "so")]
    assert read_pairs("I cannot do that.") == []
    assert "zh" not in messages(chunk(CHINESE, language="zh"), 2)[0]["content"] and "2个" in messages(
        chunk(CHINESE, language="zh"), 2)[0]["content"]


def test_answers_are_placed_only_where_they_stand_verbatim():
    piece = chunk("Send it back\nwithin 30  days. It costs 5 EUR.")
    assert place("Within 30 days.", piece) == ("within 30  days", 100, 129)
    assert place("31 days", piece) is None and place("", piece) is None


def said(*found, kind="generated"):
    piece = chunk("The fee is 5 EUR. A meter may be returned within 30 days.", title="Fees of 2026")
    return [(piece, Draft(q, a, *(span or (100, 157)), kind)) for q, a, span in found]


def test_every_filter_counts_and_names_what_falls_away():
    made = said(
        ("How much is the fee?", "5 EUR", (100, 117)),
        ("How much is it in dollars?", "6 USD", (0, 0)),
        ("Tell me the fee", "5 EUR", None),
        ("What does this passage say about the fee?", "5 EUR", None),
        ("Is the fee 5 EUR or more?", "5 EUR", None),
        ("Of which year are the fees?", "2026", None),
        ("how much is the FEE?", "5 EUR", (100, 117)),
        ("So how much is the fee?", "5 EUR", (100, 117)),
        ("Within what time may a meter be returned?", "30 days", (118, 157)),
        ("When may a pump be sent in?", "within 30 days", (118, 157)),
    )

    def retrieve(queries):
        return [[Hit(made[0][0], 1.0, 1)] if "fee" in query else [] for query in queries]

    kept, steps, rejected = sift(
        made, existing=["For when may a pump be sent in?"], retrieve=retrieve, progress=lambda *_: None
    )
    assert [one.question for _, one in kept] == ["How much is the fee?"]
    assert [(step.before, step.after) for step in steps] == [(10, 8), (8, 6), (6, 5), (5, 2), (2, 1)]
    reasons = dict(rejected)
    assert len(rejected) == 9
    assert reasons["How much is it in dollars?"] == "its answer does not stand in its passage"
    assert reasons["Of which year are the fees?"] == "its answer does not stand in its passage"
    assert reasons["What does this passage say about the fee?"].startswith("it points at")
    assert reasons["Is the fee 5 EUR or more?"] == "its answer stands in the question"
    assert reasons["So how much is the fee?"] == "another one asks nearly the same"
    assert reasons["When may a pump be sent in?"] == "the question file has nearly the same"
    assert reasons["Within what time may a meter be returned?"].startswith("retrieval")
    titled = [(chunk("The year is 2026.", title="Fees of 2026"), Draft("Of which year?", "2026", 100, 116, "x"))]
    assert sift(titled, existing=[], retrieve=None, progress=lambda *_: None)[2][0][1] == "the title alone answers it"


@pytest.mark.parametrize(
    ("question", "answer", "title", "why"),
    [
        ("英文中级班的学费是多少？", "5", "课程", ""),
        ("该文件夹保存多久？", "五年", "归档", ""),
        ("这节能灯多少钱？", "20元", "灯具", ""),
        ("保修多久？", "24个月", "保修", ""),
        ("高中以上文化程度的人由谁登记？", "前台", "登记", ""),
        ("谁批准报销？", "主任", "主管的任务", ""),
        ("谁批准报销单？", "主管", "主管的任务", "the title alone answers it"),
        ("多久？", "24个月", "保修", "it is no question of a usable length"),
        ("这段文字讲了什么？", "质保", "条款", "it points at a passage that its reader does not see"),
        ("本文的作者是谁？", "前台", "条款", "it points at a passage that its reader does not see"),
        ("根据文中的规定，保修多久？", "24个月", "条款", "it points at a passage that its reader does not see"),
        ("请问原文提到的费用是多少？", "5元", "条款", "it points at a passage that its reader does not see"),
        ("该表的第二行是什么？", "5元", "条款", "it points at a passage that its reader does not see"),
        ("该文件规定了什么？", "5元", "条款", "it points at a passage that its reader does not see"),
    ],
)
def test_chinese_questions_are_not_taken_for_what_they_only_look_like(question, answer, title, why):
    text = f"{answer}，如此而已。"
    pair = (chunk(text, language="zh", title=title), Draft(question, answer, 100, 100 + len(text), "x"))
    rejected = sift([pair], existing=[], retrieve=None, progress=lambda *_: None)[2]
    assert [reason for _, reason in rejected] == ([why] if why else [])


def test_passages_that_disagree_lose_both_questions():
    made = said(("How much is the fee?", "5 EUR", (100, 117)), ("How much is the fee?", "30 days", (118, 157)))
    _, _, rejected = sift(made, existing=[], retrieve=None, progress=lambda *_: None)
    assert [why for _, why in rejected] == ["passages answer it differently"] * 2


def world(tmp_path, count=12):
    text = "\n\n".join(f"The fee of article {i:03} is {i + 5} crowns." for i in range(count))
    document = Document("fees.md", text, "Fees", "v")
    pieces, begin = [], 0
    for part in text.split("\n\n"):
        pieces.append(Chunk(f"c{begin}", "fees.md", "v", begin, begin + len(part), part, "Fees", groups=("staff",)))
        begin += len(part) + 2
    return document, pieces, {"output": tmp_path / "made.jsonl", "log": tmp_path / "log.jsonl"}


def test_what_is_written_is_an_ordinary_question_file_that_a_person_may_edit(tmp_path):
    document, pieces, places = world(tmp_path)
    report = generate(pieces, **places)
    assert report.written == 12 and report.known == 0 and report.passages == 12
    questions = load_questions(places["output"])
    assert check_questions(questions, {"fees.md": document.text}) == []
    assert all(q.groups == ("staff",) and q.language == "en" for q in questions)
    assert all("split" not in json.loads(line) for line in places["output"].read_text().splitlines())
    # Two are deleted, one is reworded, and the editor leaves out the last line end: none comes back, none is lost.
    lines = [json.loads(line) for line in places["output"].read_text().splitlines()][2:]
    lines[0]["question"] = "What must be paid for article 2?"
    text = "\n".join(json.dumps(line) for line in lines)
    places["output"].write_text(text)
    again = generate(pieces, **places)
    assert (again.written, again.known) == (0, 12)
    assert places["output"].read_text() == text + "\n"


def test_blank_lines_of_an_editor_are_fine_and_broken_ones_are_named(tmp_path):
    _, pieces, places = world(tmp_path)
    generate(pieces, **places)
    lines = places["output"].read_text().splitlines()
    text = "\n".join([lines[0], "", "   ", *lines[1:], "", "  "])
    places["output"].write_text(text)
    assert generate(pieces, **places).known == 12
    assert places["output"].read_text() == text + "\n"
    places["output"].write_text("\n".join([lines[0], "{oops", *lines[1:]]) + "\n")
    with pytest.raises(DataMistake) as error:
        generate(pieces, **places)
    assert "made.jsonl:2" in error.value.faults[0] and "delete the file" not in error.value.tip
    assert "{oops" in places["output"].read_text()


def test_passages_of_which_nothing_could_be_read_are_counted(tmp_path):
    _, pieces, places = world(tmp_path)
    texts = ["I cannot do that."] * 5 + ["Q: What is the price of it?\nA: 10 crowns"] * 7
    said = iter(texts)
    report = generate(pieces, write=lambda prompts: [next(said) for _ in prompts], **places)
    assert report.unread == 5 and report.steps[0].before == 7
    # Also when they stand in the log of an earlier run.
    assert generate(pieces, write=lambda prompts: ["" for _ in prompts], **places).unread == 5


def test_a_passage_is_asked_of_the_model_once(tmp_path):
    _, pieces, places = world(tmp_path)
    asked = []

    def write(prompts, *, fail_after=99):
        asked.extend(prompts)
        if len(asked) > fail_after:
            raise RuntimeError("gone")
        numbers = [re.search(r"article (\d+) is (\d+)", one[0]["content"]).groups() for one in prompts]
        return [f"Q: What is the price of number {n}?\nA: {price} crowns" for n, price in numbers]

    with pytest.raises(RuntimeError):
        generate(pieces, write=lambda prompts: write(prompts, fail_after=8), **places)
    assert not places["output"].exists() and len(asked) == 12
    asked.clear()
    report = generate(pieces, write=write, **places)
    assert len(asked) == 4 and report.written == 12


def test_kill_9_loses_and_doubles_nothing(tmp_path):
    code = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        sys.path.insert(0, sys.argv[2])
        from test_generation import world
        from tunewise.questions.generation import generate
        _, pieces, places = world(Path(sys.argv[1]), 60)
        print("ready", flush=True)
        generate(pieces, **places)
    """)
    order = random.Random(4)
    here = str(Path(__file__).parent)
    for _ in range(6):
        child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path), here], stdout=subprocess.PIPE,
                                 env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
        assert child.stdout.readline() == b"ready\n"
        try:
            child.wait(order.uniform(0.0, 0.12))
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
    document, pieces, places = world(tmp_path, 60)
    generate(pieces, **places)
    questions = load_questions(places["output"])
    assert len(questions) == 60 and check_questions(questions, {"fees.md": document.text}) == []
