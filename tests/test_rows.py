"""Training rows: what they show is what answering will show, and nothing is lost on the way."""

from dataclasses import replace

import pytest

from tunewise.errors import ConfigMistake, DataMistake
from tunewise.nouns import Chunk, Gold, Hit, Question
from tunewise.prompts import REFUSAL, render
from tunewise.training import RECIPES, TrainingSettings, raft_rows, sft_rows

TEXT = "Send it back within 30 days. The fee is 5 EUR. Ask the store. Nothing else is known."
SENTENCES = [(0, 28), (29, 46), (47, 61), (62, 84)]
CHUNKS = [
    Chunk(f"c{i}", "r.md", "rev", a, b, TEXT[a:b], groups=("hr",) if i == 2 else ())
    for i, (a, b) in enumerate(SENTENCES)
]
ANSWERABLE = Question("a", "How long?", ("30 days",), (Gold("r.md", 20, 27),), split="train")
TWO = Question(
    "t", "How long and how much?", ("30 days, 5 EUR",), (Gold("r.md", 20, 27), Gold("r.md", 40, 45)), split="train"
)
UNANSWERABLE = Question("u", "Who founded it?", answerable=False, split="train")
CHINESE = Question("z", "谁创立的？", answerable=False, language="zh", split="train")


def retrieve_of(*numbers: int):
    return lambda queries: [
        [Hit(CHUNKS[n], 1 / (rank + 1), rank + 1) for rank, n in enumerate(numbers)] for _ in queries
    ]


def oracle(question):
    return [c for c in CHUNKS for g in question.gold if c.start <= g.start and g.end <= c.end]


def test_an_sft_row_is_the_answering_prompt_and_the_preferred_answer():
    rows, report = sft_rows([ANSWERABLE, UNANSWERABLE, CHINESE])
    assert rows[0].chat() == render("answer", "How long?", language="en")
    assert [row.completion for row in rows] == ["30 days", REFUSAL["en"], REFUSAL["zh"]]
    assert (report.questions, report.rows, report.refusals) == (3, 3, 2)


def test_a_raft_row_shows_what_retrieval_gave_and_cites_the_oracle():
    rows, report = raft_rows([ANSWERABLE], retrieve_of(3, 0), oracle)
    assert rows[0].chat() == render("grounded", "How long?", language="en", hits=retrieve_of(3, 0)([""])[0])
    assert rows[0].completion == "30 days [2]" and report.oracle_found == 1


def test_an_oracle_that_was_missed_takes_the_place_of_the_lowest_distractor():
    rows, report = raft_rows([ANSWERABLE], retrieve_of(1, 3), oracle)
    assert rows[0].completion == "30 days [2]" and report.oracle_added == 1
    assert "The fee" in rows[0].messages[-1][1] and "Nothing else" not in rows[0].messages[-1][1]


def test_two_golds_are_both_shown_and_both_cited():
    rows, _ = raft_rows([TWO], retrieve_of(0, 3), oracle)
    assert rows[0].completion == "30 days, 5 EUR [1][2]"


def test_without_its_oracle_a_row_teaches_the_refusal():
    rows, report = raft_rows([ANSWERABLE] * 50, retrieve_of(0, 3), oracle, without_oracle=0.5, seed=1)
    refused = [row for row in rows if row.completion == REFUSAL["en"]]
    assert 12 < len(refused) < 38 and report.refusals == len(refused)
    assert all("30 days" not in row.messages[-1][1] for row in refused)


def test_every_row_shows_as_many_passages_whether_it_answers_or_refuses():
    """Else a model could tell from their number what it is to say."""
    everything = retrieve_of(0, 3, 1, 2)([""])[0]
    for retrieved in ((0, 3), (1, 3), (3,)):
        rows, _ = raft_rows([ANSWERABLE] * 40 + [UNANSWERABLE], retrieve_of(*retrieved), oracle, without_oracle=0.5,
                            seed=1, further=lambda query: everything)
        shown = [row.messages[-1][1] for row in rows]
        assert {row.refuses for row in rows} == {True, False}
        assert {sum(f"[{n}]" in text for n in range(1, 6)) for text in shown} == {len(retrieved)}
        dropped = [text for row, text in zip(rows[:40], shown, strict=False) if row.refuses]
        assert dropped and not any("30 days" in text for text in dropped)
    rows, report = raft_rows([ANSWERABLE], retrieve_of(0, 3), oracle, without_oracle=1.0)
    assert "1 rows without their gold passage show fewer passages" in report.notes[-1]


def test_passages_that_fill_the_gap_stand_in_the_order_of_answering():
    rows, _ = raft_rows([ANSWERABLE], retrieve_of(0, 3), oracle, without_oracle=1.0,
                        further=lambda query: retrieve_of(0, 3, 2)([""])[0], arrange=lambda hits: hits[::-1])
    text = rows[0].messages[-1][1]
    assert text.index("Ask the store") < text.index("Nothing else")


