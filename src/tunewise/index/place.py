"""Where finished generations lie: folders beside the catalog, or object storage by URI (s3://, gs://, file://).

A generation is built and hashed on the local disk either way, and then published whole. Knows nothing about what is in
the files. Credentials and endpoints are those of the environment, as the clouds' own tools read them.

A place under a URI carries the mark of the project that writes there: who writes erases what they do not keep, and two
projects would erase each other. Reading asks for no mark, so a copy of a project finds what it was copied with.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

from tunewise.errors import ConfigMistake, Damaged, Failed
from tunewise.store import read_json, sha256, sync_folder, write_json

MANIFEST = "manifest.json"
_LOCATION = "location.json"
_MARK = "tunewise-owner.json"
_BLOCK = 1 << 20


def location(folder: Path) -> str:
    """The URI under which the generations of `folder` lie; "" when they lie in the folder itself."""
    return _kept(folder)["uri"]


def unreached(folder: Path) -> list[str]:
    """Places of earlier settings that could not be emptied yet: what was erased may still lie there."""
    return _kept(folder)["left"]


def _kept(folder: Path) -> dict[str, Any]:
    file = Path(folder) / _LOCATION
    return {"uri": "", "owner": "", "left": []} | (read_json(file) if file.is_file() else {})


def settle(folder: Path, uri: str) -> None:
    """Let generations lie under a URI from now on ("": in the folder); what lies elsewhere goes with `erase_all_but`.

    `ConfigMistake` when it cannot be reached, or when another project's index lies there.
    """
    uri = uri.rstrip("/")
    kept = _kept(folder)
    if uri == kept["uri"]:
        return
    if uri:
        _files(uri)
        # Before the mark: a kill in between must not make the mark a stranger's.
        kept["owner"] = kept["owner"] or secrets.token_hex(16)
        write_json(Path(folder) / _LOCATION, kept)
        _mark(uri, kept["owner"], new=True)
    left = [one for one in dict.fromkeys([*kept["left"], kept["uri"]]) if one not in ("", uri)]
    write_json(Path(folder) / _LOCATION, {**kept, "uri": uri, "left": left})


def claim(folder: Path) -> None:
    """Make sure that this project may write where its index lies; `ConfigMistake` when another one does."""
    kept = _kept(folder)
    if not kept["uri"]:
        return
    if not kept["owner"]:
        # Settled before there were marks.
        kept["owner"] = secrets.token_hex(16)
        write_json(Path(folder) / _LOCATION, kept)
    _mark(kept["uri"], kept["owner"], new=False)


def _mark(uri: str, owner: str, *, new: bool) -> None:
    """Leave the owner's mark under a URI; `new`: nothing of the owner's lies there yet."""
    remote, root = _files(uri)
    try:
        found = _marked(remote, root)
        if found == owner:
            return
        if found is not None or (new and _generations(remote, root)):
            raise ConfigMistake(
                f"another project keeps its index under {uri}: writing there would erase it",
                tip=f'a place for each project, as in index = "{uri}/NAME"; if that project is no more, or was this '
                    f"one before its .tunewise was deleted, delete what lies there, {_MARK} included",
            )
        remote.create_dir(root, recursive=True)
        with remote.open_output_stream(f"{root}/{_MARK}") as stream:
            stream.write(json.dumps({"owner": owner}).encode())
    except OSError as error:
        raise Failed(f"the index cannot be written to {uri}: {error}", tip="check its credentials") from error


def _marked(remote: Any, root: str) -> str | None:
    """Whose place this is; None when nobody's, "" when its mark cannot be understood."""
    from pyarrow import fs

    if remote.get_file_info(f"{root}/{_MARK}").type != fs.FileType.File:
        return None
    with remote.open_input_stream(f"{root}/{_MARK}") as stream:
        try:
            return str(json.loads(stream.read())["owner"])
        except (ValueError, KeyError, TypeError):
            return ""


def _generations(remote: Any, root: str) -> list[Any]:
    """What has a generation's name under a place: a bucket may hold other things."""
    from pyarrow import fs

    return [
        info for info in remote.get_file_info(fs.FileSelector(root, allow_not_found=True))
        if re.fullmatch(r"[0-9a-f]{16}", info.base_name) and info.type == fs.FileType.Directory
    ]


def address(folder: Path, id: str) -> str:
    """What the store opens a generation by: a path or a URI."""
    uri = location(folder)
    return f"{uri}/{id}" if uri else str(Path(folder) / id)


def publish(aside: Path, folder: Path, id: str) -> None:
    """Move a finished generation to its place; elsewhere than on this disk it is read back and compared."""
    uri = location(folder)
    if not uri:
        shutil.rmtree(folder / id, ignore_errors=True)
        aside.rename(folder / id)
        return
    from pyarrow import fs

    remote, root = _files(uri)
    target = f"{root}/{id}"
    try:
        if remote.get_file_info(target).type == fs.FileType.Directory:
            remote.delete_dir(target)
        remote.create_dir(target, recursive=True)
        fs.copy_files(str(aside), target, source_filesystem=fs.LocalFileSystem(), destination_filesystem=remote)
    except OSError as error:
        raise Failed(f"the index could not be written to {uri}: {error}", tip="check its credentials") from error
    check(folder, id, sha256(aside / MANIFEST), deep=True)
    shutil.rmtree(aside)


