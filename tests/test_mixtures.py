"""What rows are made of: few refusals, and counted; verbatim quotes; whole documents; mixtures by weight."""

import json

import pytest

from tunewise.errors import ConfigMistake, DataMistake
from tunewise.nouns import Chunk, Document, Gold, Hit, Question
from tunewise.prompts import REFUSAL, final_answer, is_refusal
from tunewise.retrieval import ordered
from tunewise.retrieval.fusion import ORDERS
from tunewise.training import raft_rows, sft_rows
from tunewise.training.mixtures import dap_rows, hybrid_rows, load_texts

TEXT = "Send it back within 30 days. The fee is 5 EUR. Ask the store."
CHUNK = Chunk("c", "r.md", "v", 0, len(TEXT), TEXT)
OTHER = Chunk("o", "s.md", "v", 0, 5, "Lamps")
ZH = "请在三十天内退回。费用为五欧元。"
CHINESE = Chunk("z", "z.md", "v", 0, len(ZH), ZH, language="zh")


def answerable(n):
    return Question(f"a{n}", f"What is the fee, {n}?", ("5 EUR",), (Gold("r.md", 40, 45),), split="train")


def unanswerable(n):
    return Question(f"u{n}", f"Who founded it, {n}?", answerable=False, split="train")


def retrieve(queries):
    return [[Hit(OTHER, 1.0, 1), Hit(CHUNK, 0.5, 2)] for _ in queries]


@pytest.mark.parametrize("most, left, refusing", [(0.25, 17, 3), (0.0, 20, 0), (1.0, 0, 20), (0.7, 0, 20)])
def test_refusals_are_kept_few_and_what_is_left_out_is_said(most, left, refusing):
    questions = [*map(answerable, range(10)), *map(unanswerable, range(20))]
    rows, report = raft_rows(questions, retrieve, lambda q: [CHUNK], max_refusals=most)
    assert sum(is_refusal(row.completion) for row in rows) == refusing == report.refusals
    assert (report.rows, report.left_out) == (len(rows), left) and len(rows) + left == 30
    assert any(f"{left} of 20 refusal rows were left out" in note for note in report.notes) == bool(left)
    assert sum(not is_refusal(row.completion) for row in rows) == 10
    plain, plain_report = sft_rows(questions, max_refusals=most)
    assert len(plain) == len(rows) and plain_report.left_out == left


def test_the_share_without_oracle_comes_from_what_retrieval_missed():
    def misses(queries):
        return [[Hit(OTHER, 1.0, 1)] if i % 4 == 0 else [Hit(CHUNK, 1.0, 1)] for i, _ in enumerate(queries)]

    rows, report = raft_rows([answerable(n) for n in range(200)], misses, lambda q: [CHUNK], without_oracle="auto")
    assert "without_oracle 0.25: retrieval missed the gold passage of 50 of 200" in report.notes[0]
    assert 30 < report.refusals < 70 and len(rows) == 200


def test_what_has_no_gold_cannot_have_it_taken_out():
    loose = Question("q", "How long is the loan?", ("30 days",), split="train")
    for seed in range(6):
        rows, _ = raft_rows([loose], retrieve, lambda q: [], without_oracle=1.0, seed=seed)
        assert rows[0].completion == "30 days"
    rows, _ = raft_rows([answerable(1)], retrieve, lambda q: [CHUNK], without_oracle=1.0)
    assert rows[0].refuses and not loose.gold


@pytest.mark.parametrize("order", ORDERS)
def test_gold_that_is_put_in_stands_where_answering_would_show_it(order):
    """The lowest ranked distractor gives way, wherever the order puts it."""
    ranked = [Hit(Chunk(f"d{n}", f"d{n}.md", "v1", 0, 9, f"Passage {n}"), 1.0 / n, n) for n in (1, 2, 3)]
    rows, _ = raft_rows([answerable(1)], lambda queries: [ordered(list(ranked), order)], lambda q: [CHUNK],
                        arrange=lambda hits: ordered(hits, order))
    shown = rows[0].messages[-1][1]
    assert "Passage 1" in shown and "Passage 2" in shown and "Passage 3" not in shown
    expected = ordered([ranked[0], ranked[1], Hit(CHUNK, 0.0, 3)], order)
    places = [shown.index(hit.chunk.text) for hit in expected]
    assert places == sorted(places)


def test_quotes_are_verbatim_and_the_final_answer_is_found_after_its_mark():
    rows, _ = raft_rows([answerable(1), unanswerable(1)], retrieve, lambda q: [CHUNK], template="quoted", quotes=True)
    assert rows[0].completion == '[2] "The fee is 5 EUR."\nAnswer: 5 EUR [2]'
    assert final_answer("quoted", rows[0].completion, language="en") == "5 EUR [2]"
    assert final_answer("quoted", rows[1].completion, language="en") == REFUSAL["en"]
    chinese = Question("z", "费用是多少？", ("五欧元",), (Gold("z.md", 12, 15),), language="zh", split="train")
    rows, _ = raft_rows(
        [chinese], lambda q: [[Hit(CHINESE, 1.0, 1)]], lambda q: [CHINESE], template="quoted", quotes=True
    )
    assert rows[0].completion == '[1] "费用为五欧元。"\n答案：五欧元 [1]'
    assert final_answer("quoted", rows[0].completion, language="zh") == "五欧元 [1]"


