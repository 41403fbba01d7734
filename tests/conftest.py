"""What all tests share: no network, a clean environment, a browser where there is one."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
_NO_NETWORK = HERE / "no_network"

# Before anything else is imported: for this process and for every child.
_given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
os.environ["PYTHONPATH"] = os.pathsep.join(
    dict.fromkeys([str(_NO_NETWORK), str(HERE.parent / "src"), *filter(None, _given)])
)
if "PYTEST_XDIST_WORKER" in os.environ:
    # Two test processes with two threads each would stand in each other's way.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", HF_DATASETS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
for _name in [name for name in os.environ if name.startswith(("TUNEWISE_", "OPENAI_"))]:
    del os.environ[_name]
if "sitecustomize" not in sys.modules or Path(sys.modules["sitecustomize"].__file__ or "").parent != _NO_NETWORK:
    exec(compile((_NO_NETWORK / "sitecustomize.py").read_text(), str(_NO_NETWORK / "sitecustomize.py"), "exec"), {})


@pytest.fixture(autouse=True)
def own_environment(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """English messages, no colours, and nobody's own settings file."""
    monkeypatch.setenv("TUNEWISE_LANG", "en")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "no-user-settings"))
    for name in ("NO_COLOR", "FORCE_COLOR", "CI", "TUNEWISE_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    # The manners of a command that an earlier test ran in this process (--offline, above all) end with it.
    if "tunewise.cli.terminal" in sys.modules:
        sys.modules["tunewise.cli.terminal"].reset()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A playwright Browser on the machine's Chromium; skips where there is none."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no Chromium on this machine (apt install chromium)")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()
