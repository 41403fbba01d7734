"""RAG-Sequence and RAG-Token against brute force: every completion of a tiny vocabulary, one plain forward each."""

import math
from dataclasses import replace
from itertools import product

import pytest

from tiny_models import tiny_llama
from tunewise.answers import make_ask
from tunewise.errors import ConfigMistake, ModelMistake
from tunewise.models import Generated, Marginal, load_model
from tunewise.models.marginal import passage_weights
from tunewise.nouns import Approach, Chunk, Decoding, Hit, Question

NEW = 3
PASSAGES = ["abca", "ccb", "bd aa"]
SCORES = [1 / 61, 1 / 62, 1 / 64]


def test_passage_weights_are_free_of_scale_and_follow_the_scores():
    weights = passage_weights(SCORES)
    assert sum(weights) == pytest.approx(1) and weights == sorted(weights, reverse=True)
    assert passage_weights([50 * s for s in SCORES]) == pytest.approx(weights)
    assert weights[1] / weights[0] == pytest.approx(math.exp((61 / 62 - 1) / 0.1))
    assert passage_weights([0.3]) == [1.0]


@pytest.mark.parametrize("scores", [[-1.0, -4.0, -9.0], [2.0, -1.0, -3.0], [7.5, 6.5, 6.0], [0.9, 0.5, 0.1]])
def test_scores_of_a_reranker_are_log_odds_whatever_their_sign(scores):
    weights = passage_weights(scores, reranked=True)
    odds = [math.exp(score) for score in scores]
    assert weights == pytest.approx([one / sum(odds) for one in odds])
    # Only differences count: the same scores from another zero are the same probabilities.
    assert passage_weights([score - 20 for score in scores], reranked=True) == pytest.approx(weights)
    faint = passage_weights([900.0, -900.0], reranked=True)
    assert faint[1] > 0 and sum(faint) == pytest.approx(1)


@pytest.mark.parametrize("scores", [[0.2, -0.1], [0.0, 0.0]])
def test_scores_that_are_none_of_rank_fusion_are_refused(scores):
    with pytest.raises(ValueError, match="rank fusion"):
        passage_weights(scores)


def test_what_a_reranker_said_reaches_the_sum_as_log_odds():
    """All-positive scores of a reranker are no scores of rank fusion: their differences count, not their ratio."""

    class Sums:
        name, identity, seen = "local", {}, []

        def marginal(self, groups, priors, decoding):
            self.seen.append(priors)
            return [Marginal(Generated("a", 1, 1, 0.0), tuple(some)) for some in priors]

    model, logits = Sums(), [9.0, 8.0, 6.0]
    for legs in ((("dense", 1),), (("dense", 1), ("reranked", 1))):
        given = [replace(one, score=score, legs=legs) for one, score in zip(hits(), logits, strict=True)]
        make_ask(approach(marginal="sequence"), model=model, retriever=lambda q, groups=None, given=given: [given])(
            [Question("q", "How long?", ("30 days",))])
    fused, reranked = model.seen[0][0], model.seen[1][0]
    assert fused == pytest.approx(passage_weights(logits))
    assert reranked == pytest.approx([math.exp(s - 9) / sum(math.exp(x - 9) for x in logits) for s in logits])


def hits():
    return [Hit(Chunk(f"c{i}", f"d{i}", "r", 0, len(t), t), s, i + 1) for i, (t, s) in enumerate(
        zip(PASSAGES, SCORES, strict=True))]


def approach(**decoding):
    return Approach("r", "m", "grounded", index="i", decoding=Decoding(**decoding))