def test_unanswerable_questions_are_refusal_rows_with_passages():
    rows, _ = raft_rows([UNANSWERABLE], retrieve_of(0, 1), oracle)
    assert rows[0].completion == REFUSAL["en"] and "[1]" in rows[0].messages[-1][1]


def test_rows_keep_the_rights_and_documents_that_went_in():
    rows, _ = raft_rows([ANSWERABLE], retrieve_of(0, 2), oracle)
    assert rows[0].groups == ("hr",) and rows[0].documents == ("r.md",)


def test_the_same_seed_gives_the_same_rows():
    def make():
        return raft_rows(
            [ANSWERABLE, TWO] * 20, retrieve_of(0, 1, 2), oracle, shuffle=0.5, without_oracle=0.2, seed=3
        )[0]

    assert make() == make()


def test_no_question_is_a_mistake():
    with pytest.raises(DataMistake):
        raft_rows([], retrieve_of(0), oracle)


def test_settings_refuse_the_unknown_and_the_impossible():
    with pytest.raises(ConfigMistake) as error:
        RECIPES["sft"].but({"learning_rate": 1})
    assert "rate" in error.value.tip
    with pytest.raises(ConfigMistake, match="epochs.*rank"):
        TrainingSettings(epochs=0, rank=0)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"freeze": "false"}, "freeze = 'false' (true or false, without quotation marks)"),
        ({"share": "no"}, "share = 'no'"),
        ({"quotes": 1}, "quotes = 1"),
        ({"alpha": 0}, "alpha = 0"),
        ({"dropout": 1.5}, "dropout = 1.5"),
        ({"dropout": -0.1}, "dropout = -0.1"),
        ({"warmup": 3}, "warmup = 3"),
        ({"rank": 2.5}, "rank = 2.5 (a whole number)"),
        ({"batch": 1.5}, "batch = 1.5"),
        ({"rank": True}, "rank = true"),
        ({"epochs": float("inf")}, "epochs = inf"),
        ({"rate": float("nan")}, "rate = nan"),
        ({"rate": "1e-3"}, "rate = '1e-3'"),
        ({"report_to": ["a", "b"]}, "report_to = ['a', 'b'] (a text in quotation marks; several names in one"),
        ({"without_oracle": "most"}, "without_oracle = 'most'"),
        ({"peft": 3}, "peft = 3 (a table"),
        ({"alpha": 0, "warmup": 3}, "alpha = 0 (1 or more: at 0 what is learned would not count); warmup = 3"),
    ],
)
def test_settings_that_cannot_work_are_refused_with_what_they_may_be(given, said):
    with pytest.raises(ConfigMistake) as error:
        RECIPES["raft"].but(given)
    assert said in error.value.message


def test_settings_that_can_work_are_taken():
    kept = RECIPES["raft"].but({"epochs": 2, "rate": None, "without_oracle": "auto", "dropout": 0, "peft": {"r": 8}})
    assert kept.peft == (("r", 8),)
    with pytest.raises(ConfigMistake) as error:
        RECIPES["raft"].but({"epoch": 1})
    assert error.value.tip.startswith("known, the closest first: epochs, ")


def test_gold_that_a_chunk_cuts_in_two_is_no_refusal():
    answer = "30 days. The fee is 5 EUR"
    cut = Question("x", "How long and how much?", (answer,), (Gold("r.md", 20, 45),), split="train")
    rows, _ = raft_rows([cut], retrieve_of(0, 1), lambda question: [CHUNKS[0]])
    assert rows[0].completion == f"{answer} [1]"


def test_earlier_turns_are_searched_with_and_shown_as_in_answering():
    later = replace(ANSWERABLE, history=(("What of returns?", "They are taken."),))
    asked = []

    def retrieve(queries):
        asked.extend(queries)
        return retrieve_of(0)(queries)

    rows, _ = raft_rows([later], retrieve, oracle, searched=lambda q: f"{q.history[0][0]} {q.question}")
    assert asked == ["What of returns? How long?"]
    hits = retrieve_of(0)([""])[0]
    assert rows[0].chat() == render("grounded", "How long?", language="en", hits=hits, examples=later.history)
    plain, _ = sft_rows([later])
    assert plain[0].chat() == render("answer", "How long?", language="en", examples=later.history)


def test_a_gold_that_a_larger_passage_shows_is_not_put_in_again():
    whole = Chunk("whole", "r.md", "rev", 0, 46, TEXT[:46])
    rows, report = raft_rows([TWO], lambda queries: [[Hit(whole, 1.0, 1), Hit(CHUNKS[3], 0.5, 2)]], oracle)
    assert rows[0].completion == "30 days, 5 EUR [1]" and (report.oracle_found, report.oracle_added) == (1, 0)
    assert "Nothing else" in rows[0].messages[-1][1] and "[3]" not in rows[0].messages[-1][1]
