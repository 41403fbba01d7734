"""Training data of others: every form is told by its keys, every fault has its line, good rows stay."""

import csv
import json
import time

import pytest

from tunewise.errors import DataMistake, GateFailed
from tunewise.jobs.imports import import_file, own_pairs, own_rows
from tunewise.nouns import Question
from tunewise.questions import load_questions, text_leaks
from tunewise.training.formats import as_line, histogram, read_examples

U, A, S = ({"role": role, "content": role[0] + "!"} for role in ("user", "assistant", "system"))
GOOD = {
    "messages": [{"messages": [S, U, A, U, A]}, {"messages": [U, {**A, "content": [{"type": "text", "text": "a!"}]}]}],
    "sharegpt": [{"conversations": [{"from": "human", "value": "u!"}, {"from": "gpt", "value": "a!"}], "system": "s!"}],
    "preference": [{"prompt": "u!", "chosen": "a!", "rejected": "b!"},
                   {"chosen": [U, A], "rejected": [U, {**A, "content": "b!"}]}],
    "kto": [{"prompt": "u!", "completion": "a!", "label": True}, {"prompt": [U], "completion": [A], "label": 0}],
    "prompt-completion": [{"prompt": "u!", "completion": "a!"}, {"prompt": [S, U], "completion": [A]}],
    "alpaca": [{"instruction": "u", "input": "!", "output": "a!", "history": [["x", "y"]], "system": "s!"}],
    "questions": [{"id": "1", "question": "退货期限？", "answers": ["30天", "三十天"]}],
    "question-answer": [{"question": "u!", "answer": "a!"}],
    "text": [{"text": "Some text."}, {"text": "一段文字。"}],
}


def write(path, rows):
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("form", GOOD)
def test_each_form_is_told_by_its_keys_and_comes_back_from_what_we_write(form, tmp_path):
    read = read_examples(write(tmp_path / "d.jsonl", GOOD[form]))
    assert (read.form, read.rows, read.faults) == (form, len(GOOD[form]), ())
    assert {one.line for one in read.examples} == set(range(1, len(GOOD[form]) + 1))
    again = read_examples(write(tmp_path / "e.jsonl", [as_line(one) for one in read.examples]))
    assert [(o.kind, o.messages, o.completion, o.rejected, o.label) for o in again.examples] == [
        (o.kind, o.messages, o.completion, o.rejected, o.label) for o in read.examples]


def test_what_the_forms_mean(tmp_path):
    def first(form):
        return read_examples(write(tmp_path / "d.jsonl", GOOD[form])).examples

    chat = first("messages")
    assert [len(one.messages) for one in chat] == [2, 4, 1] and chat[1].completion == "a!"
    alpaca = first("alpaca")[0]
    assert alpaca.messages == (("system", "s!"), ("user", "x"), ("assistant", "y"), ("user", "u\n\n!"))
    assert first("preference")[1].messages == (("user", "u!"),) and first("preference")[1].rejected == "b!"
    assert [one.label for one in first("kto")] == [True, False]
    assert first("questions")[0].completion == "30天"


