"""How much of a GPU's memory was taken. torch is not imported for it: where nothing has loaded it, no GPU was used."""

from __future__ import annotations

import sys
from typing import Any


def reset_gpu_peak() -> None:
    """Start to measure the peak anew: from what is allocated now on."""
    if (cuda := _cuda()) is not None:
        for device in range(cuda.device_count()):
            cuda.reset_peak_memory_stats(device)


def gpu_peak() -> int:
    """The most bytes that tensors took on all GPUs together since `reset_gpu_peak`; 0 where no GPU is used."""
    cuda = _cuda()
    return sum(cuda.max_memory_allocated(device) for device in range(cuda.device_count())) if cuda is not None else 0


def _cuda() -> Any:
    torch = sys.modules.get("torch")
    # Before the first tensor is put there, asking for its statistics would start CUDA.
    return torch.cuda if torch is not None and torch.cuda.is_initialized() else None
