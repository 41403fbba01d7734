"""What this machine is, how much memory the process took and how much energy: figures that every run keeps.

Standard library only; nvidia-ml-py where it is there anyway.
"""

from __future__ import annotations

import os
import platform
import resource
import sys
import threading
import time
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_LIBRARIES = ("tunewise", "torch", "transformers", "peft", "lancedb", "numpy", "scipy", "pypdfium2")


@cache
def machine() -> dict[str, str | int]:
    """Processor, cores, memory and Python of this machine."""
    processor, memory = platform.processor() or platform.machine(), 0
    if Path("/proc/cpuinfo").is_file():
        for line in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="ignore").splitlines():
            if line.startswith("model name"):
                processor = line.partition(":")[2].strip()
                break
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**30
    return {
        "processor": processor,
        "cores": os.cpu_count() or 1,
        "memory_gib": memory,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


@cache
def versions() -> dict[str, str]:
    """Versions of the libraries that figures depend on, where they are installed."""
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def reset_peak() -> bool:
    """Start to measure the peak memory anew; False where the system cannot (then the peak is the whole process's)."""
    try:
        # Linux: 5 resets VmHWM, see proc_pid_clear_refs(5).
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def peak_memory() -> int:
    """The largest resident size since `reset_peak` (or since the start), in bytes."""
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="ascii", errors="ignore").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


# ------------------------------------------------------------------------------------------------ energy

POWERCAP = Path("/sys/class/powercap")
"""Where Linux shows the energy counters of processors (RAPL; Intel's and AMD's alike)."""


def counters(powercap: Path = POWERCAP) -> dict[str, tuple[float, float]]:
    """{counter: (joules so far, joules at which it begins again)} of processors with their memory and of GPUs.

    Empty where the system shows none. Of processors all are read or none: a part of them would look like the whole.
    """
    found: dict[str, tuple[float, float]] = {}
    try:
        for zone in sorted(powercap.glob("intel-rapl:*")):
            # Cores and graphics are part of their package, and "psys" holds the packages once more; memory is extra.
            if (zone / "name").read_text("ascii").strip().startswith(("package", "dram")):
                found[f"cpu {zone.name}"] = (int((zone / "energy_uj").read_text("ascii")) / 1e6,
                                             int((zone / "max_energy_range_uj").read_text("ascii")) / 1e6)
    except (OSError, ValueError):
        # On most systems only root may read them: they tell others too much of what is being computed.
        found = {}
    return found | _gpu_counters()


def _gpu_counters() -> dict[str, tuple[float, float]]:
    """The counters of the GPUs that this process may use, where nvidia-ml-py is installed and they have one."""
    try:
        import pynvml
    except ImportError:
        return {}
    try:
        pynvml.nvmlInit()
        named = os.environ.get("CUDA_VISIBLE_DEVICES")
        names = [str(i) for i in range(pynvml.nvmlDeviceGetCount())] if named is None else named.split(",")
        found = {}
        for name in filter(None, map(str.strip, names)):
            by_number = name.isdecimal()
            gpu = pynvml.nvmlDeviceGetHandleByIndex(int(name)) if by_number else pynvml.nvmlDeviceGetHandleByUUID(name)
            # Thousandths of a joule since the driver was loaded, in 64 bits: it never begins again.
            found[f"gpu {name}"] = (pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu) / 1e3, 0.0)
        return found
    except pynvml.NVMLError:
        return {}


class Meter:
    """Joules that this machine's processors and GPUs took since the meter was made; `parts` says which could be read.

    A processor's counter begins again after some minutes of hard work: one round between two readings is allowed for,
    two would be taken for one. `watch` reads by itself, each so many seconds, for work that nobody interrupts.
    """

    def __init__(self, powercap: Path = POWERCAP, *, watch: float = 0.0) -> None:
        self.powercap, self.joules, self.lock = powercap, 0.0, threading.Lock()
        self.last = counters(powercap)
        self.parts = "+".join(sorted({name.partition(" ")[0] for name in self.last}))
        if watch and self.last:
            threading.Thread(target=self._watch, args=(watch,), daemon=True, name="energy").start()

    def read(self) -> float | None:
        """Joules since it was made; None where they cannot be read (any more)."""
        with self.lock:
            now = counters(self.powercap)
            if not self.last or now.keys() != self.last.keys():
                self.last = {}
                return None
            for name, (joules, round_at) in now.items():
                gone = joules - self.last[name][0]
                self.joules += gone if gone >= 0 else gone + round_at
            self.last = now
            return self.joules

    def _watch(self, every: float) -> None:
        while self.read() is not None:
            time.sleep(every)
