"""tunewise.toml: where documents and questions are, which approaches to compare, what the user needs.

Knows nothing about models, indexes or prompts: names are handed on as they stand, to the room that owns them.
Precedence of every setting: flag > environment `TUNEWISE_*` > project file > user file > default; `Project.origins`
says which one won. All faults of all sources are raised together, each with its file, line and the closest known key.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

from tunewise.approaches import DEFAULT_APPROACHES, METHODS, READY_MADE, RECIPES
from tunewise.errors import ConfigMistake
from tunewise.nouns import MARGINALS, Approach, Decoding, Needs, Retrieval
from tunewise.project.values import Setting, check, fault, key_lines, near, parse, placed

FILE = "tunewise.toml"
CURRENT_INDEX = "current"
"""`Approach.index` of an approach that reads the project's current index generation."""


SETTINGS: tuple[Setting, ...] = (
    Setting("project.name", "text", "", user=False),
    Setting("project.documents", "path", "documents", user=False),
    Setting("project.questions", "path", "questions.jsonl", user=False),
    Setting("project.glossary", "path", None, user=False),
    Setting("project.language", "text", "en", ("en", "zh")),
    Setting("project.model", "model", "smollm2"),
    Setting("project.embedder", "model", "minilm"),
    Setting("project.index", "model", None, user=False),
    Setting("reading.seconds_per_file", "number", 28, low=1, high=86_400),
    Setting("chunks.tokens", "whole", 120, low=16),
    Setting("chunks.kind", "text", "sections", ("sections", "pages", "parents")),
    Setting("retrieval.mode", "text", Retrieval.__dataclass_fields__["mode"].default, ("hybrid", "dense", "lexical")),
    Setting("retrieval.k", "whole", Retrieval.__dataclass_fields__["k"].default, low=1),
    Setting("retrieval.budget", "whole", Retrieval.__dataclass_fields__["budget"].default, low=32),
    Setting("retrieval.order", "text", Retrieval.__dataclass_fields__["order"].default,
            ("best-first", "best-last", "best-outside", "document")),
    Setting("retrieval.dense_weight", "number", None, low=0, high=1),
    Setting("retrieval.reranker", "model", None),
    Setting("retrieval.rerank_depth", "whole", Retrieval.__dataclass_fields__["rerank_depth"].default, low=1),
    Setting("retrieval.diversity", "number", Retrieval.__dataclass_fields__["diversity"].default, low=0, high=1),
    Setting("retrieval.rewrite", "text", Retrieval.__dataclass_fields__["rewrite"].default,
            ("none", "rewrite", "decompose", "multi-query", "hyde")),
    Setting("retrieval.follow_up", "text", Retrieval.__dataclass_fields__["follow_up"].default,
            ("join", "rewrite", "off")),
    Setting("retrieval.gate", "text", Retrieval.__dataclass_fields__["gate"].default, ("always", "adaptive")),
    Setting("compare.seeds", "whole", 1, low=1),
)
_RETRIEVAL = {s.key.partition(".")[2]: s for s in SETTINGS if s.key.startswith("retrieval.")}
_APPROACH: dict[str, Setting] = {
    "model": Setting("model", "model", None),
    "prompt": Setting("prompt", "template", None),
    "index": Setting("index", "yes or no", False),
    "recipe": Setting("recipe", "text", None, RECIPES),
    "method": Setting("method", "text", None, METHODS),
    "parent": Setting("parent", "text", None),
    "examples": Setting("examples", "whole", 0, low=0),
    "max_new_tokens": Setting("max_new_tokens", "whole", Decoding().max_new_tokens, low=1),
    "marginal": Setting("marginal", "text", Decoding().marginal, MARGINALS),
    "beams": Setting("beams", "whole", Decoding().beams, low=1),
    "retrieval": Setting("retrieval", "table", None),
    "answers": Setting("answers", "path", None),
    "endpoint": Setting("endpoint", "text", None),
    "key_env": Setting("key_env", "text", None),
    "price": Setting("price", "number", None, low=0),
}
_FOREIGN = ("answers", "endpoint", "key_env", "price", "model")
"""What a table of somebody else's system may say: it brings its own prompt, index and training."""
_FREE_TABLES = ("needs", "training", "forgetting", "judge", "approaches", "groups", "max_age_days")


