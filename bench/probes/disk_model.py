"""What a disk may hold after a power loss: what was synced, and any part of what was not.

Strict as POSIX has it: fsync of a file keeps its bytes and not its name, fsync of a folder keeps the names in it. A
write that was not synced is there, absent, or torn at a sector; a name that was not synced is there or not; both in
any combination. A rename is whole or absent, as every journalling file system has it. Knows nothing about what is in
the files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from disk_trace import Op


@dataclass(eq=False, slots=True)
class File:
    """Its bytes as they are on the disk for certain, and the changes since."""

    safe: bytearray = field(default_factory=bytearray)
    pending: list[Op] = field(default_factory=list)

    def content(self, chosen: Iterable[Op]) -> bytes:
        """What it holds when only these changes came through."""
        data = bytearray(self.safe)
        for op in chosen:
            _change(data, op)
        return bytes(data)


def _change(data: bytearray, op: Op) -> None:
    if op.kind == "truncate":
        del data[op.offset :]
        data.extend(bytes(op.offset - len(data)))
    else:
        data.extend(bytes(max(0, op.offset - len(data))))
        data[op.offset : op.offset + len(op.data)] = op.data


@dataclass(eq=False, slots=True)
class Folder:
    """Its names as they are on the disk for certain, and as the running system sees them."""

    safe: dict[str, Node] = field(default_factory=dict)
    seen: dict[str, Node] = field(default_factory=dict)


Node = File | Folder


@dataclass(eq=False, slots=True)
class Naming:
    """A change of names that was not synced: {(folder, name): what it is from then on, None for nothing}."""

    entries: dict[tuple[Folder, str], Node | None]


Choose = Callable[[list], list]
"""From the pending changes of one file, or of all names, those that came through, in their order."""


class Disk:
    """A folder on a disk that follows `Op`s one by one; `always` names folders whose content is taken as synced."""

    def __init__(self, *, always: tuple[str, ...] = ()) -> None:
        self.root = Folder()
        self._names: list[Naming] = []
        self._always = always

    def take(self, folder: Path) -> None:
        """Begin with what lies in a folder, all of it synced."""

        def copy(path: Path) -> Node:
            if path.is_dir():
                found = {one.name: copy(one) for one in path.iterdir()}
                return Folder(dict(found), dict(found))
            return File(bytearray(path.read_bytes()))

        root = copy(folder)
        assert isinstance(root, Folder)
        self.root = root

    def follow(self, op: Op) -> None:
        """The next change."""
        if op.kind == "say":
            return
        if op.kind in ("write", "truncate", "sync"):
            node = self._find(op.path)
            if op.kind == "sync":
                self._sync(node)
            elif isinstance(node, File):
                node.pending.append(op)
        elif op.kind in ("create", "mkdir"):
            self._name({self._place(op.path): File() if op.kind == "create" else Folder()})
        elif op.kind == "unlink":
            self._name({self._place(op.path): None})
        else:
            node = self._find(op.path)
            gone = {self._place(op.path): None} if op.kind == "rename" else {}
            self._name({**gone, self._place(op.to): node})
        for path in self._always:
            if op.path.startswith(path):
                self._sync_below(self._find(path))

    def _sync_below(self, node: Node) -> None:
        self._sync(node)
        if isinstance(node, Folder):
            for inner in node.seen.values():
                self._sync_below(inner)

    def _sync(self, node: Node) -> None:
        if isinstance(node, File):
            node.safe = bytearray(node.content(node.pending))
            node.pending.clear()
            return
        for naming in [one for one in self._names if any(folder is node for folder, _ in one.entries)]:
            _apply(naming, lambda folder: folder.safe)
            self._names.remove(naming)

    def _name(self, entries: dict[tuple[Folder, str], Node | None]) -> None:
        for (folder, name), node in entries.items():
            if node is None:
                folder.seen.pop(name, None)
            else:
                folder.seen[name] = node
        self._names.append(Naming(entries))

    def _find(self, path: str) -> Node:
        node: Node = self.root
        for part in path.split("/") if path else ():
            assert isinstance(node, Folder), path
            node = node.seen[part]
        return node

    def _place(self, path: str) -> tuple[Folder, str]:
        above, _, name = path.rpartition("/")
        folder = self._find(above)
        assert isinstance(folder, Folder), path
        return folder, name

    def write(self, folder: Path, names: Choose, bytes_of: Choose) -> None:
        """Write what a power loss now may leave: the synced, and of the rest what the two choices let through."""
        held: dict[Folder, dict[str, Node]] = {}
        for naming in names(self._names):
            _apply(naming, lambda folder: held.setdefault(folder, dict(folder.safe)))

        def lay(node: Node, path: Path) -> None:
            if isinstance(node, File):
                path.write_bytes(node.content(bytes_of(node.pending)))
                return
            path.mkdir(exist_ok=True)
            for name, inner in held.get(node, node.safe).items():
                lay(inner, path / name)

        lay(self.root, folder)


def _apply(naming: Naming, names_of: Callable[[Folder], dict[str, Node]]) -> None:
    """Let a change of names come through in those that `names_of` gives of a folder."""
    for (folder, name), node in naming.entries.items():
        if node is None:
            names_of(folder).pop(name, None)
        else:
            names_of(folder)[name] = node
