"""What training took away: general knowledge, general text and readiness to answer, before and after, paired.

The base is measured before any adapter is injected, in a model of its own. Results are kept beside the adapter's
manifest, keyed by the hashes of base, adapter and sets: another set or another adapter is measured anew.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewise.errors import ConfigMistake, Failed, ModelMistake
from tunewise.models import describe_model, is_local, load_model
from tunewise.models.knowledge import Item, choices_made, load_items, load_texts, negative_log_likelihoods
from tunewise.nouns import Decoding, Estimate, to_json
from tunewise.prompts import is_refusal, render
from tunewise.statistics import paired
from tunewise.store import fingerprint, project_folder, read_json, write_json

if TYPE_CHECKING:
    from tunewise.project import Project

Progress = Callable[[str, int, int], None]
FILE = "forgetting.json"
VERSION = 1
SETTINGS = ("sets", "texts", "limit", "asked")


@dataclass(frozen=True, slots=True)
class Sets:
    """What is measured on: items by file name, texts, and how many items are asked without choices."""

    items: tuple[tuple[str, tuple[Item, ...]], ...]
    texts: tuple[str, ...]
    asked: int

    @property
    def all(self) -> list[Item]:
        """The items of all files, in order."""
        return [item for _, some in self.items for item in some]


@dataclass(frozen=True, slots=True)
class Change:
    """One measure before and after; `change` is after - before, paired, with its 95 % interval."""

    before: float
    after: float
    change: Estimate
    p: float


@dataclass(frozen=True, slots=True)
class Forgetting:
    """What training changed. `nats` is the mean negative log-likelihood of a token of general text (its exponential is
    the perplexity); `refusals` the share of general questions that were refused."""

    accuracy: Change
    by_set: tuple[tuple[str, Change], ...]
    nats: Change
    refusals: Change

    @property
    def perplexity(self) -> tuple[float, float]:
        """Perplexity of the general text, before and after."""
        return math.exp(self.nats.before), math.exp(self.nats.after)


def general() -> Path:
    """The folder of the small general sets that ship: 60 questions in English, 40 in Chinese, and some text."""
    packaged = Path(str(resources.files("tunewise"))) / "examples" / "general"
    checkout = Path(__file__).resolve().parents[3] / "examples" / "general"
    for folder in (packaged, checkout):
        if (folder / "mc_en.jsonl").is_file():
            return folder
    raise Failed("the general question sets are not in this installation", tip="install tunewise again")


def load_sets(project: Project) -> Sets:
    """The sets of [forgetting] in tunewise.toml; those that ship where it names none."""
    table = project.forgetting or {}
    if unknown := sorted(set(table) - set(SETTINGS)):
        raise ConfigMistake(f"[forgetting] {unknown[0]}: unknown key", tip=f"known: {', '.join(SETTINGS)}")
    for key, kind in (("sets", list), ("texts", list), ("limit", int), ("asked", int)):
        if key in table and (not isinstance(table[key], kind) or isinstance(table[key], bool)):
            raise ConfigMistake(f"[forgetting] {key}: a {'list of paths' if kind is list else 'number'} is needed")
    limit, asked = table.get("limit", 200), table.get("asked", 40)
    if limit < 2 or asked < 1:
        raise ConfigMistake("[forgetting] limit must be at least 2 and asked at least 1")
    home = general()
    sets = [project.root / str(one) for one in table.get("sets", ())] or sorted(home.glob("mc_*.jsonl"))
    texts = [project.root / str(one) for one in table.get("texts", ())] or sorted(home.glob("text_*.txt"))
    loaded = []
    for path in sets:
        items = load_items(path)
        # Every n-th, not the first: files are often sorted by subject.
        loaded.append((path.stem, tuple(items[i * len(items) // limit] for i in range(limit))
                       if len(items) > limit else tuple(items)))
    return Sets(tuple(loaded), tuple(text for path in texts for text in load_texts(path)), asked)


def forgetting(
    project: Project, adapter: Path, *, model: str | None = None, progress: Progress = lambda *_: None
) -> Forgetting:
    """What an adapter of a project's model forgot; read again where exactly this was measured already.

    `ModelMistake` for a model whose probabilities cannot be read.
    """
    name = model or project.model
    if not is_local(name):
        raise ModelMistake(f"{name} gives no likelihoods", tip="forgetting is measured on local models")
    sets = load_sets(project)
    base, worn = describe_model(name), describe_model(name, adapter=adapter)
    on = fingerprint([VERSION, to_json(sets)])
    key = fingerprint([base, worn, on])
    kept = adapter / FILE
    if kept.is_file() and (known := read_json(kept)).get("key") == key:
        return _read(known["result"])
    place = project_folder(project.root) / "forgetting" / f"base-{fingerprint([base, on])[:16]}.json"
    before = read_json(place) if place.is_file() else None
    if before is None:
        before = _measure(name, None, sets, progress)
        write_json(place, before)
    after = _measure(name, adapter, sets, progress)
    found = _changes(before, after, sets)
    write_json(kept, {"key": key, "base": base, "adapter": worn, "sets": [stem for stem, _ in sets.items],
                      "result": to_json(found), "perplexity": found.perplexity, "after": after})
    return found


def known(adapter: Path) -> Estimate | None:
    """The change of general accuracy that was measured for an adapter; None where nothing was."""
    file = adapter / FILE
    return _read(read_json(file)["result"]).accuracy.change if file.is_file() else None


def _measure(name: str, adapter: Path | None, sets: Sets, progress: Progress) -> dict[str, Any]:
    phase = "forgetting: " + (adapter.name if adapter else "base")
    model: Any = load_model(name, adapter=adapter)
    items = sets.all
    made = choices_made(model, items, progress=lambda done, total: progress(phase, done, total))
    read = negative_log_likelihoods(model, sets.texts)
    some = _asked(items, sets.asked)
    prompts = [render("answer", item.question, language=item.language) for item in some]
    said = [one.text for one in model.generate(prompts, Decoding(max_new_tokens=24))]
    progress(phase, len(items), len(items))
    del model
    gc.collect()
    return {
        "correct": [float(choice == item.answer) for choice, item in zip(made, items, strict=True)],
        "nats": [nats / count for nats, count in read],
        "refused": [float(is_refusal(text)) for text in said],
        "said": {item.id: text for item, text in zip(some, said, strict=True)},
    }


def _asked(items: Sequence[Item], count: int) -> list[Item]:
    """Items that can be asked without their choices: those without a context, spread evenly."""
    alone = [item for item in items if not item.context] or list(items)
    return [alone[i * len(alone) // count] for i in range(count)] if len(alone) > count else alone


def _changes(before: dict[str, Any], after: dict[str, Any], sets: Sets) -> Forgetting:
    by_set, begin = [], 0
    for stem, some in sets.items:
        part = slice(begin, begin + len(some))
        by_set.append((stem, _change(before["correct"][part], after["correct"][part])))
        begin += len(some)
    return Forgetting(_change(before["correct"], after["correct"]), tuple(by_set),
                      _change(before["nats"], after["nats"]), _change(before["refused"], after["refused"]))


def _change(before: Sequence[float], after: Sequence[float]) -> Change:
    found = paired(after, before, range(len(before)))
    return Change(sum(before) / len(before), sum(after) / len(after),
                  Estimate(found.mean, found.low, found.high, found.n), found.p)


def _read(value: dict[str, Any]) -> Forgetting:
    def change(one: dict[str, Any]) -> Change:
        return Change(one["before"], one["after"], Estimate(**one["change"]), one["p"])

    return Forgetting(change(value["accuracy"]), tuple((stem, change(one)) for stem, one in value["by_set"]),
                      change(value["nats"]), change(value["refusals"]))
