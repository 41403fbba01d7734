"""How much memory and time a run will take, with bounds, before it starts; and how far from the machine's limit it was.

Floating-point operations are counted from the model's shape (Kaplan et al. 2020, arXiv:2001.08361, appendix; two for
each multiply-add), the machine's rate is measured on matrix products of the model's own size and dtype. The bounds were
set on tiny models and on single runs of the bundled one: they are a guess elsewhere, and `tune` keeps both figures.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewise.errors import need

FASTEST, SLOWEST = 0.75, 0.08
"""Shares of the matrix-product rate that training reached at best and at worst."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a run computes. Tokens are those that pass through the layers; `kept` those that get logits."""

    rows: int
    tokens: int
    kept: int
    longest: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """A low and a high guess."""

    low: float
    high: float

    def hold(self, value: float) -> bool:
        """Whether a measured value lies between them."""
        return self.low <= value <= self.high


def matrix_rate(dtype: Any, width: int, inner: int, *, seconds: float = 0.4, device: str = "cpu") -> float:
    """Floating-point operations per second of products of (1024, width) by (width, inner)."""
    torch = need("torch", feature="training", extra="train")
    a = torch.randn(1024, width, device=device).to(dtype)
    b = torch.randn(width, inner, device=device).to(dtype)
    for _ in range(3):
        a @ b
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        for _ in range(5):
            a @ b
        if device == "cuda":
            torch.cuda.synchronize()
        done += 5
    return 2.0 * 1024 * width * inner * done / (time.perf_counter() - start)


def layer_parameters(config: Any) -> int:
    """Weights of the matrices of one decoder layer."""
    width, inner = config.hidden_size, config.intermediate_size
    head = getattr(config, "head_dim", None) or width // config.num_attention_heads
    queries = config.num_attention_heads * head
    keys = (getattr(config, "num_key_value_heads", None) or config.num_attention_heads) * head
    return width * queries * 2 + width * keys * 2 + 3 * width * inner


def operations(config: Any, work: Work, *, trained: int, top: int, cached: bool, weights: bool, epochs: float) -> float:
    """Floating-point operations of a run that trains the `top` layers, `trained` parameters in all.

    `cached`: the layers below run once instead of every epoch. `weights`: the layers' own weights get gradients.
    """
    layer = 2.0 * layer_parameters(config) + 2.0 * config.hidden_size * work.longest
    below = (config.num_hidden_layers - top) * layer
    # Backward costs as much as forward for the activations, and again for weights that are trained themselves.
    above = top * layer * (3.0 if weights else 2.0) + (0.0 if weights else 6.0 * trained)
    head = 2.0 * config.hidden_size * config.vocab_size * 2.0
    return work.tokens * (below * (1.0 if cached else epochs) + above * epochs) + work.kept * head * epochs


def time_bounds(flops: float, rate: float) -> Bounds:
    """Seconds that so many operations take on a machine of that matrix rate."""
    return Bounds(flops / (rate * FASTEST), flops / (rate * SLOWEST) + 5.0)


def memory_bounds(
    config: Any,
    work: Work,
    *,
    batch: int,
    now: int,
    trained: int,
    top: int,
    itemsize: int,
    cached: bool,
    checkpointing: bool,
    kept: int,
) -> Bounds:
    """Bytes at the peak: what the process holds `now` (weights loaded), gradients and Adam's two moments,
    activations of the trained layers for a batch of so many tokens, logits of its `kept` positions, and the
    cache of frozen layers."""
    width, inner = config.hidden_size, config.intermediate_size
    layers = 1 if checkpointing else top
    # Inputs of norms and projections in the base's dtype, and float32 copies inside norms and adapters.
    activations = batch * layers * (itemsize * (8 * width + 4 * inner) + 4 * 4 * width)
    logits = kept * config.vocab_size * (itemsize + 3 * 4)
    fixed = now + trained * 12 + (work.tokens * width * itemsize if cached else 0)
    return Bounds(fixed + 0.3 * activations + 0.3 * logits, fixed + 2.5 * activations + 1.5 * logits + 6e8)


def free_memory(device: str) -> int:
    """Bytes that this machine, or its GPU, has left."""
    if device == "cuda":
        torch = need("torch", feature="training", extra="train")
        return int(torch.cuda.mem_get_info()[0])
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        for line in meminfo.read_text(encoding="ascii", errors="ignore").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def width_of(model: str) -> int:
    """The hidden size of a model by name, without loading it."""
    from tunewise.models.local import resolve
    from tunewise.store import read_json

    return int(read_json(resolve(model) / "config.json")["hidden_size"])
