"""How much memory and time a run will take, with bounds, before it starts; and how far from the machine's limit it was.

Floating-point operations are counted from the model's shape (Kaplan et al. 2020, arXiv:2001.08361, appendix; two for
each multiply-add), the machine's rate is measured on matrix products of the model's own size and dtype. The bounds were
set on tiny models and on single runs of the bundled one: they are a guess elsewhere, and `tune` keeps both figures.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewise.errors import need
from tunewise.machine import peak_memory
from tunewise.models.gpu import gpu_peak

FASTEST, SLOWEST = 0.75, 0.08
"""Shares of the matrix-product rate that training reached at best and at worst."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a run computes. Tokens are those that pass through the layers; `kept` those that get logits; `width` the
    length of the row that a token stands in, as a mean over tokens."""

    rows: int
    tokens: int
    kept: int
    width: float


def mean_width(lengths: Sequence[int]) -> float:
    """The length of a token's row, as a mean over all tokens."""
    return sum(length * length for length in lengths) / max(1, sum(lengths))


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
    # Two products with the half of its row that a token sees.
    layer = 2.0 * layer_parameters(config) + 2.0 * config.hidden_size * work.width
    below = (config.num_hidden_layers - top) * layer
    # Backward costs as much as forward for the activations, and again for weights that are trained themselves.
    above = top * layer * (3.0 if weights else 2.0) + (0.0 if weights else 6.0 * trained)
    head = 2.0 * config.hidden_size * config.vocab_size * 2.0
    return work.tokens * (below * (1.0 if cached else epochs) + above * epochs) + work.kept * head * epochs


def time_bounds(flops: float, rate: float) -> Bounds:
    """Seconds that so many operations take on a machine of that matrix rate."""
    return Bounds(flops / (rate * FASTEST), flops / (rate * SLOWEST) + 5.0)


BATCH_TOKENS = 2400
"""Padded tokens in one batch on a CPU (about 4 GB with the bundled model, and no faster beyond)."""
MOST_BATCH_TOKENS = 65_536
"""The same on a GPU, whatever memory it has: beyond it the kernels are busy anyway."""
GPU_SHARE = 0.5
"""The share of a GPU's free memory that one batch is planned into: activations are a guess, and validation follows."""


def batch_tokens(config: Any, *, device: str, free: int, itemsize: int) -> int:
    """Padded tokens that may be computed at once: measured on a CPU, on a GPU what half of its free memory holds."""
    if device != "cuda":
        return BATCH_TOKENS
    layers, width, inner = config.num_hidden_layers, config.hidden_size, config.intermediate_size
    token = 2.5 * _activations(layers, width, inner, itemsize) + 1.5 * _logits(config.vocab_size, itemsize)
    return int(min(MOST_BATCH_TOKENS, max(BATCH_TOKENS, GPU_SHARE * free / token)))


def widened(size: int, accumulation: int, *, longest: int, tokens: int) -> tuple[int, int]:
    """A batch and its accumulation as a CPU takes them, with as many rows at once as `tokens` has room for.

    A step keeps its rows, so that a run learns from the same ones wherever it runs, and whatever memory is free.
    """
    step = size * accumulation
    fits = [one for one in range(size + 1, step + 1) if step % one == 0 and one * longest <= tokens]
    return (max(fits), step // max(fits)) if fits and tokens > BATCH_TOKENS else (size, accumulation)


def _activations(layers: int, width: int, inner: int, itemsize: int) -> int:
    """Bytes of one token: inputs of norms and projections in the base's dtype, and float32 copies inside norms and
    adapters."""
    return layers * (itemsize * (8 * width + 4 * inner) + 4 * 4 * width)


def _logits(words: int, itemsize: int) -> int:
    """Bytes of one position: logits in the base's dtype, and in float32 with their gradients."""
    return words * (itemsize + 3 * 4)


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
    activations = batch * _activations(layers, width, inner, itemsize)
    logits = kept * _logits(config.vocab_size, itemsize)
    fixed = now + trained * 12 + (work.tokens * width * itemsize if cached else 0)
    return Bounds(fixed + 0.3 * activations + 0.3 * logits, fixed + 2.5 * activations + 1.5 * logits + 6e8)


def held_memory(device: str) -> int:
    """Bytes that this process has at its peak so far, where the model is: of its GPU's tensors, or of this machine."""
    return gpu_peak() if device == "cuda" else peak_memory()


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

    config = read_json(resolve(model) / "config.json")
    # A model that also sees pictures has the config of its text part inside.
    return int(config.get("text_config", config)["hidden_size"])
