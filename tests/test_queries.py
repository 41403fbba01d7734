"""Queries, reranking, diversity, order, the gate and what is fitted: each by what it does to the passages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from sample_documents import make
from tunewise.answers import QueryWriter, make_ask
from tunewise.catalog import Catalog
from tunewise.embeddings import HashEmbedder
from tunewise.errors import ConfigMistake, ModelMistake
from tunewise.index import Index, build
from tunewise.models import Generated
from tunewise.models.echo import Echo
from tunewise.nouns import Approach, Chunk, Decoding, Gold, Hit, Question, Retrieval
from tunewise.retrieval import Fit, diversify, load_reranker, make_retriever, stand_alone
from tunewise.retrieval.fitting import Searched, fit_gate, fit_weights
from tunewise.retrieval.fusion import ordered
from tunewise.retrieval.gate import breadth, features
from tunewise.retrieval.queries import expand, written_queries
from tunewise.scorers.retrieval import retrieval_scores

SENTENCES = [
    "Goods may be sent back within 30 days.", "Goods may be sent back within 30 working days.",
    "Opened boxes cost 15 euros.", "The warehouse closes at noon.", "Drivers wear yellow vests.",
    "退货须在三十天内提出。", "仓库中午关门。",
]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    folder = tmp_path_factory.mktemp("queries")
    with Catalog(f"sqlite:///{folder / 'catalog.sqlite'}") as catalog:
        for number, sentence in enumerate(SENTENCES):
            name = f"it's \"{number}\" ' OR 1=1.md"
            catalog.put(*make(name, sentence, language="en" if sentence.isascii() else "zh"))
        build(catalog, folder / "indexes", embedder=HashEmbedder())
        yield Index(catalog, folder / "indexes")


def texts(hits: Sequence[Hit]) -> list[str]:
    return [hit.chunk.text for hit in hits]


class Writer:
    """Writes what it is told to, and remembers what it was asked."""

    def __init__(self, *says: str) -> None:
        self.says, self.asked = list(says), []

    def __call__(self, template: str, questions: Sequence[str]) -> list[str]:
        self.asked.append((template, list(questions)))
        return [self.says[n % len(self.says)] for n, _ in enumerate(questions)]


# ---------------------------------------------------------------------------------------------------- queries


def test_written_queries_are_cleaned() -> None:
    raw = "Here:\n1. \"warehouse hours\"\n- Closing time?\n2) Warehouse hours\n问题1：仓库几点关门\n\n!!\n" + "x" * 400
    assert written_queries(raw, "Closing time") == ["Here:", "warehouse hours", "仓库几点关门"]


@pytest.mark.parametrize(("how", "count"), [("rewrite", 2), ("decompose", 4), ("multi-query", 4), ("hyde", 1)])
def test_the_question_is_always_searched_first(how: str, count: int) -> None:
    writer = Writer("1. one\n2. two\n3. three\n4. four")
    (queries,) = expand(["What?"], how, writer)
    assert writer.asked == [(f"queries/{how}", ["What?"])]
    assert (queries[0].words, queries[0].meanings[0], len(queries)) == ("What?", "What?", count)
    assert len(queries[0].meanings) == (2 if how == "hyde" else 1)
    assert expand(["What?"], how, Writer("")) == expand(["What?"], "none", None)


def test_other_wordings_find_what_the_question_misses(index: Index) -> None:
    question = ["Refund policy?"]
    plain = make_retriever(index, HashEmbedder(), Retrieval(mode="lexical", k=1))(question)[0]
    writer = Writer("goods sent back within working days")
    settings = Retrieval(mode="lexical", k=2, rewrite="multi-query")
    found = make_retriever(index, HashEmbedder(), settings, generate=writer)(question)[0]
    assert texts(found)[0] == "Goods may be sent back within 30 working days."
    assert plain != found
    assert [name for name, _ in found[0].legs] == ["lexical 2"]


def test_a_made_up_passage_is_searched_by_meaning_only(index: Index) -> None:
    writer = Writer("The warehouse closes at noon.")
    found = make_retriever(index, HashEmbedder(), Retrieval(k=1, rewrite="hyde"), generate=writer)(["Hours?"])[0]
    assert texts(found) == ["The warehouse closes at noon."]
    assert {name for name, _ in found[0].legs} == {"dense"}


def test_queries_without_a_model_are_refused(index: Index) -> None:
    with pytest.raises(ConfigMistake, match="needs a model that writes"):
        make_retriever(index, HashEmbedder(), Retrieval(rewrite="hyde"))


# ---------------------------------------------------------------------------------------------------- conversations


def test_a_follow_up_question_is_understood_by_what_was_asked_before() -> None:
    history = [("How long may goods be kept?", "30 days"), ("And opened boxes?", "They cost 15 euros.")]
    assert stand_alone("Why?", [], how="join") == "Why?"
    assert stand_alone("Why?", history, how="off") == "Why?"
    joined = "How long may goods be kept? And opened boxes? Why?"
    assert stand_alone("Why?", history, how="join") == joined
    alone = "Who is the head of the service department?"
    assert stand_alone(alone, history, how="join") == alone, "it leans on nothing"
    good = Writer("Why do opened boxes cost 15 euros?")
    assert stand_alone("Why?", history, how="rewrite", generate=good) == "Why do opened boxes cost 15 euros?"
    assert good.asked[0][0] == "queries/follow-up"
    invented = Writer("The treaty was signed in Paris long ago")
    assert stand_alone("Why?", history, how="rewrite", generate=invented) == joined


class Remembering(Echo):
    def __init__(self) -> None:
        self.prompts: list[list[dict[str, str]]] = []

    def generate(self, prompts: Sequence[list[dict[str, str]]], decoding: Decoding) -> list[Generated]:
        self.prompts += prompts
        return super().generate(prompts, decoding)


def test_answers_search_and_show_the_conversation_and_count_what_queries_cost(index: Index) -> None:
    model = Remembering()
    approach = Approach("rag", "echo", "grounded", index="now", retrieval=Retrieval(k=1, rewrite="rewrite"))
    writer = QueryWriter(lambda: model)
    retriever = make_retriever(index, HashEmbedder(), approach.retrieval, generate=writer)
    ask = make_ask(approach, model=model, retriever=retriever, writer=writer)
    history = (("When does the warehouse close?", "At noon."),)
    (answer,) = ask([Question("q", "And why then?", answers=("x",), history=history)])
    assert texts(answer.hits) == ["The warehouse closes at noon."]
    assert "warehouse close? And why then?" in model.prompts[0][-1]["content"]
    shown = [message["content"] for message in model.prompts[1]]
    assert any("When does the warehouse close?" in text for text in shown[:-1]) and "At noon." in shown
    prompt_alone = sum(model.count_tokens(text) for text in shown)
    assert answer.tokens_in > prompt_alone


# ---------------------------------------------------------------------------------------------------- order


def test_reranker_decides_the_order(index: Index) -> None:
    def shortest(question: str, passages: Sequence[str]) -> list[float]:
        assert question == "boxes" and all(passages)
        return [-float(len(passage)) for passage in passages]

    plain = make_retriever(index, HashEmbedder(), Retrieval(k=7))(["boxes"])[0]
    found = make_retriever(index, HashEmbedder(), Retrieval(k=3, reranker="any"), reranker=shortest)(["boxes"])[0]
    assert texts(found) == sorted(texts(plain), key=len)[:3]
    assert [dict(hit.legs)["reranked"] for hit in found] == [hit.rank for hit in found] == [1, 2, 3]


def test_a_reranker_that_is_not_there_is_said(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers")
    for name in ("nonsense", str(tmp_path / "absent")):
        with pytest.raises(ModelMistake, match="no reranker") as caught:
            load_reranker(name)
        assert "none is bundled" in caught.value.tip


@pytest.mark.slow
def test_any_cross_encoder_folder_reranks(index: Index, tmp_path: Path) -> None:
    """A tiny cross-encoder with random weights: not good, but loaded, asked and obeyed."""
    torch = pytest.importorskip("torch")
    sentence_transformers = pytest.importorskip("sentence_transformers")
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    words = sorted({word for text in SENTENCES for word in text.lower().replace(".", " .").split()})
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    (tmp_path / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    BertTokenizerFast(str(tmp_path / "vocab.txt")).save_pretrained(tmp_path)
    config = BertConfig(vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                        intermediate_size=16, num_labels=1, max_position_embeddings=64)
    BertForSequenceClassification(config).save_pretrained(tmp_path)
    question = "goods sent back"
    settings = Retrieval(k=7, reranker=str(tmp_path))
    found = make_retriever(index, HashEmbedder(), settings)([question])[0]
    direct = sentence_transformers.CrossEncoder(str(tmp_path))
    from tunewise.index import passage_text

    pairs = [(question, passage_text(hit.chunk)) for hit in found]
    # Its logits: what it makes of them (a sigmoid, where its settings say nothing) is no log-odds.
    expected = direct.predict(pairs, show_progress_bar=False, activation_fn=torch.nn.Identity())
    assert list(direct.predict(pairs, show_progress_bar=False)) != pytest.approx(list(expected), abs=1e-3)
    assert [hit.score for hit in found] == pytest.approx([float(one) for one in expected], abs=1e-5)
    assert list(expected) == sorted(expected, reverse=True)


def test_diversity_leaves_out_what_says_the_same(index: Index) -> None:
    question = ["goods sent back within 30 days opened boxes"]
    near = make_retriever(index, HashEmbedder(), Retrieval(k=2))(question)[0]
    far = make_retriever(index, HashEmbedder(), Retrieval(k=2, diversity=0.7))(question)[0]
    assert {text.startswith("Goods") for text in texts(near)} == {True}
    assert texts(far)[0] == texts(near)[0]
    assert not texts(far)[1].startswith("Goods")
    assert [hit.rank for hit in far] == [1, 2]


def hit(name: str, score: float, rank: int, start: int = 0) -> Hit:
    return Hit(Chunk(name, name, "r", start, start + 1, "x"), score, rank)


def test_marginal_relevance_is_the_published_formula() -> None:
    hits = [hit("a", 1.0, 1), hit("b", 0.9, 2), hit("c", 0.5, 3)]
    vectors = np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32)
    assert [one.chunk.id for one in diversify(hits, vectors, diversity=0.0, k=3)] == ["a", "b", "c"]
    # b: .5 * .8 - .5 * 1 = -.1; c: .5 * 0 - .5 * 0 = 0.
    assert [one.chunk.id for one in diversify(hits, vectors, diversity=0.5, k=2)] == ["a", "c"]


def test_orders() -> None:
    hits = [hit("c", 1, 1), hit("a", 0.9, 2, 5), hit("a", 0.8, 3, 1), hit("b", 0.7, 4)]
    names = {order: [one.rank for one in ordered(hits, order)]
             for order in ("best-first", "best-last", "best-outside", "document")}
    assert names == {"best-first": [1, 2, 3, 4], "best-last": [4, 3, 2, 1], "best-outside": [1, 3, 4, 2],
                     "document": [3, 2, 4, 1]}


# ---------------------------------------------------------------------------------------------------- gate and fit


def searched(index: Index, question: str, gold: str | None) -> Searched:
    embedder = HashEmbedder()
    dense = index.search_dense(embedder.embed([question])[0], 20)
    lexical = index.search_lexical(question, 20)
    spans = [Gold(c.document, c.start, c.end) for c in index.catalog.chunks() if c.text == gold]
    return Searched(question, tuple(spans), (("dense", 0.5, dense), ("lexical", 0.5, lexical)))


def test_gate_skips_what_has_no_evidence_and_widens_what_is_thin(index: Index) -> None:
    known = [searched(index, text.rstrip("."), text) for text in SENTENCES[:5]] * 4
    strange = [searched(index, question, None) for question in
               ("Who painted the ceiling?", "Capital of Peru?", "Tell me a joke", "Fastest animal?", "Boiling point?")]
    fit = fit_gate([*known, *strange * 2], {"en": 0.5}, retrieval_scores, k=1)
    assert fit.questions == 30 and len(fit.reasons) >= 3
    assert fit.skip > 0
    assert any("skips below" in reason for reason in fit.reasons)
    settings = Retrieval(k=1, gate="adaptive", fit="f")
    retrieve = make_retriever(index, HashEmbedder(), settings, fit=fit)
    nothing, something = retrieve(["Who wrote the anthem of Bolivia?", "When does the warehouse close, at noon?"])
    assert nothing == []
    assert texts(something)[0] == "The warehouse closes at noon."
    wide = Fit({"en": 0.5}, fit.coefficients, 0.0, 1.1)
    assert len(make_retriever(index, HashEmbedder(), settings, fit=wide)(["opened boxes"])[0]) == 2
    assert breadth(Fit({}), (0, 0, 0, 0)) == 1


def test_gate_without_a_fit_and_without_negatives(index: Index) -> None:
    with pytest.raises(ConfigMistake, match="tunewise index fit"):
        make_retriever(index, HashEmbedder(), Retrieval(gate="adaptive"))
    fit = fit_gate([searched(index, text, text) for text in SENTENCES[:5]], {"en": 0.5}, retrieval_scores, k=1)
    assert fit.skip == 0
    assert any("never skips" in reason for reason in fit.reasons)


def test_features_tell_evidence_from_none(index: Index) -> None:
    good = searched(index, "opened boxes cost", None)
    none = searched(index, "capital of Peru", None)
    better, worse = (features(one.question, one.legs, one.fused(0.5)) for one in (good, none))
    assert all(a >= b for a, b in zip(better, worse, strict=True)) and better != worse
    zh = searched(index, "仓库中午关门吗", None)
    assert features(zh.question, zh.legs, zh.fused(0.5))[2] > 0.5


def test_weights_move_only_for_more_than_chance() -> None:
    right, wrong = (Chunk(name, name, "r", 0, 4, "text") for name in "ab")
    legs = (("dense", 0.5, [(wrong, 0.9), (right, 0.1)]), ("lexical", 0.5, [(right, 9.0)]))
    questions = [Searched(f"question {n}", (Gold("a", 0, 4),), legs) for n in range(30)]
    fooled = [Searched(f"question {n}", (Gold("b", 0, 4),), legs) for n in range(30)]
    weights, reasons = fit_weights(questions, lambda language: 1.0, retrieval_scores)
    assert weights["en"] < 1.0 and "fitted" in reasons[0]
    weights, reasons = fit_weights([*questions[:15], *fooled[:15]], lambda language: 0.5, retrieval_scores)
    assert weights == {"en": 0.5} and "stays" in reasons[0]
    weights, reasons = fit_weights(questions[:5], lambda language: 0.5, retrieval_scores)
    assert weights == {"en": 0.5} and "too few" in reasons[0]
