"""Completions as they come into being: `Streaming` wraps a model, tells each new piece of text, and stops on request.

Local models stream token by token, several prompts in one batch; endpoints stream through; any other model gives its
text in one piece. What is told is exactly the final text: whitespace at its ends is held back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tunewise.models import Generated, Model
from tunewise.models.endpoint import Endpoint
from tunewise.nouns import Decoding

HALF = "�"
"""What a tokenizer shows for a character whose bytes are not all there yet."""


@dataclass(slots=True)
class Listener:
    """Who waits for one prompt's text: `on_text` is told every new piece, `stopped` says that nobody waits any more."""

    on_text: Callable[[str], None]
    stopped: Callable[[], bool]
    told: str = field(default="", init=False)

    def tell(self, text: str) -> None:
        """Pass on what is new in the text so far, but no whitespace that may turn out to be its end."""
        ready = text.strip()
        if ready.endswith(HALF) or not ready.startswith(self.told):
            return
        new = ready[len(self.told) :]
        if new:
            self.told = ready
            self.on_text(new)


class Streaming:
    """A model whose `generate` tells its text to listeners, one for each prompt, in their order."""

    def __init__(self, model: Model, listeners: Sequence[Listener]) -> None:
        self._model, self._listeners = model, listeners
        self.name, self.identity, self.count_tokens = model.name, model.identity, model.count_tokens

    def __getattr__(self, name: str) -> Any:
        # What only some models can (marginal decoding) stays what it is, and is not streamed.
        return getattr(self._model, name)

    def generate(self, prompts: Sequence[list[dict[str, str]]], decoding: Decoding) -> list[Generated]:
        """As the model's own `generate`; a stopped prompt's completion is what there was of it."""
        from tunewise.models.adapters import Worn
        from tunewise.models.llamacpp import LlamaCpp
        from tunewise.models.local import LocalModel

        if len(prompts) != len(self._listeners):
            return self._model.generate(prompts, decoding)
        if isinstance(self._model, (LocalModel, Worn)):
            local = self._model.local if isinstance(self._model, Worn) else self._model
            listeners = self._listeners
            done = self._model.generate(prompts, decoding, watch=lambda rows: _criteria(local, rows, listeners))
        elif isinstance(self._model, (Endpoint, LlamaCpp)):
            done = self._model.stream(prompts, decoding, self._listeners)
        else:
            done = self._model.generate(prompts, decoding)
        for listener, generated in zip(self._listeners, done, strict=True):
            if not listener.stopped():
                listener.tell(generated.text)
        return done


def _criteria(model: Any, rows: Sequence[int], listeners: Sequence[Listener]) -> Any:
    """A transformers StoppingCriteria for a batch: sees each new token, tells the text, ends rows nobody waits for."""
    import torch
    from transformers import StoppingCriteria

    class Watch(StoppingCriteria):
        def __init__(self) -> None:
            self.tokens: list[list[int]] = [[] for _ in rows]
            self.over = [False] * len(rows)

        def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
            for place, token in enumerate(input_ids[:, -1].tolist()):
                if self.over[place]:
                    continue
                listener = listeners[rows[place]]
                if token in model.ends or listener.stopped():
                    self.over[place] = True
                    continue
                self.tokens[place].append(token)
                listener.tell(model.tokenizer.decode(self.tokens[place], skip_special_tokens=True))
            return torch.tensor(self.over, device=input_ids.device)

    return Watch()