def test_models_without_probabilities_refuse(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    for name in ("echo", "openai:small"):
        with pytest.raises(ModelMistake, match="probabilities"):
            make_ask(approach(marginal="token"), model=load_model(name), retriever=lambda queries, groups=None: [])
    with pytest.raises(ConfigMistake, match="sums over passages"):
        make_ask(Approach("r", "m", decoding=Decoding(marginal="token")), model=load_model("echo"))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from tunewise.models import local

    patch = pytest.MonkeyPatch()
    patch.setattr(local, "precision", lambda: ("float32", "exact enough to enumerate"))
    yield local.LocalModel(str(tiny_llama(tmp_path_factory.mktemp("tiny"), letters="abcd ", hidden=16, spread=0.6)))
    patch.undo()


@pytest.fixture(scope="module")
def table(model):
    """{completion: [p(y|x,z) of each passage]} and each step's {prefix: [next-token probabilities of each passage]}."""
    import torch

    from tunewise.models.local import prompt_tokens

    prompts = [prompt_tokens(model.tokenizer, messages) for messages in groups()[0]]
    vocabulary, end = range(len(model.tokenizer)), model.tokenizer.eos_token_id
    steps = {}
    for length in range(NEW):
        for prefix in product([t for t in vocabulary if t != end], repeat=length):
            with torch.inference_mode():
                steps[prefix] = [
                    torch.softmax(model.model(input_ids=torch.tensor([[*prompt, *prefix]])).logits[0, -1], 0).tolist()
                    for prompt in prompts
                ]
    whole = {}
    for length in range(1, NEW + 1):
        for said in product(vocabulary, repeat=length):
            if end in said[:-1] or (length < NEW and said[-1] != end):
                continue
            whole[said] = [math.prod(steps[said[:i]][z][said[i]] for i in range(length)) for z in range(len(prompts))]
    return whole, steps


def groups():
    return [[[{"role": "user", "content": text}] for text in PASSAGES]]


def read(model, said):
    return model.tokenizer.decode(said, skip_special_tokens=True).strip()


@pytest.mark.slow
def test_both_marginals_are_distributions(model, table):
    whole, steps = table
    prior = passage_weights(SCORES)
    assert sum(sum(p * q for p, q in zip(prior, each, strict=True)) for each in whole.values()) == pytest.approx(1)
    token = sum(
        math.prod(sum(p * steps[said[:i]][z][said[i]] for z, p in enumerate(prior)) for i in range(len(said)))
        for said in whole
    )
    assert token == pytest.approx(1)


@pytest.mark.slow
def test_rag_sequence_finds_the_completion_of_the_largest_sum(model, table):
    whole, _ = table
    prior = passage_weights(SCORES)
    summed = {said: sum(p * q for p, q in zip(prior, each, strict=True)) for said, each in whole.items()}
    best = max(summed, key=summed.get)
    wide = Decoding(max_new_tokens=NEW, marginal="sequence", beams=16)
    found = model.marginal(groups(), [prior], wide)[0]
    assert found.generated.text == read(model, best)
    expected = [p * q / summed[best] for p, q in zip(prior, whole[best], strict=True)]
    assert found.posterior == pytest.approx(expected, rel=1e-4)
    # With greedy candidates it is the best of those, not of all.
    greedy = model.marginal(groups(), [prior], Decoding(max_new_tokens=NEW, marginal="sequence"))[0]
    own = set()
    for z in range(len(PASSAGES)):
        said = ()
        while len(said) < NEW and (not said or said[-1] != model.tokenizer.eos_token_id):
            step = table[1][said][z]
            said += (step.index(max(step)),)
        own.add(said)
    assert greedy.generated.text == read(model, max(own, key=summed.get))


@pytest.mark.slow
def test_rag_token_takes_the_best_token_of_the_mixture_at_every_step(model, table):
    whole, steps = table
    prior = passage_weights(SCORES)
    said = ()
    while len(said) < NEW and (not said or said[-1] != model.tokenizer.eos_token_id):
        mixed = [sum(p * steps[said][z][t] for z, p in enumerate(prior)) for t in range(len(model.tokenizer))]
        said += (mixed.index(max(mixed)),)
    found = model.marginal(groups(), [prior], Decoding(max_new_tokens=NEW, marginal="token"))[0]
    assert found.generated.text == read(model, said)
    joint = [p * q for p, q in zip(prior, whole[said], strict=True)]
    assert found.posterior == pytest.approx([one / sum(joint) for one in joint], rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("marginal", ["sequence", "token"])
def test_one_passage_is_ordinary_decoding_and_batching_changes_nothing(model, marginal):
    decoding = Decoding(max_new_tokens=6, marginal=marginal)
    alone = [[{"role": "user", "content": "ab"}]]
    plain = model.generate([alone[0]], Decoding(max_new_tokens=6))[0]
    many = [alone, *groups(), [[{"role": "user", "content": "dddd cc bb a"}]]]
    priors = [[1.0], passage_weights(SCORES), [1.0]]
    found = model.marginal(many, priors, decoding)
    assert found[0].generated.text == plain.text and found[0].posterior == (1.0,)
    for group, some, one in zip(many, priors, found, strict=True):
        single = model.marginal([group], [some], decoding)[0]
        assert single.generated.text == one.generated.text
        assert single.posterior == pytest.approx(one.posterior, rel=1e-3)


@pytest.mark.slow
def test_sampling_draws_from_the_mixture(model, table):
    _, steps = table
    prior = passage_weights(SCORES)
    first = [sum(p * steps[()][z][t] for z, p in enumerate(prior)) for t in range(len(model.tokenizer))]
    drawn = [
        model.marginal(groups() * 8, [prior] * 8, Decoding(1, temperature=1.0, seed=seed, marginal="token"))
        for seed in range(60)
    ]
    texts = [one.generated.text for some in drawn for one in some]
    for letter in "abcd":
        expected = first[model.tokenizer.convert_tokens_to_ids(letter)]
        spread = 4 * math.sqrt(expected * (1 - expected) / len(texts))
        assert abs(texts.count(letter) / len(texts) - expected) < spread + 1e-9


@pytest.mark.slow
def test_an_answer_names_the_passage_that_speaks(model, monkeypatch):
    said = Marginal(Generated("30 days [1] [3]", 9, 4, 0.1), (0.2, 0.7, 0.1))
    monkeypatch.setattr(model, "marginal", lambda groups, scores, decoding: [said])
    ask = make_ask(approach(marginal="sequence"), model=model, retriever=lambda q, groups=None: [hits()] * len(q))
    answer = ask([Question("q", "How long?", ("30 days",))])[0]
    # [1] is the passage of its own prompt, so the second of all; [3] named nothing there and may name nothing here.
    assert answer.raw == "30 days [2] [6]" and answer.citations[0].document == "d1"
    assert not any(citation.verified for citation in answer.citations)