def test_quoted_refusals_count_as_refusals():
    rows, report = raft_rows([answerable(1), *map(unanswerable, range(9))], retrieve, lambda q: [CHUNK],
                             template="quoted", quotes=True, max_refusals=0.5)
    assert (len(rows), report.refusals, report.left_out) == (2, 1, 8)


def test_quotes_need_a_template_with_a_mark():
    with pytest.raises(ConfigMistake) as error:
        raft_rows([answerable(1)], retrieve, lambda q: [CHUNK], quotes=True)
    assert "quoted" in error.value.tip


def document(name, text):
    return Document(name, text, name, "v", groups=("hr",) if name == "b" else ())


def test_documents_are_whole_and_general_text_is_its_share():
    documents = [document("a", "x" * 600), document("b", "y" * 300), document("c", " ")]
    rows, report = dap_rows(documents, general=["g" * 50, "h" * 50], share=0.1)
    assert [row.completion for row in rows[:2]] == ["x" * 600, "y" * 300]
    assert [row.documents for row in rows[:2]] == [("a",), ("b",)] and rows[1].groups == ("hr",)
    assert sum(len(row.completion) for row in rows[2:]) == 100
    assert "2 documents, 900 characters in" in report.notes[0] and "1 documents hold no text" in report.notes[1]
    assert all(not row.messages and not row.question for row in rows)
    with pytest.raises(DataMistake):
        dap_rows([document("c", "")])


def test_mixtures_keep_their_weight_and_count_what_they_leave():
    questions = [answerable(n) for n in range(12)]
    with_, _ = raft_rows(questions, retrieve, lambda q: [CHUNK])
    without, _ = sft_rows(questions)
    for share in (0.25, 0.5, 0.8):
        rows, report = hybrid_rows(with_, without, share=share)
        plain = sum("Lamps" not in row.messages[-1][1] for row in rows)
        assert plain / len(rows) == pytest.approx(share, abs=0.05)
        assert report.left_out == 24 - len(rows)


def test_general_text_is_read_from_lines_or_paragraphs(tmp_path):
    (tmp_path / "g.txt").write_text("One.\nStill one.\n\nTwo.\n")
    assert load_texts(tmp_path / "g.txt") == ["One.\nStill one.", "Two."]
    (tmp_path / "g.jsonl").write_text(json.dumps({"text": "A"}) + "\n" + json.dumps({"body": "B"}))
    with pytest.raises(DataMistake) as error:
        load_texts(tmp_path / "g.jsonl")
    assert error.value.faults == (f"{tmp_path / 'g.jsonl'}:2: no text",)


def test_raw_text_becomes_blocks_that_lose_no_token(tmp_path):
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from tiny_training import make_tiny
    from tunewise.training.encoding import encode

    tokenizer = transformers.AutoTokenizer.from_pretrained(make_tiny(tmp_path / "tiny"))
    texts = ["a" * 5, "The fee is 5 EUR. 费用为五欧元。\n" * 20, "b" * 64]
    rows, _ = dap_rows([document(str(i), text) for i, text in enumerate(texts)])
    items = encode(rows, tokenizer, longest=1024, block=64)
    assert all(len(item["input_ids"]) <= 64 for item in items)
    learned = [label for item in items for label in item["labels"] if label != -100]
    assert tokenizer.decode(learned) == "".join(text + "<eos>" for text in texts)
    # Every block but a document's first sees what came before it.
    assert sum(len(item["prompt"]) > 1 for item in items) == len(items) - 3


def test_names_in_the_project_file_are_those_of_the_training_room():
    from tunewise import project
    from tunewise.models.chains import VIRTUAL
    from tunewise.training import METHODS, RECIPES

    assert set(project.RECIPES) == set(RECIPES) and set(project.METHODS) == set(METHODS)
    assert {name for name, method in METHODS.items() if method.virtual} == set(VIRTUAL)


def test_a_judge_rewards_with_its_number(monkeypatch):
    from tunewise.errors import Failed
    from tunewise.jobs import rewards
    from tunewise.models import Generated

    seen, replies = [], ["7", "Score: 10", "no idea"]

    class Judge:
        def generate(self, prompts, decoding):
            seen.append(prompts[0][0]["content"])
            return [Generated(replies.pop(0), 1, 1, 0.0)]

    monkeypatch.setattr(rewards, "_judge", lambda name: Judge())
    given = {"questions": {"a1": answerable(1)}, "template": "grounded", "judge": "openai:big"}
    assert rewards.judged("a1", "5 EUR [1]", **given) == 0.7
    assert rewards.judged("a1", "", **given) == 1.0
    assert "Correct answer: 5 EUR" in seen[0] and "Given answer: 5 EUR [1]" in seen[0]
    with pytest.raises(Failed, match="openai:big"):
        rewards.judged("a1", "x", **given)
    del given["judge"]
    assert rewards.quality_of("a1", "5 EUR [1]", **given) == 1.0
    # Where the row's passages were robbed of the answer, its own completion is the refusal.
    assert rewards.quality_of("a1", "5 EUR [1]", **given, refuse=True) == 0.0
    assert rewards.quality_of("a1", REFUSAL["en"], **given, refuse=True) == 1.0
    assert rewards.quality_of("a1", "Not in the documents.", **given) == 0.0
