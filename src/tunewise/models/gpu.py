"""How much of a GPU's memory was taken, giving it back, and whether memory ran out, there or on this machine.

torch is not imported for it: where nothing has loaded it, no GPU was used.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
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


def release() -> None:
    """Give back the GPU memory that torch keeps for later, so that another process can have it.

    Models must have been let go (and collected) before: what is in use stays.
    """
    if (cuda := _cuda()) is not None:
        cuda.empty_cache()


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or on this machine.

    torch has a class for it on GPUs; on a CPU it raises a RuntimeError that tells it in words only.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    words = ("not enough memory", "can't allocate memory", "CUDA out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
    return isinstance(error, RuntimeError) and any(one in str(error) for one in words)


def in_batches(
    waiting: Sequence[int], size: Callable[[Sequence[int], int], int], compute: Callable[[Sequence[int]], None],
    *, most: int,
) -> None:
    """Call `compute` with batch after batch of what waits, in order; when memory runs out, with half as many at once.

    `size(waiting, limit)` says how many of the first go together, 1 to `limit`; the limit begins with `most`. What a
    single one has no memory for is raised.
    """
    limit = most
    while waiting:
        together = size(waiting, limit)
        try:
            compute(waiting[:together])
        except Exception as error:
            if together == 1 or not out_of_memory(error):
                raise
            limit = together // 2
            continue
        waiting = waiting[together:]


def _cuda() -> Any:
    torch = sys.modules.get("torch")
    # Before the first tensor is put there, asking for its statistics would start CUDA.
    return torch.cuda if torch is not None and torch.cuda.is_initialized() else None
