"""How likely a local model finds a text after each of some passages: the score of query likelihood.

Unsupervised passage reranking (UPR; Sachan et al. 2022, arXiv:2204.07496): the question is read, not written, so one
forward pass scores a passage. Knows nothing about retrieval or the wording of prompts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tunewise.errors import DataMistake
from tunewise.models.marginal import log_likelihoods

if TYPE_CHECKING:
    from tunewise.models.local import LocalModel

Messages = Callable[[str], list[dict[str, str]]]
"""A passage → the chat messages that ask for the text."""


def likelihoods(model: LocalModel, text: str, passages: Sequence[str], messages: Messages) -> list[float]:
    """Mean log p(token of `text` | passage, instruction) in nats for each passage; batched, padded by length.

    A passage that is longer than the model takes loses its end. `DataMistake` when the text alone is too long.
    """
    said = list(model.tokenizer(text, add_special_tokens=False)["input_ids"])
    if not said:
        return [0.0] * len(passages)
    longest = getattr(model.model.config.get_text_config(decoder=True), "max_position_embeddings", None)
    room = None if longest is None else longest - len(said)
    pairs = [(_prompt(model, passage, messages, room), said) for passage in passages]
    return [total / len(said) for total in log_likelihoods(model, pairs)]


def _prompt(model: LocalModel, passage: str, messages: Messages, room: int | None) -> list[int]:
    """Token ids of the prompt for a passage, of which as much is left as goes into `room` tokens."""
    from tunewise.models.local import prompt_tokens

    ids = prompt_tokens(model.tokenizer, messages(passage))
    while room is not None and len(ids) > room:
        if not passage:
            raise DataMistake(
                f"the question is too long for {model.name}: {len(ids) - room} tokens more than it reads",
                tip="shorten it, or search without the reranker",
            )
        own = max(1, model.count_tokens(passage))
        # Always shorter than before, however many characters a token has.
        passage = passage[: len(passage) * max(0, own - (len(ids) - room)) // own]
        ids = prompt_tokens(model.tokenizer, messages(passage))
    return ids
