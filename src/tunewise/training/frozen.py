"""Frozen lower layers, computed once: what they give for a row never changes, so it is kept instead of done again.

With the top half of the layers trained, the lower half's forward pass is a third of the work of every epoch after the
first. The layers are put aside and a hidden state goes in where token ids went in; names of weights stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tunewise.errors import need
from tunewise.training.shapes import layers_of

MOST_BYTES = 3 << 30


def worth_it(items: Sequence[dict[str, Any]], *, layers: int, epochs: float, width: int, itemsize: int) -> bool:
    """Whether lower layers are frozen, are used more than once, and their output for all rows is small enough."""
    size = sum(len(item["input_ids"]) for item in items) * width * itemsize
    return layers > 0 and epochs > 1 and size <= MOST_BYTES


class LowerLayers:
    """The frozen layers of a model, taken out after `items` got their hidden states; `restore` puts them back."""

    def __init__(self, model: Any, count: int) -> None:
        torch = need("torch", feature="training", extra="train")

        class Passed(torch.nn.Module):  # type: ignore[misc, name-defined]
            """Stands where a layer was that has been computed already."""

            def __init__(self, keep: Callable[[Any], Any] | None = None) -> None:
                super().__init__()
                self.keep = keep

            def forward(self, hidden_states: Any, *_: Any, **__: Any) -> Any:
                if self.keep is not None:
                    self.keep(hidden_states)
                return hidden_states

        self._decoder = model.get_decoder()
        self._layers = model.get_submodule(layers_of(model).name)
        self._kept = [self._layers[i] for i in range(count)]
        self._passed = [Passed() for _ in range(count)]
        self._came: list[Any] = []
        above = len(self._layers) - count
        self._upper = [Passed(self._came.append), *(Passed() for _ in range(above - 1))]
        self._torch = torch

    def _lower(self, batch: dict[str, Any]) -> Any:
        """Hidden states after the frozen layers: what comes to the first of the others, none of which is computed."""
        layers, count = list(self._layers), len(self._kept)
        try:
            for i, passed in enumerate(self._upper):
                self._layers[count + i] = passed
            taken = {k: v for k, v in batch.items() if k in ("input_ids", "attention_mask", "position_ids")}
            self._decoder(**taken, use_cache=False)
            return self._came.pop()
        finally:
            for i in range(count, len(layers)):
                self._layers[i] = layers[i]

    def compute(
        self,
        items: Sequence[dict[str, Any]],
        collate: Callable[[Sequence[dict[str, Any]]], dict[str, Any]],
        *,
        tokens: int,
        device: Any,
        progress: Callable[[int, int], None],
    ) -> None:
        """Give every item its `hidden` states (length, width), in batches of about `tokens` tokens."""
        order = sorted(range(len(items)), key=lambda i: len(items[i]["input_ids"]))
        at = 0
        with self._torch.no_grad():
            while at < len(order):
                size = max(1, min(len(order) - at, tokens // len(items[order[at]]["input_ids"])))
                while size > 1 and size * len(items[order[at + size - 1]]["input_ids"]) > tokens:
                    size -= 1
                some = [items[i] for i in order[at : at + size]]
                batch = {k: v.to(device) for k, v in collate(some).items()}
                hidden = self._lower(batch).cpu()
                for row, (item, states) in enumerate(zip(some, hidden, strict=True)):
                    first = self._start(batch, row, item)
                    item["hidden"] = states[first : first + len(item["input_ids"])].clone()
                at += size
                progress(at, len(order))

    @staticmethod
    def _start(batch: dict[str, Any], row: int, item: dict[str, Any]) -> int:
        """Where a row begins in its batch: padding is on the left, but for packs."""
        return 0 if "segments" in item else batch["input_ids"].shape[1] - len(item["input_ids"])

    def put_aside(self) -> None:
        """From here on the model takes hidden states (`inputs_embeds`) of the frozen layers."""
        for i, passed in enumerate(self._passed):
            self._layers[i] = passed

    def restore(self) -> None:
        """The whole model again."""
        for i, layer in enumerate(self._kept):
            self._layers[i] = layer


def with_hidden(items: Sequence[dict[str, Any]], batch: dict[str, Any]) -> dict[str, Any]:
    """A collated batch with the items' hidden states in the place of token ids."""
    torch = need("torch", feature="training", extra="train")
    ids = batch.pop("input_ids")
    first = items[0]["hidden"]
    hidden = torch.zeros((*ids.shape, first.shape[-1]), dtype=first.dtype)
    for row, item in enumerate(items):
        start = LowerLayers._start({"input_ids": ids}, row, item)
        hidden[row, start : start + len(item["input_ids"])] = item["hidden"]
    return batch | {"inputs_embeds": hidden}