@dataclass(frozen=True, slots=True)
class Project:
    """A project as its settings say; paths are absolute. `training` is checked by the training room's own settings."""

    root: Path
    file: Path
    """The tunewise.toml (or other file) that it was read from."""
    name: str
    documents: Path
    questions: Path
    glossary: Path | None
    language: str
    model: str
    embedder: str
    tokens: int
    chunks: str
    index: str | None
    """A URI of object storage for the index; None: in the project's own folder."""
    retrieval: Retrieval
    approaches: tuple[Approach, ...]
    needs: Needs
    training: Mapping[str, Any] = field(default_factory=dict)
    forgetting: Mapping[str, Any] | None = None
    """What forgetting is measured on; None: the file has no [forgetting]."""
    judge: str | None = None
    """The model of [judge], which gives verdicts on answers; None: nobody does."""
    groups: Mapping[str, tuple[str, ...]] | None = None
    """Who may read what: globs over document ids, the last match wins. None: the file has no [groups]."""
    max_age: Mapping[str, int] = field(default_factory=dict)
    """After how many days a source counts as stale: globs over document ids, the last match wins."""
    origins: Mapping[str, str] = field(default_factory=dict)
    seeds: int = 1
    seconds_per_file: float = 28
    """What reading one file may take; longer ones are left out, with the reason."""

    def approach(self, name: str) -> Approach:
        """The approach of that name, of the project or ready-made; `ConfigMistake` with the known names."""
        for approach in self.approaches:
            if approach.name == name:
                return approach
        if name in READY_MADE:
            return _approach(name, READY_MADE[name], self.model, self.retrieval)
        known = [*dict.fromkeys([*(approach.name for approach in self.approaches), *READY_MADE])]
        raise ConfigMistake(f"no approach {name!r}{near(name, known)}", tip=f"known: {', '.join(known)}")

    def values(self) -> dict[str, Any]:
        """Every setting of `SETTINGS` by key, as plain JSON values."""
        return {setting.key: _plain(_get(self, setting.key)) for setting in SETTINGS}


def find_project(start: Path | None = None) -> Path:
    """The nearest tunewise.toml in `start` (default: the working folder) or above it."""
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / FILE).is_file():
            return folder / FILE
    raise ConfigMistake(f"no {FILE} in {start} or above it", tip="tunewise init, or name one with --config")


def user_file() -> Path:
    """Where the user's own defaults stand (may be absent)."""
    import platformdirs

    return Path(platformdirs.user_config_dir("tunewise", appauthor=False)) / "config.toml"


def load_project(
    path: Path | str | None = None,
    *,
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    user: Path | None = None,
) -> Project:
    """The project of a tunewise.toml, of a folder that has one, or of the nearest one upwards.

    `flags` maps keys of `SETTINGS` to values given on the command line (None: not given). `environ` and `user` default
    to the process's environment and the user's file. `ConfigMistake` lists all faults of all sources.
    """
    environ = os.environ if environ is None else environ
    path = path or environ.get("TUNEWISE_CONFIG") or None
    file = find_project() if path is None else Path(path)
    file = file / FILE if file.is_dir() else file
    if not file.is_file():
        raise ConfigMistake(f"{file} does not exist", tip="tunewise init")
    file = file.resolve()
    own = user_file() if user is None else user
    faults: list[str] = []
    project = _Source(file, faults)
    sources = [project] + ([_Source(own, faults, user=True)] if own.is_file() else [])
    for source in sources:
        source.check_keys()
    values, origins = _settle(sources, flags or {}, environ, faults)
    own_model = values["project.model"]
    retrieval = _named(Retrieval(**{name: values[f"retrieval.{name}"] for name in _RETRIEVAL}), own_model)
    needs = Needs(**{k: v for source in reversed(sources) for k, v in source.needs().items()})
    approaches = project.approaches(own_model, retrieval)
    groups, max_age = project.groups(), project.max_age()
    training = project.table("training")
    judge = project.read(("judge",), {"model": Setting("model", "model", None)}).get("model")
    if "judge" in project.data and "model" not in project.table("judge"):
        project.fault(("judge",), '[judge] names no judge: model = "openai:MODEL", or a model on this machine')
    if faults:
        what = faults[0] if len(faults) == 1 else f"{len(faults)} faults in the settings:\n  " + "\n  ".join(faults)
        raise ConfigMistake(what, tip="tunewise config show lists every key with its value")
    paths = {
        s.key: None if values[s.key] is None else file.parent / values[s.key] for s in SETTINGS if s.kind == "path"
    }
    return Project(
        root=file.parent, file=file, name=values["project.name"] or file.parent.name,
        documents=paths["project.documents"],
        questions=paths["project.questions"], glossary=paths["project.glossary"], language=values["project.language"],
        model=own_model, embedder=values["project.embedder"], tokens=values["chunks.tokens"],
        chunks=values["chunks.kind"], index=values["project.index"], max_age=max_age, retrieval=retrieval,
        approaches=approaches, needs=needs, training=training, groups=groups,
        judge=judge, forgetting=project.table("forgetting") if "forgetting" in project.data else None, origins=origins,
        seeds=values["compare.seeds"], seconds_per_file=values["reading.seconds_per_file"],
    )


