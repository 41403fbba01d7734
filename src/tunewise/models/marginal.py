"""RAG-Sequence and RAG-Token (Lewis et al. 2020, arXiv:2005.11401) as decoding for any causal language model.

Each of k passages z stands in a prompt of its own; p(z|x) comes from the retrieval scores.

- token:    p(y|x) = prod_i sum_z p(z|x) p(y_i|x,z,y_<i). Every step takes the mixture's best token, for all prompts.
- sequence: p(y|x) = sum_z p(z|x) p(y|x,z). Each prompt gives candidates (greedy, or `beams` of them); each is scored
  under *all* prompts ("thorough decoding" of the paper), and the largest sum wins. No length normalisation, as there.

p(z|x) of fused passages = softmax(score / (best score * TEMPERATURE)). Scores of reciprocal rank fusion have no unit
and lie close together (1/61, 1/62, …): dividing by the best one takes their scale away, so that the temperature means
the same for every weighting of the legs. At 0.1, a passage second in both legs weighs .85 of one first in both, and one
found by a single leg of two .007. A reranker gives log-odds or log-likelihoods: those are exponentiated as they are.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tunewise.errors import need
from tunewise.models import Generated, Marginal, chains
from tunewise.models.gpu import in_batches, out_of_memory
from tunewise.nouns import Decoding

if TYPE_CHECKING:
    from tunewise.models.local import LocalModel

TEMPERATURE = 0.1
_FAINTEST = -30.0
BATCH_TOKENS = 12_288
BATCH_ROWS = 32
BATCH_LOGITS = 4096
"""Positions of one batch whose logits are kept when completions are scored: 0.8 GB in float32 at 49,152 words."""


def passage_weights(
    scores: Sequence[float], *, reranked: bool = False, temperature: float = TEMPERATURE
) -> list[float]:
    """p(z|x) of each passage from its retrieval score (higher is better); they sum to 1.

    `reranked`: the scores are a reranker's, log-odds or log-likelihoods, and p(z|x) = softmax(score); else they are of
    rank fusion, none below 0 and the best above.
    """
    best = max(scores)
    if reranked:
        # Bounded, so that no passage's logarithm is that of nothing.
        raised = [math.exp(max(score - best, _FAINTEST)) for score in scores]
    else:
        if min(scores) < 0 or best == 0:
            raise ValueError(f"scores of rank fusion are not negative, and not all 0: {list(scores)}")
        raised = [math.exp((score / best - 1) / temperature) for score in scores]
    return [value / sum(raised) for value in raised]


def decode(
    model: LocalModel,
    groups: Sequence[Sequence[list[dict[str, str]]]],
    priors: Sequence[Sequence[float]],
    decoding: Decoding,
) -> list[Marginal]:
    """One completion for each group of prompts, in order; `priors` are p(z|x) of the group's passages."""
    from tunewise.models.local import prompt_tokens

    rows = [[prompt_tokens(model.tokenizer, messages) for messages in group] for group in groups]
    method = {"token": _token, "sequence": _sequence}[decoding.marginal]
    done: list[Marginal | None] = [None] * len(rows)
    waiting = list(_packs(rows, decoding.max_new_tokens))[::-1]
    while waiting:
        pack = waiting.pop()
        start = time.perf_counter()
        try:
            found = method(model, [rows[i] for i in pack], [priors[i] for i in pack], decoding)
        except Exception as error:
            # A group is computed as a whole: its prompts say each token together.
            if len(pack) == 1 or not out_of_memory(error):
                raise
            waiting += [pack[len(pack) // 2 :], pack[: len(pack) // 2]]
            continue
        seconds = (time.perf_counter() - start) / len(pack)
        for i, (tokens, posterior) in zip(pack, found, strict=True):
            said = tokens[:-1] if tokens and tokens[-1] in model.ends else tokens
            text = model.tokenizer.decode(said, skip_special_tokens=True).strip()
            read = sum(map(len, rows[i]))
            done[i] = Marginal(Generated(text, read, len(said), seconds), tuple(posterior))
    return [one for one in done if one is not None]


def _packs(rows: Sequence[Sequence[Sequence[int]]], new: int) -> Iterator[list[int]]:
    """Groups that are computed together: longest first, within the limits of a batch; a group is never divided."""
    pack: list[int] = []
    width = count = 0
    for i in sorted(range(len(rows)), key=lambda i: -max(map(len, rows[i]))):
        width = width or max(map(len, rows[i])) + new
        after = count + len(rows[i])
        if pack and (after > BATCH_ROWS or after * width > BATCH_TOKENS):
            yield pack
            pack, width, after = [], max(map(len, rows[i])) + new, len(rows[i])
        pack.append(i)
        count = after
    if pack:
        yield pack


def _padded(model: LocalModel, rows: Sequence[Sequence[int]]) -> tuple[Any, Any]:
    torch = need("torch", feature="a local model", extra="local")
    width = max(map(len, rows))
    pad = model.tokenizer.pad_token_id
    ids = torch.tensor([[pad] * (width - len(row)) + list(row) for row in rows], device=model._device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=model._device)
    return ids, mask


def _generate(model: LocalModel, rows: Sequence[Sequence[int]], decoding: Decoding, **how: Any) -> list[list[int]]:
    """Token ids that `generate` adds to each row, up to and with the end token."""
    torch = need("torch", feature="a local model", extra="local")
    ids, mask = _padded(model, rows)
    inputs, worn = {"input_ids": ids, "attention_mask": mask}, model.model
    with torch.inference_mode():
        if hasattr(worn, "prompt_encoder"):
            inputs, worn = chains.virtual_inputs(worn, ids, mask), worn.get_base_model()
        out = worn.generate(
            **inputs, max_new_tokens=decoding.max_new_tokens, pad_token_id=model.tokenizer.pad_token_id,
            eos_token_id=sorted(model.ends), **how,
        )
    produced = []
    # Given embeddings, generate returns the new tokens alone.
    given = inputs["input_ids"].shape[1] if "input_ids" in inputs else 0
    for row in out[:, given:].tolist():
        end = next((place for place, token in enumerate(row) if token in model.ends), len(row))
        produced.append(row[: end + 1])
    return produced


# ------------------------------------------------------------------------------------------- RAG-Token


class _Mixture:
    """A logits processor: all prompts of a group get the mixture's log-probabilities, so all take the same token."""

    def __init__(self, sizes: Sequence[int], priors: Sequence[Sequence[float]], ends: set[int], decoding: Decoding,
                 device: str) -> None:
        torch = need("torch", feature="a local model", extra="local")
        starts = [sum(sizes[:i]) for i in range(len(sizes))]
        self.parts = [slice(start, start + size) for start, size in zip(starts, sizes, strict=True)]
        self.log_prior = torch.tensor([p for some in priors for p in some], device=device).log()
        self.ends = torch.tensor(sorted(ends), device=device)
        # log p(y_<i | x, z) of every row, for the posterior of the passages.
        self.likelihood = torch.zeros(sum(sizes), device=device)
        self.over = torch.zeros(sum(sizes), dtype=torch.bool, device=device)
        self.own: Any = None
        self.temperature = decoding.temperature
        self.noise = torch.Generator(device="cpu").manual_seed(decoding.seed)

    def take(self, tokens: Any) -> None:
        """Count the tokens (one a row) that were chosen from the last step."""
        torch = need("torch", feature="a local model", extra="local")
        gained = self.own.gather(1, tokens[:, None]).squeeze(1)
        self.likelihood += torch.where(self.over, torch.zeros_like(gained), gained)
        self.over |= torch.isin(tokens, self.ends)

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        torch = need("torch", feature="a local model", extra="local")
        if self.own is not None:
            self.take(input_ids[:, -1])
        self.own = torch.log_softmax(scores.float(), dim=-1)
        mixed = torch.empty_like(self.own)
        for part in self.parts:
            one = torch.logsumexp(self.own[part] + self.log_prior[part, None], dim=0)
            if self.temperature > 0:
                # Gumbel-max: the largest of noisy log-probabilities is a sample, and the same one for all rows.
                uniform = torch.rand(one.shape, generator=self.noise).clamp_(1e-20, 1 - 1e-7).to(one.device)
                one = one / self.temperature - torch.log(-torch.log(uniform))
            mixed[part] = one
        return mixed


def _token(
    model: LocalModel, groups: Sequence[Sequence[list[int]]], priors: Sequence[Sequence[float]], decoding: Decoding
) -> list[tuple[list[int], list[float]]]:
    torch = need("torch", feature="a local model", extra="local")
    transformers = need("transformers", feature="a local model", extra="local")
    sizes = [len(group) for group in groups]
    mixture = _Mixture(sizes, priors, model.ends, decoding, model._device)
    produced = _generate(
        model, [row for group in groups for row in group], decoding, do_sample=False, temperature=None, top_p=None,
        top_k=None, logits_processor=transformers.LogitsProcessorList([mixture]),
    )
    # The last token was chosen after the last call; rows that ended earlier take nothing any more.
    mixture.take(torch.tensor([row[-1] for row in produced], device=model._device))
    weighed = mixture.log_prior + mixture.likelihood
    return [(produced[part.start], torch.softmax(weighed[part], 0).tolist()) for part in mixture.parts]


# ------------------------------------------------------------------------------------------- RAG-Sequence


def _sequence(
    model: LocalModel, groups: Sequence[Sequence[list[int]]], priors: Sequence[Sequence[float]], decoding: Decoding
) -> list[tuple[list[int], list[float]]]:
    torch = need("torch", feature="a local model", extra="local")
    how: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    if decoding.temperature > 0:
        torch.manual_seed(decoding.seed)
        how = {"do_sample": True, "temperature": decoding.temperature}
    if decoding.beams > 1:
        how |= {"num_beams": decoding.beams, "num_return_sequences": decoding.beams}
    produced = iter(_generate(model, [row for group in groups for row in group], decoding, **how))
    candidates = []
    for group in groups:
        some = [tuple(next(produced)) for _ in range(len(group) * decoding.beams)]
        candidates.append(list(dict.fromkeys(some)))
    pairs = [
        (prompt, list(said))
        for group, some in zip(groups, candidates, strict=True)
        for said in some
        for prompt in group
    ]
    likelihood = iter(log_likelihoods(model, pairs))
    chosen = []
    for some, prior in zip(candidates, priors, strict=True):
        joint = torch.tensor([[math.log(p) + next(likelihood) for p in prior] for _ in some])
        best = int(torch.logsumexp(joint, dim=1).argmax())
        chosen.append((list(some[best]), torch.softmax(joint[best], 0).tolist()))
    return chosen


def log_likelihoods(model: LocalModel, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[float]:
    """log p(completion | prompt) of (prompt ids, completion ids), teacher-forced; logits only where they are read.

    Batched by length, and halved when memory is short.
    """
    found = [0.0] * len(pairs)
    order = sorted(range(len(pairs)), key=lambda i: -(len(pairs[i][0]) + len(pairs[i][1])))

    def size(waiting: Sequence[int], limit: int) -> int:
        many = max(1, min(limit, len(waiting), BATCH_TOKENS // sum(map(len, pairs[waiting[0]]))))
        # A logit is as wide as the vocabulary: few positions of many rows take more than all the rest.
        while many > 1 and many * max(len(pairs[i][1]) for i in waiting[:many]) > BATCH_LOGITS:
            many -= 1
        return many

    def compute(batch: Sequence[int]) -> None:
        for i, value in zip(batch, _summed(model, [pairs[i] for i in batch]), strict=True):
            found[i] = value

    in_batches(order, size, compute, most=BATCH_ROWS)
    return found


def _summed(model: LocalModel, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[float]:
    """log p(completion | prompt) of one batch."""
    torch = need("torch", feature="a local model", extra="local")
    ids, mask = _padded(model, [[*prompt, *said[:-1]] for prompt, said in pairs])
    kept = max(len(said) for _, said in pairs)
    with torch.inference_mode():
        logits = _forward(model, ids, mask, kept)
    found = []
    for row, (_, said) in enumerate(pairs):
        wanted = torch.tensor(said, device=model._device)
        own = torch.log_softmax(logits[row, kept - len(said) :].float(), dim=-1)
        found.append(float(own.gather(1, wanted[:, None]).sum()))
    return found


def _forward(model: LocalModel, ids: Any, mask: Any, kept: int) -> Any:
    """Logits of the last `kept` positions of left-padded rows; virtual tokens stand right before each row's text."""
    inputs, worn = {"input_ids": ids, "attention_mask": mask}, model.model
    if hasattr(worn, "prompt_encoder"):
        inputs, worn = chains.virtual_inputs(worn, ids, mask), worn.get_base_model()
    seen = inputs["attention_mask"]
    positions = (seen.cumsum(1) - 1).clamp(min=0)
    if "past_key_values" in inputs:
        # A prefix is in the cache already: only the text is read.
        inputs["input_ids"], positions = ids, positions[:, -ids.shape[1] :]
    return worn(**inputs, position_ids=positions, logits_to_keep=kept).logits[:, -kept:]
