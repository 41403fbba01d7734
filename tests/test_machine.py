"""The energy counters of a machine, read from a folder that looks like Linux's."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from tunewise.costs import bill
from tunewise.jobs.energy import Metered
from tunewise.machine import Meter, counters
from tunewise.nouns import Answer, Approach, Cost, Needs, Question, Row


def zone(folder: Path, place: str, name: str, joules: float, *, most: float = 1000.0) -> None:
    (folder / place).mkdir(parents=True, exist_ok=True)
    for file, value in (("name", name), ("energy_uj", round(joules * 1e6)), ("max_energy_range_uj", round(most * 1e6))):
        # Whole at any moment, as the system's own files are.
        (folder / "new").write_text(f"{value}\n")
        (folder / "new").replace(folder / place / file)


@pytest.fixture
def powercap(tmp_path: Path) -> Path:
    """Two packages with a core and memory each, and the domain that holds everything once more."""
    (tmp_path / "intel-rapl").mkdir()
    zone(tmp_path, "intel-rapl:0", "package-0", 100.0)
    zone(tmp_path, "intel-rapl:0:0", "core", 70.0)
    zone(tmp_path, "intel-rapl:0:1", "dram", 10.0)
    zone(tmp_path, "intel-rapl:1", "package-1", 990.0)
    zone(tmp_path, "intel-rapl:2", "psys", 500.0)
    zone(tmp_path, "intel-rapl-mmio:0", "package-0", 100.0)
    return tmp_path


def test_energy_is_that_of_packages_and_memory_and_goes_round(powercap: Path) -> None:
    meter = Meter(powercap)
    assert meter.parts == "cpu" and meter.read() == 0
    zone(powercap, "intel-rapl:0", "package-0", 130.0)
    zone(powercap, "intel-rapl:0:0", "core", 99.0)
    zone(powercap, "intel-rapl:0:1", "dram", 12.0)
    zone(powercap, "intel-rapl:1", "package-1", 15.0)
    zone(powercap, "intel-rapl:2", "psys", 999.0)
    assert meter.read() == pytest.approx(30 + 2 + 25), "the second package began again at 1000 J"
    assert meter.read() == pytest.approx(57), "the same reading adds nothing"


def test_what_may_not_be_read_is_unknown_and_not_a_part(powercap: Path, tmp_path: Path) -> None:
    (powercap / "intel-rapl:1" / "energy_uj").unlink()
    (powercap / "intel-rapl:1" / "energy_uj").mkdir()  # root may read everything, but no folder as a file
    assert counters(powercap) == {} and Meter(powercap).read() is None
    assert Meter(tmp_path / "none").read() is None


def test_a_counter_that_goes_away_makes_the_energy_unknown(powercap: Path) -> None:
    meter = Meter(powercap)
    (powercap / "intel-rapl:0:1" / "name").write_text("uncore")
    assert meter.read() is None and meter.read() is None


def test_answers_are_charged_for_themselves_alone(powercap: Path) -> None:
    joules = [100.0]

    def ask(questions):
        joules[0] += 5.0 * len(questions)
        zone(powercap, "intel-rapl:0", "package-0", joules[0])
        return [Answer(question.id, "x") for question in questions]

    ask_metered = Metered(ask, Meter(powercap))
    ask_metered([Question("a", "?"), Question("b", "?")])
    zone(powercap, "intel-rapl:0", "package-0", 200.0)
    joules[0] = 200.0
    ask_metered([Question("c", "?")])
    assert ask_metered.onto(Cost(labels=3)) == Cost(labels=3, answer_joules=5.0, energy_of="cpu")
    silent = Metered(ask, Meter(powercap / "none"))
    silent([Question("a", "?")])
    assert silent.onto(Cost()) == Cost()


def test_energy_costs_something_only_where_a_kilowatt_hour_has_a_price() -> None:
    tuned = Approach("sft", "m", recipe="sft")
    cost = Cost(train_seconds=3600, train_joules=7.2e6, answer_joules=360.0, energy_of="cpu")
    rows = [Row("q", Answer("q", "a", seconds=36.0), {})]
    needs = Needs(price_cpu_hour=1.0, price_label=0.0, updates_per_month=1, months=1, answers_per_month=100)
    free, priced = bill(tuned, cost, rows, needs), bill(tuned, cost, rows, replace(needs, price_kwh=0.5))
    assert (free.set_up, free.per_answer, free.per_update) == (1.0, 0.01, 1.0)
    assert priced.set_up == priced.per_update == pytest.approx(2.0), "two kilowatt-hours for training, each time"
    assert priced.per_answer == pytest.approx(0.01 + 0.5e-4)
    far = replace(tuned, recipe=None, endpoint="https://example.org/v1", price=0.002)
    assert bill(far, replace(cost, answer_joules=None), rows, replace(needs, price_kwh=9.0)).per_answer == 0.002


def test_the_energy_of_the_gpus_that_may_be_used(powercap: Path, tmp_path: Path, monkeypatch) -> None:
    """A made-up NVML: two GPUs that count thousandths of a joule."""
    used = {0: 5000, 1: 7000}

    class NVMLError(Exception):
        pass

    def energy(gpu: int) -> int:
        if gpu not in used:
            raise NVMLError
        return used[gpu]

    fake = SimpleNamespace(
        NVMLError=NVMLError, nvmlInit=lambda: None, nvmlDeviceGetCount=lambda: 2, nvmlDeviceGetHandleByIndex=int,
        nvmlDeviceGetHandleByUUID=lambda name: int(name.removeprefix("GPU-")),
        nvmlDeviceGetTotalEnergyConsumption=energy,
    )
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    both, alone = Meter(powercap), Meter(tmp_path / "none")
    used[1] += 2500
    zone(powercap, "intel-rapl:0", "package-0", 101.0)
    assert both.parts == "cpu+gpu" and both.read() == pytest.approx(3.5)
    assert alone.parts == "gpu" and alone.read() == pytest.approx(2.5)
    for named, keys in (("1", {"gpu 1"}), ("GPU-0", {"gpu GPU-0"}), ("", set()), ("7", set())):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
        assert counters(tmp_path / "none").keys() == keys


def test_a_meter_that_watches_counts_every_round(powercap: Path) -> None:
    meter = Meter(powercap, watch=0.01)
    for joules in (600.0, 200.0, 800.0, 400.0):
        before, end = meter.joules, time.monotonic() + 20
        zone(powercap, "intel-rapl:0", "package-0", joules)
        while meter.joules == before and time.monotonic() < end:
            time.sleep(0.01)
    assert meter.read() == pytest.approx(500 + 600 + 600 + 600), "two rounds that two readings alone would miss"
