"""What a finished run leaves: weights in safetensors, a model card, and the manifest, written last."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tunewise.errors import need
from tunewise.models.chains import WEIGHTS, check, manifest, weights_file
from tunewise.models.local import identify, resolve
from tunewise.store import disk_errors, fingerprint, read_json, sha256, sync_file, sync_folder, write_json, write_text
from tunewise.training.loop import Outcome, clear
from tunewise.training.methods import METHODS
from tunewise.training.opening import Forecast, Opened, Run, count_parameters, running_figures
from tunewise.training.rows import TrainingRow
from tunewise.training.settings import TrainingSettings


def adapter_identity(
    model: str,
    rows: Sequence[Any],
    settings: TrainingSettings,
    *,
    recipe: str,
    parent: str = "",
    validation: Sequence[TrainingRow] = (),
) -> str:
    """What decides an adapter: the same identity gives the same folder, so nothing is trained twice.

    `parent` is the parent's own identity. `report_to` is where figures go, which changes nothing.
    """
    made_of = [asdict(row) for row in rows], [asdict(row) for row in validation]
    kept = {name: value for name, value in asdict(settings).items() if name != "report_to"}
    return fingerprint([model, recipe, *made_of, kept, parent])


def finished(folder: Path, identity: str, model: str, *, parent: Path | None = None, cache: Path | None = None) -> bool:
    """Whether the folder holds the whole adapter of that identity, for this base and this state of its parent."""
    if not (folder / "tunewise.json").is_file():
        return False
    about = read_json(folder / "tunewise.json")
    weights = weights_file(folder, about)
    return (
        about.get("identity") == identity
        and weights.is_file()
        and about["base"] == identify(model, resolve(model, cache=cache))
        and about["weights"] == sha256(weights)
        and (parent is None or about["parent"]["weights"] == manifest(parent)["weights"])
    )


def leave(
    run: Run,
    opened: Opened,
    trained: Any,
    outcome: Outcome,
    forecast: Forecast,
    *,
    rows: Sequence[Any],
    tokens: int,
    more: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Save what was `trained` and the run's figures, clear its checkpoints, and return the figures.

    `tokens` are those that were read, `more` the figures of a recipe's own.
    """
    sizes = count_parameters(trained)
    _save_weights(trained, run, opened)
    figures = running_figures(run, opened, outcome, forecast, sizes=sizes, tokens=tokens) | dict(more or {})
    _write_manifest(run, opened, rows, figures)
    clear(run.folder / "checkpoints")
    return figures


def _save_weights(model: Any, run: Run, opened: Opened) -> None:
    """The trained weights in PEFT's own layout, or a whole model folder for full fine-tuning.

    Methods whose beginning moved the base are converted to plain LoRA against the adapter as it began.
    """
    method = opened.settings.method
    run.folder.mkdir(parents=True, exist_ok=True)
    with disk_errors(run.folder):
        if method == "full":
            # In the dtype in which answering loads them.
            model.to(opened.torch_dtype).save_pretrained(run.folder)
            opened.tokenizer.save_pretrained(run.folder)
        elif METHODS[method].moves_base:
            model.save_pretrained(run.folder, path_initial_model_for_weight_conversion=str(run.begun))
        else:
            model.save_pretrained(run.folder)
        # The checkpoints are cleared when the manifest stands: the weights are on the disk before.
        for file in sorted(run.folder.glob("*.*")):
            if file.is_file():
                sync_file(file)
        sync_folder(run.folder)


def _write_manifest(run: Run, opened: Opened, rows: Sequence[Any], figures: Mapping[str, Any]) -> None:
    """The card and the manifest: hashes, parent, questions, documents and access groups of the whole chain."""
    folder, parent, settings = run.folder, run.parent, opened.settings
    base = identify(run.model, opened.base)
    links = check(parent, base) if parent else []
    inherited = [about for _, about in links]

    def all_of(name: str, own: set[str]) -> list[str]:
        return sorted(own.union(*(about.get(name, []) for about in inherited)) - {""})

    weights = folder / WEIGHTS.get(settings.method, "adapter_model.safetensors")
    libraries = [need(name, feature="training", extra="train") for name in ("torch", "transformers", "peft")]
    write_text(folder / "README.md", _card(run.model, run.recipe, len(rows), settings, figures))
    write_json(
        folder / "tunewise.json",
        {
            "identity": run.identity,
            "model": run.model,
            "base": base,
            "recipe": run.recipe,
            "method": settings.method,
            "parent": None
            if parent is None
            else {
                "folder": os.path.relpath(parent.resolve(), folder.resolve()),
                "recipe": inherited[-1]["recipe"],
                "identity": inherited[-1]["identity"],
                "weights": inherited[-1]["weights"],
            },
            "weights": sha256(weights),
            # The index whose passages the rows show.
            "index": run.index,
            "settings": asdict(settings),
            "rows": len(rows),
            "rows_hash": fingerprint([[getattr(row, "messages", ""), getattr(row, "completion", "")] for row in rows]),
            "questions": all_of("questions", {row.question for row in rows}),
            "groups": all_of("groups", {group for row in rows for group in row.groups}),
            "documents": all_of("documents", {document for row in rows for document in row.documents}),
            "versions": {library.__name__: library.__version__ for library in libraries},
            **figures,
        },
    )


def _card(model: str, recipe: str, rows: int, settings: TrainingSettings, figures: Mapping[str, Any]) -> str:
    lines = "\n".join(f"- {name}: {value}" for name, value in asdict(settings).items() if value not in ("", (), None))
    library = "transformers" if settings.method == "full" else "peft"
    return (
        f"---\nbase_model: {model}\nlibrary_name: {library}\ntags: [{settings.method}, {recipe}, tunewise]\n---\n\n"
        f"# {recipe} ({settings.method}) of {model}\n\nTrained by Tunewise on {rows} rows; "
        f"{figures['trained_parameters']:,} of {figures['parameters']:,} parameters trained; "
        f"{figures['seconds']:.0f} s, {figures['peak_memory_bytes'] / 1e9:.1f} GB at the peak.\n"
        "The questions and documents that went in, the hashes and the loss are in tunewise.json.\n\n"
        f"## Settings\n\n{lines}\n"
    )
