"""Who may read which document: globs of tunewise.toml, and `.groups.toml` files that lie in the folders themselves.

A `.groups.toml` holds `groups = ["hr"]` for its folder and everything below it, and may name single files under
`[files]`. The nearest one counts; the globs of tunewise.toml are the owner's word and win over both. Only what was
assigned to an upload comes before them. Names are compared as document ids are written: in Unicode's form NFC.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunewise.errors import DataMistake
from tunewise.jobs.globs import idle, matches, nfc
from tunewise.store import lock, project_folder, read_json, write_json

SIDECAR = ".groups.toml"


@dataclass(frozen=True, slots=True)
class AccessRules:
    """Rules of one ingest. `globs` None: the project says nothing. `folders` and `files` by id ("hr", "hr/pay.md")."""

    globs: Mapping[str, Sequence[str]] | None = None
    folders: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    assigned: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By document id, said by whoever uploaded it; no rule goes over that."""

    def of(self, id: str, own: tuple[str, ...], before: tuple[str, ...] | None) -> tuple[str, ...]:
        """The groups of a document; where no rule speaks, those it had `before`, else its `own`.

        A rule that is gone, or that no longer matches, never opens what an earlier ingest closed: only a rule with an
        empty list does.
        """
        groups = self.named(id)
        if groups is None:
            groups = own if before is None else before
        return tuple(sorted(set(groups)))

    def named(self, id: str) -> Sequence[str] | None:
        """The groups that a rule gives a document; None where no rule speaks."""
        if id in self.assigned:
            return self.assigned[id]
        groups: Sequence[str] | None = None
        parts = id.split("/")
        for depth in range(len(parts)):
            groups = self.folders.get("/".join(parts[:depth]), groups)
        groups = self.files.get(id, groups)
        for pattern, named in (self.globs or {}).items():
            if matches(id, pattern):
                groups = named
        return groups

    def idle(self, ids: Sequence[str]) -> list[str]:
        """A remark for each rule, of whatever kind, that matches no document."""
        known = set(ids)
        unused = idle(self.globs or {}, known)
        unused += [
            f"{place}/{SIDECAR}" if place else SIDECAR for place in self.folders
            if not any(not place or id.startswith(f"{place}/") for id in known)
        ]
        unused += [name for name in self.files if name not in known]
        return [f"the access rule {rule!r} matches no document: check its spelling" for rule in unused]


def read_rules(folder: Path, globs: Mapping[str, Sequence[str]] | None) -> AccessRules:
    """The rules that hold for a folder of documents; `DataMistake` lists every sidecar that cannot be understood.

    Nothing is ingested under a broken rule: it might have closed something.
    """
    folders: dict[str, tuple[str, ...]] = {}
    files: dict[str, tuple[str, ...]] = {}
    faults: list[str] = []

    def closed(error: OSError) -> None:
        # What lies in there may have closed it; the versions that are known must not be opened for want of it.
        raise DataMistake(
            f"{error.filename or folder}: the folder cannot be opened, nor its access rules: {error.strerror}",
            tip="let it be read, or move it out of the documents",
        ) from error

    for where, below, names in os.walk(folder, onerror=closed):
        below[:] = [name for name in below if not name.startswith(".")]
        if SIDECAR not in names:
            continue
        path = Path(where) / SIDECAR
        place = Path(where).relative_to(folder).as_posix()
        place = "" if place == "." else nfc(place)
        try:
            value = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            faults.append(f"{path}: {error}")
            continue
        if unknown := sorted(set(value) - {"groups", "files"}):
            faults.append(f"{path}: unknown key(s) {', '.join(unknown)}; known: groups, files")
        if "groups" in value:
            _keep(folders, place, value["groups"], f"{path}: groups", faults)
        table = value.get("files", {})
        for name, named in table.items() if isinstance(table, dict) else ():
            _keep(files, nfc(f"{place}/{name}" if place else name), named, f"{path}: {name}", faults)
    if faults:
        raise DataMistake(f"{len(faults)} fault(s) in {SIDECAR} files: {faults[0]}",
                          tip='groups = ["hr"], and [files] with "pay.md" = ["board"]', faults=tuple(faults))
    return AccessRules(globs, folders, files)


def _keep(into: dict[str, tuple[str, ...]], name: str, value: Any, where: str, faults: list[str]) -> None:
    if isinstance(value, list) and all(isinstance(one, str) and one for one in value):
        into[name] = tuple(value)
    else:
        faults.append(f"{where}: a list of group names is needed, as in [\"staff\"]")


def assigned_groups(project: Path) -> dict[str, tuple[str, ...]]:
    """{document id: groups} as assigned one by one, by uploads; they come before the rules of tunewise.toml."""
    file = project_folder(project) / "groups.json"
    return {id: tuple(groups) for id, groups in read_json(file).items()} if file.is_file() else {}


def assign_groups(project: Path, id: str, groups: Sequence[str] | None) -> None:
    """Assign a document's groups (None: back to the rules), on the disk when this returns; one writer at a time."""
    home = project_folder(project)
    # Across processes: of two that read the same file, the later would drop what the earlier had closed.
    with lock(home / "groups.lock", wait=True):
        known = assigned_groups(project)
        if groups is None:
            known.pop(id, None)
        else:
            known[id] = tuple(sorted(set(groups)))
        write_json(home / "groups.json", known)
