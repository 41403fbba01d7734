"""Training rows as token ids, and batches of them. Nothing is ever cut; what does not fit is refused by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tunewise.errors import DataMistake, Failed
from tunewise.models.local import prompt_tokens
from tunewise.training.rows import TrainingRow

IGNORED = -100
"""The label of a position without loss."""
CONTEXT = 32
"""Tokens of the block before that a block of raw text sees, without loss."""


def encode(
    rows: Sequence[TrainingRow], tokenizer: Any, *, longest: int, block: int = 512
) -> list[dict[str, list[int]]]:
    """Token ids of each row: `prompt` as answering sends it, `completion` with the end token, and both as one input.

    A row without messages is raw text: it becomes blocks of at most `block` tokens, each of which sees the end of the
    one before, and every token of it bears loss exactly once. A row longer than `longest` is a `DataMistake`.
    """
    encoded, faults = [], []
    for row in rows:
        if not row.messages:
            encoded += _blocks(row, tokenizer, min(block, longest))
            continue
        prompt = prompt_tokens(tokenizer, row.chat())
        completion = tokenizer(row.completion, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
        if len(prompt) + len(completion) > longest:
            faults.append(f"question {row.question}: {len(prompt) + len(completion)} tokens")
        encoded.append(_item(prompt, completion))
    if faults:
        raise DataMistake(
            f"{len(faults)} training row(s) are longer than the model's {longest} tokens",
            tip="lower [retrieval] budget or k in tunewise.toml",
            faults=tuple(faults),
        )
    return encoded


def _item(prompt: list[int], completion: list[int]) -> dict[str, list[int]]:
    """`labels[i]` is the token that position i of `input_ids` must predict."""
    return {
        "prompt": prompt,
        "completion": completion,
        "input_ids": prompt + completion[:-1],
        "labels": [IGNORED] * (len(prompt) - 1) + completion,
    }


def _blocks(row: TrainingRow, tokenizer: Any, size: int) -> list[dict[str, list[int]]]:
    end = tokenizer.eos_token_id
    tokens = tokenizer(row.completion, add_special_tokens=False)["input_ids"] + [end]
    start = [tokenizer.bos_token_id if tokenizer.bos_token_id is not None else end]
    context = min(CONTEXT, size // 4)
    # Equal pieces instead of full ones and a scrap: a scrap of three tokens teaches nothing and costs a batch.
    room = size - context
    count = -(-len(tokens) // room)
    cuts = [i * len(tokens) // count for i in range(count + 1)]
    made = [
        _item(start + tokens[max(0, a - context) : a] if a else start, tokens[a:b])
        for a, b in zip(cuts, cuts[1:], strict=False)
    ]
    if sum(len(item["completion"]) for item in made) != len(tokens):
        raise Failed(f"text of {row.documents} was lost between its tokens and its blocks")
    return made


def collate(batch: Sequence[dict[str, Any]], *, pad: int, left: bool = True, offset: int = 0) -> dict[str, Any]:
    """Padded tensors of (rows, width); logits are kept only for the positions where some row has loss.

    Plain rows are padded on the left, so that completions end together and few positions are kept. `left=False` is for
    virtual tokens, which must touch the text: `offset` of them stand before it. Rows of `sharing.pack` bring positions
    and a `paths` table, from which the block mask is made (see there).
    """
    import torch

    width = max(len(row["input_ids"]) for row in batch)
    shared = any("segments" in row for row in batch)
    ids = torch.full((len(batch), width), pad)
    seen = torch.zeros((len(batch), width), dtype=torch.long)
    labels = torch.full((len(batch), width), IGNORED)
    positions = torch.zeros((len(batch), width), dtype=torch.long)
    for i, row in enumerate(batch):
        length = len(row["input_ids"])
        place = slice(width - length, width) if left and not shared else slice(0, length)
        ids[i, place] = torch.tensor(row["input_ids"])
        labels[i, place] = torch.tensor(row["labels"])
        seen[i, place] = 1
        positions[i, place] = torch.tensor(row["positions"]) if "positions" in row else torch.arange(length)
    kept = (labels != IGNORED).any(0).nonzero().squeeze(1)
    kept_labels = labels[:, kept]
    made = {
        "input_ids": ids,
        "attention_mask": seen,
        "position_ids": positions,
        # They stand where they are predicted, so they are "shifted" already.
        "labels": kept_labels,
        "shift_labels": kept_labels,
        "logits_to_keep": kept + offset,
    }
    if shared:
        from tunewise.training.sharing import block_mask

        made["attention_mask"] = block_mask(batch, width)
    if offset:
        # PEFT drops position ids before virtual tokens, and says so each time.
        del made["position_ids"]
    return made
