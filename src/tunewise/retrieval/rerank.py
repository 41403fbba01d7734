"""(question, passages) → how well each answers it, by a cross-encoder that reads both together (Nogueira & Cho 2019).

Knows nothing about legs or indexes. No cross-encoder is bundled: it is asked for by name, and refused by name. What
reranks with a language model's probabilities (`LIKELIHOOD`) is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

from tunewise.errors import ModelMistake, need

Reranker = Callable[[str, Sequence[str]], list[float]]
"""Log-odds or log-likelihoods of passages for one question, higher is better: their softmax is p(passage | question),
and only their differences count."""

LIKELIHOOD = "likelihood"
"""Query likelihood by a language model, as the settings name it: "likelihood:MODEL"."""
RERANKED = "reranked"
"""The name that a reranker's ranks have among the legs of a hit."""


@lru_cache(maxsize=1)
def load_reranker(name: str) -> Reranker:
    """A sentence-transformers cross-encoder by local folder or hub id; safetensors only, no code of the model's is run.

    `ModelMistake` when there is none of that name here, or when it gives more than one score for a passage.
    """
    torch = need("torch", feature=f"the reranker {name!r}", extra="local")
    library = need("sentence_transformers", feature=f"the reranker {name!r}", extra="local")
    tip = (
        "name the folder of a cross-encoder with safetensors, or a hub id; none is bundled: leave reranker out, or "
        f"take {LIKELIHOOD!r}, which needs none"
    )
    if name.partition(":")[0] == LIKELIHOOD:
        raise ModelMistake(f"the reranker {name!r} needs a language model, and none was handed in", tip=tip)
    folder = Path(name)
    if not folder.is_dir() and (folder.is_absolute() or name.count("/") != 1):
        raise ModelMistake(f"there is no reranker {name!r}", tip=tip)
    try:
        model = library.CrossEncoder(name, trust_remote_code=False, model_kwargs={"use_safetensors": True})
    except (OSError, ValueError) as error:
        cause = str(error).splitlines()[0]
        raise ModelMistake(f"the reranker {name!r} cannot be loaded: {cause}", tip=tip) from error
    if model.num_labels != 1:
        raise ModelMistake(
            f"{name!r} is no reranker: it gives {model.num_labels} scores for a passage instead of one", tip=tip
        )

    def rerank(question: str, passages: Sequence[str]) -> list[float]:
        pairs = [(question, passage) for passage in passages]
        # Its logits, whatever it would make of them: a sigmoid is no log-odds, and rounds the best of them all to 1.
        scores = model.predict(pairs, batch_size=32, show_progress_bar=False, activation_fn=torch.nn.Identity()) \
            if pairs else []
        return [float(score) for score in scores]

    return rerank
