"""The ready-made approaches by name, as the tables that tunewise.toml would write. Knows names and values only."""

from __future__ import annotations

from typing import Any

RECIPES = ("sft", "raft", "hybrid", "dap", "dpo", "kto", "grpo", "rloo")
METHODS = ("full", "lora", "rslora", "dora", "pissa", "olora", "eva", "ia3", "qlora",
           "prompt-tuning", "prefix-tuning", "p-tuning")
"""What can be trained: the rows of a recipe, by a method."""

DEFAULT_APPROACHES: dict[str, dict[str, Any]] = {
    "zero-shot": {"prompt": "answer"},
    "few-shot": {"prompt": "answer", "examples": 3},
    "chain-of-thought": {"prompt": "chain-of-thought", "max_new_tokens": 160},
    "rag": {"prompt": "grounded", "index": True},
    "lora-sft": {"prompt": "answer", "recipe": "sft"},
    "lora-sft-rag": {"prompt": "grounded", "index": True, "recipe": "sft"},
    "raft": {"prompt": "grounded", "index": True, "recipe": "raft"},
}
"""What is compared where tunewise.toml names no approaches."""

KNOWN_APPROACHES: dict[str, dict[str, Any]] = {
    "rag-sequence": {"prompt": "grounded", "index": True, "marginal": "sequence"},
    "rag-token": {"prompt": "grounded", "index": True, "marginal": "token"},
}
"""Further ones, compared only when they are named: `--approach rag-token`, or an empty [approaches.rag-token]."""

READY_MADE = DEFAULT_APPROACHES | KNOWN_APPROACHES
