"""A fake model that ships: it answers with the sentence of the prompt that shares most words with the question.

Deterministic, instant, no weights. It stands in for a model in tests and in a first look at a project.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Any

from tunewise.models import Generated
from tunewise.nouns import Decoding
from tunewise.sentences import prompt_language, terms

_SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")


class Echo:
    """Answers from the passages of the prompt by word overlap, with the passage's marker; refuses without passages."""

    name = "echo"
    identity: dict[str, Any] = {"model": "echo", "version": 1}

    def count_tokens(self, text: str) -> int:
        """Words and Chinese characters."""
        return len(terms(text))

    def generate(self, prompts: Sequence[list[dict[str, str]]], decoding: Decoding) -> list[Generated]:
        """One completion for each list of messages; `decoding.max_new_tokens` counts words."""
        return [self._one(messages, decoding) for messages in prompts]

    def _one(self, messages: list[dict[str, str]], decoding: Decoding) -> Generated:
        start = time.perf_counter()
        user = messages[-1]["content"]
        head, _, question = user.rpartition("\n\n")
        wanted = set(terms(question))
        best, best_score = "", 0.0
        for block in re.split(r"\n\n(?=\[\d+\])", head):
            marker = re.match(r"\[(\d+)\]", block)
            for sentence in _SENTENCE.split(block[marker.end() :]) if marker else ():
                words = set(terms(sentence))
                score = len(words & wanted) / (len(wanted) or 1)
                if words and score > best_score:
                    best, best_score = f"{sentence.strip()} [{marker[1]}]", score
        text = best or ("文档中没有。" if prompt_language(question) == "zh" else "Not in the documents.")
        prompt = sum(self.count_tokens(message["content"]) for message in messages)
        return Generated(
            text, prompt, min(self.count_tokens(text), decoding.max_new_tokens), time.perf_counter() - start
        )