def check(folder: Path, id: str, manifest: str, *, deep: bool = False) -> dict[str, Any]:
    """The manifest's content, after the files were compared with it; `Damaged` where they differ.

    On a disk every file is hashed. In object storage, which keeps checksums of its own, sizes are compared on opening
    and hashes when it is `deep`.
    """
    tip = "tunewise ingest builds it again (nothing is embedded twice)"
    uri = location(folder)
    read = _Remote(uri, id) if uri else _Local(Path(folder) / id)
    content = read.bytes(MANIFEST)
    if content is None:
        raise Damaged(f"the index generation {id} is missing in {uri or folder}", tip=tip)
    if hashlib.sha256(content).hexdigest() != manifest:
        raise Damaged(f"{read.name(MANIFEST)} is not the one that was built", tip=tip)
    value = json.loads(content)
    sizes = value.get("sizes", {})
    for name, expected in value["files"].items():
        found = read.hash(name) if deep or not uri else expected if read.size(name) == sizes.get(name) else None
        if found != expected:
            raise Damaged(f"{read.name(name)} is not what was built", tip=tip)
    return value


def holds(folder: Path, id: str) -> bool:
    """Whether a generation lies where generations lie now; another place is emptied."""
    uri = location(folder)
    return (_Remote(uri, id) if uri else _Local(Path(folder) / id)).size(MANIFEST) is not None


def stored_bytes(folder: Path, id: str) -> int:
    """The size of a generation's files, in the folder or under the URI."""
    if not (uri := location(folder)):
        return sum(file.stat().st_size for file in (Path(folder) / id).rglob("*") if file.is_file())
    from pyarrow import fs

    remote, root = _files(uri)
    found = remote.get_file_info(fs.FileSelector(f"{root}/{id}", recursive=True, allow_not_found=True))
    return sum(info.size for info in found if info.type == fs.FileType.File)


def erase_all_but(folder: Path, keep: Collection[str]) -> None:
    """Erase every generation that is not in `keep`, here and under the URI, and what killed builds left.

    Earlier places are emptied; one that cannot be stays among the `unreached`. `ConfigMistake` when another project
    has taken the present one.
    """
    kept = _kept(folder)
    for path in Path(folder).iterdir():
        if path.is_dir() and (path.name not in keep or kept["uri"]):
            shutil.rmtree(path)
    # What was erased must not come back with a power loss.
    sync_folder(Path(folder))
    if kept["uri"]:
        claim(folder)
        remote, root = _files(kept["uri"])
        for info in _generations(remote, root):
            if info.base_name not in keep:
                remote.delete_dir(info.path)
    if kept["left"]:
        left = [uri for uri in kept["left"] if not _emptied(uri, kept["owner"])]
        write_json(Path(folder) / _LOCATION, {**_kept(folder), "left": left})


def _emptied(uri: str, owner: str) -> bool:
    """Take everything of ours out of a place; whether nothing of ours is left there."""
    try:
        remote, root = _files(uri)
        if (found := _marked(remote, root)) not in (None, owner):
            return False
        for info in _generations(remote, root):
            remote.delete_dir(info.path)
        if found is not None:
            remote.delete_file(f"{root}/{_MARK}")
    except (OSError, ConfigMistake):
        return False
    return True


class _Local:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def name(self, name: str) -> str:
        return str(self._folder / name)

    def bytes(self, name: str) -> bytes | None:
        path = self._folder / name
        return path.read_bytes() if path.is_file() else None

    def size(self, name: str) -> int | None:
        path = self._folder / name
        return path.stat().st_size if path.is_file() else None

    def hash(self, name: str) -> str | None:
        path = self._folder / name
        return sha256(path) if path.is_file() else None


class _Remote:
    def __init__(self, uri: str, id: str) -> None:
        self._uri = f"{uri}/{id}"
        self._files, root = _files(uri)
        self._root = f"{root}/{id}"

    def name(self, name: str) -> str:
        return f"{self._uri}/{name}"

    def bytes(self, name: str) -> bytes | None:
        if self.size(name) is None:
            return None
        with self._files.open_input_stream(f"{self._root}/{name}") as stream:
            return stream.read()

    def size(self, name: str) -> int | None:
        return self._files.get_file_info(f"{self._root}/{name}").size

    def hash(self, name: str) -> str | None:
        if self.size(name) is None:
            return None
        digest = hashlib.sha256()
        with self._files.open_input_stream(f"{self._root}/{name}") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
        return digest.hexdigest()


def _files(uri: str) -> tuple[Any, str]:
    from pyarrow import fs

    try:
        return fs.FileSystem.from_uri(uri)
    except (OSError, ValueError, NotImplementedError) as error:
        raise ConfigMistake(
            f"the index cannot lie under {uri!r}: {str(error).splitlines()[0]}",
            tip='index = "s3://bucket/folder", or leave it out for the project\'s own folder',
        ) from error
