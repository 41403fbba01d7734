"""Reranking by query likelihood: the published score, whatever the batch, and nothing but the order is changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sample_documents import indexed
from tiny_models import tiny_llama
from tunewise.embeddings import HashEmbedder
from tunewise.errors import ConfigMistake, DataMistake, ModelMistake
from tunewise.index import Index, passage_text
from tunewise.jobs.library import Library
from tunewise.jobs.reranking import likelihood_reranker, scoring_model
from tunewise.nouns import Hit, Retrieval
from tunewise.project import load_project
from tunewise.prompts import render
from tunewise.retrieval import load_reranker, make_retriever

SENTENCES = [
    "Goods may be sent back within 30 days.", "Opened boxes cost 15 euros.", "The warehouse closes at noon.",
    "Drivers wear yellow vests.", "Invoices are paid monthly, in euros, by the warehouse and by nobody else at all.",
    "退货须在三十天内提出。", "仓库中午关门。", "Board members may open boxes.",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    return tiny_llama(tmp_path_factory.mktemp("tiny"), seed=3)


@pytest.fixture(scope="module")
def model(folder: Path) -> Iterator[Any]:
    from tunewise.models import local

    patch = pytest.MonkeyPatch()
    patch.setattr(local, "precision", lambda: ("float32", "exact enough to compare"))
    yield local.LocalModel(str(folder))
    patch.undo()


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    with indexed(tmp_path_factory.mktemp("likelihood"), SENTENCES, HashEmbedder(), groups={7: ("board",)}) as made:
        yield made


def messages(language: str):
    return lambda passage: render("queries/likelihood", passage, language=language)


def by_hand(model: Any, question: str, passage: str, language: str) -> float:
    """Mean log-probability of the question's tokens, by one plain forward pass without padding."""
    import torch

    from tunewise.models.local import prompt_tokens

    prompt = prompt_tokens(model.tokenizer, messages(language)(passage))
    said = model.tokenizer(question, add_special_tokens=False)["input_ids"]
    with torch.inference_mode():
        logits = model.model(input_ids=torch.tensor([[*prompt, *said]])).logits[0].float()
    steps = torch.log_softmax(logits, dim=-1)
    return sum(float(steps[len(prompt) - 1 + n, token]) for n, token in enumerate(said)) / len(said)


@pytest.mark.parametrize(("question", "language"), [("When does the warehouse close?", "en"), ("仓库几点关门？", "zh")])
def test_scores_are_the_published_ones_whatever_the_batch(model: Any, question: str, language: str) -> None:
    together = model.likelihoods(question, SENTENCES, messages(language))
    alone = [model.likelihoods(question, [passage], messages(language))[0] for passage in SENTENCES]
    expected = [by_hand(model, question, passage, language) for passage in SENTENCES]
    assert together == pytest.approx(alone, abs=1e-4)
    assert together == pytest.approx(expected, abs=1e-4)
    assert len(set(together)) == len(SENTENCES) and max(together) < 0
    other = model.likelihoods(question, SENTENCES, messages("zh" if language == "en" else "en"))
    assert other != pytest.approx(together, abs=1e-3), "each language has an instruction of its own"


def test_long_passages_lose_their_end_and_long_questions_are_refused(model: Any) -> None:
    long = "The warehouse closes at noon. " * 200
    (score,) = model.likelihoods("When does it close?", [long], messages("en"))
    instruction = len(render("queries/likelihood", "", language="en")[-1]["content"])
    # Bytes are tokens here: what is left is a beginning that nearly fills the model.
    candidates = [by_hand(model, "When does it close?", long[:n], "en") for n in range(1024 - instruction - 60, 1004)]
    assert min(abs(score - one) for one in candidates) < 1e-4
    assert model.likelihoods("", ["a", "b"], messages("en")) == [0.0, 0.0]
    assert model.likelihoods("Why?", [], messages("en")) == []
    with pytest.raises(DataMistake, match="too long"):
        model.likelihoods("why " * 300, ["a"], messages("en"))


def retrieved(index: Index, settings: Retrieval, question: str, groups: Any = None, **more: Any) -> list[Hit]:
    return make_retriever(index, HashEmbedder(), settings, **more)([question], groups)[0]


def test_it_orders_and_neither_adds_nor_loses(index: Index, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from tunewise.jobs import reranking

    monkeypatch.setattr(reranking, "_loaded", lambda name: model)
    settings = Retrieval(k=8, budget=10**6, reranker="likelihood:any")
    for question in ("when does the warehouse close", "仓库什么时候关门"):
        plain = retrieved(index, replace(settings, reranker=None), question)
        found = retrieved(index, settings, question, reranker=likelihood_reranker("any"))
        assert {hit.chunk.id for hit in found} == {hit.chunk.id for hit in plain}
        language = "en" if question.isascii() else "zh"
        expected = [by_hand(model, question, passage_text(hit.chunk), language) for hit in found]
        assert [hit.score for hit in found] == pytest.approx(expected, abs=1e-4)
        assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)
        assert [dict(hit.legs)["reranked"] for hit in found] == [hit.rank for hit in found] == [*range(1, 9)]


