"""Retrieval: two legs fused by rank, weights, budget, order, and refusal of another embedder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from sample_documents import indexed
from tunewise.embeddings import HashEmbedder
from tunewise.errors import ConfigMistake, ModelMistake
from tunewise.index import Index
from tunewise.nouns import Retrieval
from tunewise.retrieval import fuse, make_retriever

SENTENCES = [
    "Customers may return goods within 30 days.", "Opened boxes cost 15 euros.", "The warehouse closes at noon.",
    "Drivers wear yellow vests.", "Invoices are paid monthly.", "退货须在三十天内提出。", "仓库中午关门。",
]


class EnglishOnly(HashEmbedder):
    """Does not know Chinese, and remembers how often it was asked."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.calls.append(list(texts))
        return super().embed(texts)

    def unknown_share(self, texts: Sequence[str]) -> float:
        text = "".join(texts)
        return sum(not character.isascii() for character in text) / max(1, len(text))


class Foreign(HashEmbedder):
    name = "foreign"
    fingerprint = "f" * 64


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    with indexed(tmp_path_factory.mktemp("retrieval"), SENTENCES, EnglishOnly(), groups={3: ("staff",)}) as made:
        yield made


@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical"])
def test_finds_what_was_asked(index: Index, mode: str) -> None:
    retrieve = make_retriever(index, HashEmbedder(), Retrieval(mode=mode, k=2))
    english, chinese = retrieve(["how many euros do opened boxes cost", "仓库什么时候关门"])
    assert english[0].chunk.text == "Opened boxes cost 15 euros."
    assert chinese[0].chunk.text == "仓库中午关门。"
    assert [hit.rank for hit in english] == list(range(1, len(english) + 1))
    legs = {name for hit in english for name, _ in hit.legs}
    assert legs == ({"dense", "lexical"} if mode == "hybrid" else {mode})


def test_fusion_is_the_published_formula(index: Index) -> None:
    chunks = list(index.catalog.chunks())[:3]
    a, b, c = chunks
    hits = fuse([("dense", 0.25, [(a, 0.9), (b, 0.8)]), ("lexical", 0.75, [(b, 7.0), (c, 5.0), (a, 1.0)])])
    scores = {hit.chunk.id: hit.score for hit in hits}
    assert scores == pytest.approx({a.id: 0.25 / 61 + 0.75 / 63, b.id: 0.25 / 62 + 0.75 / 61, c.id: 0.75 / 62})
    assert [hit.chunk for hit in hits] == [b, c, a] if scores[c.id] > scores[a.id] else [b, a, c]
    assert next(hit for hit in hits if hit.chunk == b).legs == (("dense", 2), ("lexical", 1))
    assert fuse([]) == []


def test_weight_zero_and_one_are_single_legs(index: Index) -> None:
    embedder = HashEmbedder()
    question = ["When may customers return opened boxes?"]
    for weight, mode in ((0.0, "lexical"), (1.0, "dense")):
        fused = make_retriever(index, embedder, Retrieval(dense_weight=weight))(question)[0]
        single = make_retriever(index, embedder, Retrieval(mode=mode))(question)[0]
        assert [hit.chunk.id for hit in fused] == [hit.chunk.id for hit in single]


def test_questions_that_the_embedder_cannot_read_are_asked_in_words(index: Index) -> None:
    embedder = EnglishOnly()
    assert index.dense_weight == 0.5
    english, chinese = make_retriever(index, embedder, Retrieval())(["opened boxes", "退货须在几天内提出"])
    assert embedder.calls == [["opened boxes"]]
    assert {name for hit in chinese for name, _ in hit.legs} == {"lexical"}
    assert {name for hit in english for name, _ in hit.legs} == {"dense", "lexical"}
    asked = make_retriever(index, embedder, Retrieval(dense_weight=0.5))(["退货须在几天内提出"])[0]
    assert {name for hit in asked for name, _ in hit.legs} == {"dense", "lexical"}


def test_a_batch_is_embedded_once_and_answers_as_single_questions(index: Index) -> None:
    embedder = EnglishOnly()
    retrieve = make_retriever(index, embedder, Retrieval(k=3))
    questions = ["yellow vests", "invoices", "noon warehouse"]
    together = retrieve(questions)
    assert embedder.calls == [questions]
    assert together == [retrieve([question])[0] for question in questions]
    assert retrieve([]) == []


def test_budget_drops_from_the_lowest_rank(index: Index) -> None:
    settings = Retrieval(k=5, budget=60)
    plenty = Retrieval(k=5, budget=10**6)
    everything = make_retriever(index, HashEmbedder(), plenty, count=len)(["opened boxes cost"])[0]
    limited = make_retriever(index, HashEmbedder(), settings, count=len)(["opened boxes cost"])[0]
    assert len(everything) == 5
    assert 1 <= len(limited) < 5
    assert limited == everything[: len(limited)]
    assert sum(len(hit.chunk.text) for hit in limited) <= 60
    assert sum(len(hit.chunk.text) for hit in everything[: len(limited) + 1]) > 60
    tiny = make_retriever(index, HashEmbedder(), Retrieval(k=5, budget=1), count=len)(["opened boxes cost"])[0]
    assert tiny == everything[:1]


def test_best_last(index: Index) -> None:
    first = make_retriever(index, HashEmbedder(), Retrieval(k=3))(["opened boxes"])[0]
    last = make_retriever(index, HashEmbedder(), Retrieval(k=3, order="best-last"))(["opened boxes"])[0]
    assert last == first[::-1]
    assert last[-1].rank == 1


def test_groups_reach_both_legs(index: Index) -> None:
    for mode in ("hybrid", "dense", "lexical"):
        retrieve = make_retriever(index, HashEmbedder(), Retrieval(mode=mode, k=7, budget=10**6))
        seen = {groups: "3.md" in {h.chunk.document for h in retrieve(["yellow vests of drivers"], groups)[0]}
                for groups in (None, (), ("staff",), ("other",))}
        assert seen == {None: True, (): False, ("staff",): True, ("other",): False}


def test_another_embedder_is_refused_with_the_way_out(index: Index) -> None:
    with pytest.raises(ModelMistake, match="built with the embedder 'hash', not with 'foreign'") as caught:
        make_retriever(index, Foreign(), Retrieval())
    assert "tunewise ingest --embedder foreign" in caught.value.tip
    with pytest.raises(ModelMistake, match="needs its embedder"):
        make_retriever(index, None, Retrieval())
    assert make_retriever(index, Foreign(), Retrieval(mode="lexical"))(["invoices"])[0]
    assert make_retriever(index, None, Retrieval(mode="lexical"))(["invoices"])[0]


def test_all_bad_settings_at_once(index: Index) -> None:
    with pytest.raises(ConfigMistake) as caught:
        make_retriever(index, HashEmbedder(), Retrieval(mode="magic", k=0, order="up", dense_weight=2.0))
    for word in ("magic", "up", "at least 1", "2.0"):
        assert word in caught.value.message