BAD = {
    "messages": [
        ({"messages": []}, "a list of messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "role 'tool'"),
        ({"messages": [A, U]}, "do not take turns"),
        ({"messages": [U, A, S]}, "after the first place"),
        ({"messages": [U]}, "says nothing"),
        ({"messages": [U, {"role": "assistant", "content": " "}]}, "message 2 is empty"),
        ({"messages": [U, {"role": "assistant", "content": [{"type": "image"}]}]}, "no text"),
        ({"other": 1}, "lacks 'messages'"),
        ("{broken", "no JSON"),
        ("[1]", "no JSON object"),
    ],
    "sharegpt": [({"conversations": [{"from": "alien", "value": "x"}]}, "alien"), ({"conversations": 3}, "a list of")],
    "preference": [({"chosen": "a", "rejected": "b"}, "no prompt"), ({"prompt": "p", "chosen": "a", "rejected": "a"},
                                                                     "the same")],
    "kto": [({"prompt": "p", "completion": "c", "label": "maybe"}, "'maybe'")],
    "prompt-completion": [({"prompt": [U, A], "completion": "x"}, "does not end with the user"),
                          ({"prompt": "p", "completion": ""}, "completion is empty")],
    "alpaca": [({"instruction": "", "output": "x"}, "instruction is empty"),
               ({"instruction": "x", "output": "y", "history": [["only one"]]}, "history")],
    "question-answer": [({"question": "q", "answer": None}, "answer is empty")],
    "text": [({"text": 5}, "no text")],
}


@pytest.mark.parametrize("form", BAD)
def test_every_fault_has_its_line_and_reason_and_good_rows_stay(form, tmp_path):
    bad = [row for row, _ in BAD[form]]
    good = GOOD[form][:1] * (len(bad) + 2)
    path = write(tmp_path / "d.jsonl", [*good, "", *bad, GOOD[form][0]])
    read = read_examples(path)
    assert read.form == form and read.rows == len(good) + len(bad) + 1
    assert len({one.line for one in read.examples}) == len(good) + 1
    for number, ((_, why), fault) in enumerate(
        zip(sorted(BAD[form], key=lambda one: isinstance(one[0], dict)) if form == "messages" else BAD[form],
            read.faults, strict=True)):
        assert why in fault and fault.startswith(f"{path}:"), (number, fault)
    lines = sorted(int(fault.removeprefix(f"{path}:").split(":")[0]) for fault in read.faults)
    assert lines == list(range(len(good) + 2, len(good) + 2 + len(bad)))


def test_csv_json_arrays_text_and_parquet(tmp_path):
    with (tmp_path / "d.csv").open("w", encoding="utf-8-sig", newline="") as file:
        rows = [["question", "answer"], ["多久？", "30天,\n从签收起"], ["Who?"], ["When?", ""], ["W?", "x"]]
        csv.writer(file).writerows(rows)
    read = read_examples(tmp_path / "d.csv")
    assert read.form == "question-answer" and read.rows == 4 and read.examples[0].completion == "30天,\n从签收起"
    assert ["more or fewer" in read.faults[0], "lacks 'answer'" in read.faults[1]] == [True, True]
    (tmp_path / "d.json").write_text(json.dumps(GOOD["alpaca"] * 2))
    assert read_examples(tmp_path / "d.json").form == "alpaca"
    (tmp_path / "d.txt").write_text("One line.\n\nTwo lines.\n")
    assert [one.completion for one in read_examples(tmp_path / "d.txt").examples] == ["One line.", "Two lines."]
    import pyarrow
    import pyarrow.parquet

    (tmp_path / "p").mkdir()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(GOOD["messages"][:1] * 3), tmp_path / "p" / "train-0.parquet")
    assert read_examples(tmp_path / "p").rows == 3
    (tmp_path / "p" / "train-0.parquet").write_bytes(b"PAR1 broken")
    with pytest.raises(DataMistake, match="Parquet"):
        read_examples(tmp_path / "p")


@pytest.mark.slow
def test_a_datasets_folder(tmp_path):
    datasets = pytest.importorskip("datasets")
    rows = datasets.Dataset.from_list([{"prompt": "u", "completion": "a"}] * 3)
    rows.save_to_disk(str(tmp_path / "one"))
    datasets.DatasetDict({"train": rows, "test": rows}).save_to_disk(str(tmp_path / "many"))
    datasets.DatasetDict({"test": rows}).save_to_disk(str(tmp_path / "none"))
    assert read_examples(tmp_path / "one").rows == 3 and read_examples(tmp_path / "many").rows == 3
    with pytest.raises(DataMistake, match="no split 'train'"):
        read_examples(tmp_path / "none")


def test_what_cannot_be_read_says_what_can(tmp_path):
    with pytest.raises(DataMistake, match="no known format") as error:
        read_examples(write(tmp_path / "d.jsonl", [{"colour": "red"}]))
    assert "colour" in error.value.message and "sharegpt: conversations" in error.value.tip
    with pytest.raises(DataMistake, match="no usable row"):
        read_examples(write(tmp_path / "d.jsonl", [{"text": ""}] * 2))
    with pytest.raises(DataMistake, match="no format 'odd'"):
        read_examples(tmp_path / "d.jsonl", form="odd")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataMistake, match="no datasets folder"):
        read_examples(tmp_path / "empty")


def test_an_import_shows_what_it_took_and_counts(tmp_path):
    rows = [{"instruction": f"Question {i}? " + "word " * i, "output": f"answer {i}"} for i in range(40)]
    path = write(tmp_path / "d.jsonl", [*rows, {"instruction": "", "output": "x"},
                                        {"instruction": "a", "output": "b", "system": "s"}])
    done = import_file(path, form="auto", folder=tmp_path / "q", rows=False, model="echo")
    assert (done.form, done.rows, done.kept, done.examples) == ("alpaca", 42, 40, 40)
    assert len(done.faults) == 2 and len(done.shown) == 3 and "assistant: answer 39" in done.shown[2]
    assert sum(done.tokens.values()) == 40 and done.longest == 43
    questions = load_questions(done.file)
    assert len(questions) == 40 and questions[3].answers == ("answer 3",) and questions[3].id == "d-4"
    done = import_file(path, form="auto", folder=tmp_path / "r", rows=True, model="echo")
    assert done.examples == 41 and read_examples(done.file).form == "prompt-completion"
    with pytest.raises(DataMistake, match="no questions"):
        import_file(write(tmp_path / "t.jsonl", GOOD["text"]), form="auto", folder=tmp_path, rows=False, model="echo")


def test_rows_of_a_file_are_trained_on_unless_they_ask_what_is_measured(tmp_path):
    path = write(tmp_path / "rows.jsonl", [{"prompt": "How long may meters be kept?", "completion": "a week"}])
    far = Question("t", "Who signs the orders of the firm?", ("x",))
    rows, read = own_rows(path, [far])
    assert rows[0].completion == "a week" and rows[0].question == "rows.jsonl:1" and read.faults == ()
    with pytest.raises(GateFailed, match="rows.jsonl:1 and t"):
        own_rows(path, [Question("t", "how long may meters be kept", ("x",), split="validation")])
    with pytest.raises(DataMistake, match="text rows"):
        own_rows(write(tmp_path / "t.jsonl", GOOD["text"]), [far])


