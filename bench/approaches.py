"""Every approach that the benchmarks compare, by name, as the lines of its block in tunewise.toml."""

from __future__ import annotations

from collections.abc import Iterable

_PROMPTS = {
    "zero-shot": 'prompt = "answer"',
    "few-shot": 'prompt = "answer"\nexamples = 4',
    "chain-of-thought": 'prompt = "chain-of-thought"',
}
_RETRIEVAL = {
    "rag": "index = true",
    "rag-few-shot": "index = true\nexamples = 4",
    "rag-sequence": 'index = true\nmarginal = "sequence"',
    "rag-token": 'index = true\nmarginal = "token"',
}
_TRAINING = {
    "lora-sft": 'recipe = "sft"',
    "lora-sft-rag": 'index = true\nrecipe = "sft"',
    "raft": 'index = true\nrecipe = "raft"',
    "hybrid": 'index = true\nrecipe = "hybrid"',
    "dap": 'prompt = "answer"\nrecipe = "dap"',
    "dap-sft": 'recipe = "sft"\nparent = "dap"',
    "dpo": 'index = true\nrecipe = "dpo"\nparent = "raft"',
}
METHODS = ("full", "rslora", "dora", "pissa", "olora", "eva", "ia3", "prompt-tuning", "prefix-tuning", "p-tuning")
_BLOCKS = {
    **_PROMPTS,
    **_RETRIEVAL,
    **_TRAINING,
    **{f"raft-{method}": f'{_TRAINING["raft"]}\nmethod = "{method}"' for method in METHODS},
}
NAMES = tuple(_BLOCKS)


def blocks(names: Iterable[str], *, max_new_tokens: int) -> str:
    """The `[approaches.NAME]` blocks of `names`; reasoning aloud may take twice as many tokens.

    Raises SystemExit with the names that exist when one does not.
    """
    lines = []
    for name in names:
        if name not in _BLOCKS:
            raise SystemExit(f"no approach {name!r}: one of {', '.join(NAMES)}")
        limit = max_new_tokens * (2 if name == "chain-of-thought" else 1)
        lines.append(f"[approaches.{name}]\n{_BLOCKS[name]}\nmax_new_tokens = {limit}\n")
    return "\n".join(lines)
