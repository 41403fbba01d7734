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
    "rag-adaptive": {"prompt": "grounded", "index": True, "retrieval": {"gate": "adaptive"}},
    "rag-diverse": {"prompt": "grounded", "index": True, "retrieval": {"diversity": 0.3}},
    "rag-reranked": {"prompt": "grounded", "index": True, "retrieval": {"reranker": "likelihood"}},
    "rag-rewrite": {"prompt": "grounded", "index": True, "retrieval": {"rewrite": "rewrite"}},
    "rag-decompose": {"prompt": "grounded", "index": True, "retrieval": {"rewrite": "decompose"}},
    "rag-multi-query": {"prompt": "grounded", "index": True, "retrieval": {"rewrite": "multi-query"}},
    "rag-hyde": {"prompt": "grounded", "index": True, "retrieval": {"rewrite": "hyde"}},
}
"""Further ones, compared only when they are named: `--approach rag-adaptive`, or an empty [approaches.rag-adaptive]."""

READY_MADE = DEFAULT_APPROACHES | KNOWN_APPROACHES
