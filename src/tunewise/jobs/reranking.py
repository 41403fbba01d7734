"""`likelihood:MODEL` → a reranker: how likely a local model finds the question after each passage.

Joins the wording of prompts with the probabilities of models, so that retrieval need not know either.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import cast

from tunewise.errors import ConfigMistake, ModelMistake
from tunewise.models import LikelihoodModel, Model, is_local, load_model
from tunewise.prompts import render
from tunewise.retrieval import LIKELIHOOD, Reranker
from tunewise.sentences import prompt_language

TEMPLATE = "queries/likelihood"
_LOADING = threading.Lock()


def scoring_model(reranker: str | None) -> str | None:
    """The model that a reranker of that name scores with; None for a cross-encoder and for none.

    `ConfigMistake` when no model is named, `ModelMistake` when it gives no probabilities.
    """
    if reranker is None or reranker.partition(":")[0] != LIKELIHOOD:
        return None
    model = reranker.partition(":")[2]
    if not model:
        raise ConfigMistake("the reranker 'likelihood' needs a model", tip=f'reranker = "{LIKELIHOOD}:smollm2"')
    if not is_local(model):
        raise ModelMistake(
            f"the reranker 'likelihood' reads token probabilities, and {model} gives none",
            tip=f'use a local model, for example reranker = "{LIKELIHOOD}:smollm2"',
        )
    return model


def likelihood_reranker(name: str, ready: Model | None = None) -> Reranker:
    """Mean log p(question | passage) by the model of that name: `ready` where it is that one and wears nothing, else
    one that is loaded when it is first asked."""
    own = ready if ready is not None and ready.name == name and "adapter" not in ready.identity else None

    def rerank(question: str, passages: Sequence[str]) -> list[float]:
        if not passages:
            return []
        language = prompt_language(question)
        with _LOADING:
            model = _loaded(name) if own is None else cast(LikelihoodModel, own)
        return model.likelihoods(question, passages, lambda passage: render(TEMPLATE, passage, language=language))

    return rerank


@lru_cache(maxsize=1)
def _loaded(name: str) -> LikelihoodModel:
    # Bare, whatever an approach wears: the order of passages must not change with an adapter.
    return cast(LikelihoodModel, load_model(name))