ENGLISH = Question("t", "How long may meters be kept?", ("x",))
CHINESE = Question("t", "退回的仪表保存多长时间？", ("x",), language="zh")
ASK = "Answer the following question about our handbook in a few words.\n\n"


@pytest.mark.parametrize(
    ("row", "asked"),
    [
        ({"prompt": ASK + "How long may meters be kept?", "completion": "a week"}, ENGLISH),
        ({"prompt": ASK + "For how long may a meter be returned to us?", "completion": "a week"},
         Question("t", "How long may a meter be returned to us now?", ("x",))),
        ({"instruction": "Answer briefly: How long may meters be kept?", "input": "Use the handbook.", "output": "x"},
         ENGLISH),
        ({"instruction": "Answer from the handbook.", "input": "How long may meters be kept?", "output": "x"}, ENGLISH),
        ({"instruction": "Hello?", "output": "Hi.", "history": [["How long may meters be kept", "a week"]]}, ENGLISH),
        ({"prompt": "Write a question.", "completion": "How long may meters be kept? A week."}, ENGLISH),
        ({"prompt": "请用几个字回答下面关于手册的问题。\n\n退回的仪表保存多长时间？", "completion": "一周"}, CHINESE),
        ({"prompt": "请回答：退回的仪表保存多长时间", "completion": "一周"}, CHINESE),
        ({"prompt": "请回答这个问题：退回仪表保存多长时间？谢谢。", "completion": "一周"}, CHINESE),
        ({"prompt": "请用几个字回答。\n保修多久？", "completion": "一年"}, Question("t", "保修多久？", ("x",))),
    ],
)
def test_an_instruction_around_it_does_not_hide_a_test_question(row, asked, tmp_path):
    path = write(tmp_path / "rows.jsonl", [row])
    with pytest.raises(GateFailed, match="rows.jsonl:1 and t"):
        own_rows(path, [asked])


def test_what_only_looks_like_a_test_question_is_kept(tmp_path):
    path = write(tmp_path / "rows.jsonl", [
        {"prompt": "Passages:\nMeters may be kept for a week. What is new is said here.\n\nQuestion: Who signs?",
         "completion": "the office"},
        # Four characters in a longer question may ask something else.
        {"prompt": "新购的整机保修多久？", "completion": "一年"},
        {"prompt": "谁负责登记退回的仪表？", "completion": "前台"}])
    asked = [ENGLISH, CHINESE, Question("w", "What is new?", ("x",)), Question("y", "Who?", ("x",)),
             Question("z", "保修多久？", ("x",))]
    assert len(own_rows(path, asked)[0]) == 3


def test_many_rows_are_compared_in_seconds():
    texts = {f"r{i}": [f"Read on.\nSome passage {i} of words {i * 7} and more.\n\nQuestion: Who signs order {i}?"]
             for i in range(1000)}
    asked = [Question(f"q{i}", f"How long may the meter of site {i} be kept by order?", ("x",)) for i in range(500)]
    start = time.process_time()
    assert text_leaks(texts, asked) == []
    assert time.process_time() - start < 10


def test_rows_keep_the_groups_that_they_name(tmp_path):
    path = write(tmp_path / "rows.jsonl", [{"prompt": "u!", "completion": "a!", "groups": ["hr", "board"]},
                                           {"prompt": "u!", "completion": "b!", "groups": [3]}])
    rows, read = own_rows(path, [])
    assert rows[0].groups == ("board", "hr") and "rows.jsonl:2: 'groups' is a list of texts" in read.faults[0]
    assert read_examples(write(tmp_path / "e.jsonl", [as_line(one) for one in read.examples])).examples[0].groups


def test_pairs_of_a_file_are_refused_when_they_ask_what_is_measured(tmp_path):
    turns = [{"role": "user", "content": "Hello there."}, {"role": "assistant", "content": "Hello."},
             {"role": "user", "content": "How long may meters be kept?"}]
    path = write(tmp_path / "pairs.jsonl", [{"prompt": turns, "chosen": "a week", "rejected": "a year"}])
    assert own_pairs(path, [Question("t", "Who signs the orders of the firm?", ("x",))])[0].chosen == "a week"
    assert own_pairs(path, [Question("t", "how long may meters be kept", ("x",), split="train")])
    with pytest.raises(GateFailed, match="pairs.jsonl#1 and t"):
        own_pairs(path, [Question("t", "how long may meters be kept", ("x",))])


def test_a_histogram_has_no_empty_ends():
    assert histogram([3, 40, 41, 200]) == {"0-31": 1, "32-63": 2, "64-127": 0, "128-255": 1}
    assert histogram([]) == {}