def test_readers_are_shown_and_scored_nothing_that_they_may_not_see(index: Index) -> None:
    seen: list[str] = []

    def rerank(question: str, passages: Sequence[str]) -> list[float]:
        seen.extend(passages)
        return [float("Board" in passage) for passage in passages]

    settings = Retrieval(k=8, budget=10**6, reranker="any")
    hidden = {hit.chunk.document for hit in retrieved(index, settings, "open boxes", (), reranker=rerank)}
    assert "7.md" not in hidden and not any("Board" in passage for passage in seen)
    shown = retrieved(index, settings, "open boxes", ("board",), reranker=rerank)
    assert shown[0].chunk.document == "7.md"


@pytest.mark.parametrize(("depth", "k", "asked"), [(2, 1, 2), (1, 3, 3), (20, 3, 7)])
def test_only_the_best_are_scored(index: Index, depth: int, k: int, asked: int) -> None:
    counts: list[int] = []

    def rerank(question: str, passages: Sequence[str]) -> list[float]:
        counts.append(len(passages))
        return [float(n) for n, _ in enumerate(passages)]

    settings = Retrieval(k=k, budget=10**6, rerank_depth=depth, reranker="any")
    assert len(retrieved(index, settings, "open boxes in the warehouse", (), reranker=rerank)) == k
    assert counts == [asked]


@pytest.mark.parametrize("name", ["echo", "openai:small", "gguf:smollm2"])
def test_models_without_probabilities_are_refused_with_a_way_out(name: str) -> None:
    with pytest.raises(ModelMistake, match="token probabilities") as caught:
        scoring_model(f"likelihood:{name}")
    assert "likelihood:smollm2" in caught.value.tip


def test_what_is_no_likelihood_is_not_taken_for_one(index: Index) -> None:
    assert scoring_model(None) is None and scoring_model("owner/cross-encoder") is None
    assert scoring_model("likelihood:smollm2") == "smollm2"
    with pytest.raises(ConfigMistake, match="needs a model"):
        scoring_model("likelihood")
    pytest.importorskip("sentence_transformers")
    with pytest.raises(ModelMistake, match="none was handed in"):
        load_reranker("likelihood:smollm2")
    with pytest.raises(ConfigMistake, match="rerank_depth"):
        retrieved(index, Retrieval(rerank_depth=0), "boxes")


def test_a_project_says_which_model_orders(tmp_path: Path) -> None:
    file = tmp_path / "tunewise.toml"
    file.write_text(
        '[project]\nmodel = "echo"\n[approaches.rag]\nindex = true\n[approaches.better]\nindex = true\n'
        '[approaches.better.retrieval]\nreranker = "likelihood:smollm2"\nrerank_depth = 5\n[approaches.rag-reranked]\n'
    )
    project = load_project(file, environ={})
    found = {one.name: one.retrieval for one in project.approaches}
    assert found["rag"].reranker is None and found["rag"].rerank_depth == 20
    assert (found["better"].reranker, found["better"].rerank_depth) == ("likelihood:smollm2", 5)
    assert found["rag-reranked"].reranker == "likelihood:echo"
    file.write_text('[retrieval]\nreranker = "likelihood"\n')
    assert load_project(file, environ={}).retrieval.reranker == "likelihood:smollm2"
    file.write_text("[retrieval]\nrerank_depth = 0\n")
    with pytest.raises(ConfigMistake, match="rerank_depth"):
        load_project(file, environ={})


def test_a_library_reranks_with_the_model_that_is_named(
    index: Index, model: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunewise.jobs import reranking

    monkeypatch.setattr(reranking, "load_model", lambda name: {str(folder): model}[name])
    reranking._loaded.cache_clear()
    books = Library(index.catalog, index, HashEmbedder(), tmp_path)
    settings = Retrieval(k=2, reranker=f"likelihood:{folder}")
    (hits,) = books.retriever(settings, len)(["when does the warehouse close"])
    assert all(hit.score < 0 for hit in hits) and len(hits) == 2
    reranking._loaded.cache_clear()
    with pytest.raises(ModelMistake, match="token probabilities"):
        books.retriever(Retrieval(reranker="likelihood:openai:small"), len)


def test_the_model_that_answers_is_not_loaded_twice(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from tunewise.jobs import reranking

    class Other:
        """Stands for what is loaded where the answering model is another one, or wears something."""

        def likelihoods(self, text: str, passages: Sequence[str], messages: Any) -> list[float]:
            return [1.0 for _ in passages]

    monkeypatch.setattr(reranking, "_loaded", lambda name: Other())
    own = likelihood_reranker(model.name, model)("Why?", ["a", "b"])
    assert own == model.likelihoods("Why?", ["a", "b"], messages("en"))
    assert likelihood_reranker("another", model)("Why?", ["a", "b"]) == [1.0, 1.0]
    monkeypatch.setattr(model, "identity", model.identity | {"adapter": "0" * 64})
    assert likelihood_reranker(model.name, model)("Why?", ["a", "b"]) == [1.0, 1.0]


def test_models_of_one_base_score_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tunewise.models import load_models, local

    monkeypatch.setattr(local, "precision", lambda: ("float32", "exact enough to compare"))
    shared = load_models(str(folder), {"bare": None})["bare"]
    alone = local.LocalModel(str(folder)).likelihoods("Why?", SENTENCES[:3], messages("en"))
    assert shared.likelihoods("Why?", SENTENCES[:3], messages("en")) == pytest.approx(alone, abs=1e-5)