def _settle(
    sources: Sequence[_Source], flags: Mapping[str, Any], environ: Mapping[str, str], faults: list[str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Every setting's winning value and where it came from. Losing sources are checked too."""
    unknown = set(flags) - {setting.key for setting in SETTINGS}
    if unknown:
        raise ValueError(f"flags without a setting: {sorted(unknown)}")
    values, origins = {}, {}
    for setting in SETTINGS:
        found: list[tuple[Any, str]] = []
        if flags.get(setting.key) is not None:
            found.append((placed(flags[setting.key], setting, Path.cwd()), "flag"))
        if environ.get(setting.env):
            value = placed(parse(environ[setting.env], setting), setting, Path.cwd())
            found.append((value, f"environment {setting.env}"))
        for source in sources:
            table, _, name = setting.key.partition(".")
            if name in source.table(table):
                value = placed(source.table(table)[name], setting, source.path.parent)
                found.append((value, source.where(table, name)))
        for value, origin in found:
            check(value, setting, origin if origin != "flag" else f"--{setting.key.rpartition('.')[2]}", faults)
        good = [(value, origin) for value, origin in found if not fault(value, setting)]
        values[setting.key], origins[setting.key] = good[0] if good else (setting.default, "default")
    return values, origins


class _Source:
    """One settings file, with the line of every key."""

    def __init__(self, path: Path, faults: list[str], *, user: bool = False) -> None:
        self.path, self.faults, self.user = path, faults, user
        try:
            text = path.read_bytes().decode("utf-8-sig")
            self.data = tomllib.loads(text)
        except UnicodeDecodeError as error:
            raise ConfigMistake(f"{path}: not UTF-8 at byte {error.start}", tip="save the file as UTF-8") from error
        except tomllib.TOMLDecodeError as error:
            raise ConfigMistake(f"{path}: {error}", tip="strings need quotes; tables are [in brackets]") from error
        self.lines = key_lines(text)

    def where(self, *keys: str) -> str:
        """`file:line` of a key, or of the nearest table that holds it."""
        for length in range(len(keys), 0, -1):
            if keys[:length] in self.lines:
                return f"{self.path}:{self.lines[keys[:length]]}"
        return str(self.path)

    def table(self, *keys: str) -> Mapping[str, Any]:
        """A table of the file; empty when it is absent or (a fault elsewhere) no table."""
        value: Any = self.data
        for key in keys:
            value = value.get(key, {}) if isinstance(value, dict) else {}
        return value if isinstance(value, dict) else {}

    def fault(self, keys: tuple[str, ...], what: str) -> None:
        self.faults.append(f"{self.where(*keys)}: {what}")

    def refuse_unknown(self, keys: tuple[str, ...], known: Sequence[str]) -> None:
        for key in self.table(*keys):
            if key not in known:
                table = f"[{'.'.join(keys)}] " if keys else ""
                tip = near(key, known) or f"; known: {', '.join(known)}"
                self.fault((*keys, key), f"{table}{key}: unknown key{tip}")

    def check_keys(self) -> None:
        settings = [s for s in SETTINGS if s.user or not self.user]
        tables = dict.fromkeys(s.key.partition(".")[0] for s in settings)
        known = [*tables, *(("needs",) if self.user else _FREE_TABLES)]
        self.refuse_unknown((), known)
        for table in known:
            if table in self.data and not isinstance(self.data[table], dict):
                self.fault((table,), f"{table} must be a table: [{table}]")
        for table in tables:
            self.refuse_unknown((table,), [s.key.partition(".")[2] for s in settings if s.key.startswith(f"{table}.")])

    def read(self, keys: tuple[str, ...], known: Mapping[str, Setting]) -> dict[str, Any]:
        """The good values of a table; the others become faults."""
        self.refuse_unknown(keys, list(known))
        good = {}
        for name, value in self.table(*keys).items():
            if name in known and check(value, known[name], f"{self.where(*keys, name)}: [{'.'.join(keys)}] {name}",
                                        self.faults):
                good[name] = placed(value, known[name], self.path.parent)
        return good

    def needs(self) -> dict[str, Any]:
        kinds = {"int": "whole", "float": "number", "bool": "yes or no"}
        hints = get_type_hints(Needs)
        known = {}
        for f in fields(Needs):
            kind = next(kinds[t.__name__] for t in (*getattr(hints[f.name], "__args__", ()), hints[f.name])
                        if getattr(t, "__name__", "") in kinds)
            known[f.name] = Setting(f.name, kind, None if f.default is MISSING else f.default, low=0)
        return self.read(("needs",), known)

    def approaches(self, model: str, retrieval: Retrieval) -> tuple[Approach, ...]:
        wanted = self.table("approaches") or DEFAULT_APPROACHES
        made = []
        for name, table in wanted.items():
            keys = ("approaches", name)
            if not isinstance(table, dict):
                self.fault(keys, f"approaches.{name} must be a table: [approaches.{name}]")
                continue
            if not re.fullmatch(r"[\w][\w.-]*", name):
                self.fault(keys, f"approach name {name!r}: letters, digits, '.', '_' and '-' only")
            if wanted is DEFAULT_APPROACHES or (not table and name in READY_MADE):
                values, own = READY_MADE[name], {}
            else:
                values, own = self.read(keys, _APPROACH), self.read((*keys, "retrieval"), _RETRIEVAL)
            reads = values.get("index", False)
            if values.get("recipe") == "raft" and not reads:
                self.fault((*keys, "recipe"), f"[approaches.{name}] recipe = \"raft\" reads passages: add index = true")
            if "recipe" not in values and (alone := {"method", "parent"} & set(values)):
                self.fault((*keys, min(alone)), f"[approaches.{name}] {min(alone)} needs a recipe = \"…\"")
            if values.get("marginal", "none") != "none" and not reads:
                self.fault((*keys, "marginal"), f"[approaches.{name}] marginal sums over passages: add index = true")
            foreign = [key for key in ("answers", "endpoint") if key in values]
            if len(foreign) > 1:
                self.fault((*keys, "endpoint"), f"[approaches.{name}] answers and endpoint: take one of the two")
            elif foreign and (ours := sorted(set(values) - set(_FOREIGN))):
                self.fault((*keys, ours[0]), f"[approaches.{name}] {ours[0]} means nothing beside {foreign[0]}")
            elif "key_env" in values and foreign != ["endpoint"]:
                self.fault((*keys, "key_env"), f"[approaches.{name}] key_env belongs to an endpoint")
            made.append(_approach(name, values, model, replace(retrieval, **own)))
        return tuple(made)

    def max_age(self) -> dict[str, int]:
        made = {}
        for glob, days in self.table("max_age_days").items():
            if fault(days, Setting(glob, "whole", None, low=1)):
                self.fault(("max_age_days", glob), f"[max_age_days] {glob}: a whole number of days is needed")
                continue
            made[glob] = days
        return made

    def groups(self) -> dict[str, tuple[str, ...]] | None:
        if "groups" not in self.data:
            return None
        made = {}
        for glob, names in self.table("groups").items():
            if not (isinstance(names, list) and all(isinstance(name, str) and name for name in names)):
                self.fault(("groups", glob), f"[groups] {glob}: a list of group names is needed, as in [\"staff\"]")
                continue
            made[glob] = tuple(names)
        return made


def _named(retrieval: Retrieval, model: str) -> Retrieval:
    """`likelihood` alone means the project's model: written out, so that runs say what ordered their passages."""
    return replace(retrieval, reranker=f"likelihood:{model}") if retrieval.reranker == "likelihood" else retrieval


def _approach(name: str, values: Mapping[str, Any], model: str, retrieval: Retrieval) -> Approach:
    reads = values.get("index", False)
    if values is READY_MADE.get(name):
        # Of a table in the file they are in `retrieval` already, checked; a ready-made one brings its own.
        retrieval = replace(retrieval, **READY_MADE[name].get("retrieval", {}))
    return Approach(
        name=name, model=values.get("model", "-" if values.get("answers") else model),
        prompt=values.get("prompt", "grounded" if reads else "answer"), index=CURRENT_INDEX if reads else None,
        retrieval=_named(retrieval, model), examples=values.get("examples", 0),
        decoding=Decoding(**{key: values[key] for key in ("max_new_tokens", "marginal", "beams") if key in values}),
        answers=str(values["answers"]) if "answers" in values else None,
        **{key: values.get(key) for key in ("recipe", "method", "parent", "endpoint", "key_env", "price")},
    )


def _get(project: Project, key: str) -> Any:
    table, _, name = key.partition(".")
    if table == "retrieval":
        return getattr(project.retrieval, name)
    return getattr(project, {"kind": "chunks"}.get(name, name))


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


__all__ = [
    "CURRENT_INDEX", "DEFAULT_APPROACHES", "FILE", "RECIPES", "SETTINGS", "Project", "Setting", "find_project",
    "load_project", "user_file",
]
