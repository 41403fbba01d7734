"""Routes over documents: search, list, read, upload, delete, how far an upload is."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, UploadFile
from pydantic import BaseModel, Field

from tunewise.catalog import DocumentRecord
from tunewise.errors import DataMistake
from tunewise.nouns import to_json
from tunewise.server import sources
from tunewise.server.access import Asker, TheHouse, Writer
from tunewise.server.entries import Upload
from tunewise.server.faults import Fault

router = APIRouter(prefix="/v1", tags=["Documents"])


class SearchRequest(BaseModel):
    """A query over the passages that the asker may see."""

    query: str = Field(min_length=1, max_length=8_000, examples=["How long may I return an article?"])
    k: int | None = Field(None, ge=1, le=100, description="At most so many passages (default: the project's).")


@router.post("/search")
def search(wanted: SearchRequest, house: TheHouse, asker: Asker) -> dict[str, Any]:
    """The passages nearest to a query, best first, inside of the asker's access groups."""
    if not wanted.query.strip():
        raise DataMistake("the query is empty")
    hits = house.answering.search(wanted.query, groups=asker.groups, k=wanted.k)
    return {"object": "list", "data": [sources.passage(hit, number) for number, hit in enumerate(hits, 1)]}


def _record(record: DocumentRecord) -> dict[str, Any]:
    return {
        "object": "document", "id": record.id, "title": record.title, "language": record.language,
        "revision": record.revision, "modified": record.modified, "characters": record.characters,
        "groups": list(record.groups),
    }


def _upload(upload: Upload) -> dict[str, Any]:
    return {"object": "upload", **to_json(upload)}


def absent() -> Fault:
    """The one answer for what does not exist and for what is not the asker's to see."""
    return Fault(404, "there is no such document", code="not_found")


@router.get("/documents")
def list_documents(house: TheHouse, asker: Asker) -> dict[str, Any]:
    """The documents that the asker may see, and how far a running ingest is."""
    records = [_record(record) for record in house.answering.documents(asker.groups)]
    progress = _progress(house.intake.progress()) if asker.is_admin else None
    return {"object": "list", "data": records, "progress": progress}


def _progress(progress: tuple[str, int, int] | None) -> dict[str, Any] | None:
    return None if progress is None else dict(zip(("phase", "done", "total"), progress, strict=True))


@router.post("/documents", status_code=202)
def upload_documents(
    files: list[UploadFile], house: TheHouse, asker: Writer,
    groups: Annotated[str, Form(max_length=5_000, description="Comma-separated; default: the asker's own.")] = "",
) -> dict[str, Any]:
    """Hand in files; each is on the server's disk when this answers, and is read in the background.

    413 when a file is too large, 415 when it is of no type that can be read, 403 for groups that are not the asker's.
    """
    if len(files) > 100:
        raise Fault(400, "more than 100 files at a time", code="invalid_request", param="files")
    named = groups.split(",")
    done = [_upload(house.intake.upload(asker, file.filename or "", file.file, named)) for file in files]
    return {"object": "list", "data": done}


@router.get("/uploads")
def list_uploads(house: TheHouse, asker: Asker) -> dict[str, Any]:
    """What the asker handed in, newest first: waiting, reading, ready, or failed with the reason."""
    return {"object": "list", "data": [_upload(one) for one in house.intake.uploads(asker)]}


@router.get("/uploads/{id}")
def get_upload(id: str, house: TheHouse, asker: Asker) -> dict[str, Any]:
    """How far one upload is."""
    found = house.intake.upload_state(asker, id)
    if found is None:
        raise Fault(404, "there is no such upload", code="not_found")
    return _upload(found)


@router.post("/documents:reread", status_code=202)
def reread(house: TheHouse, asker: Writer) -> dict[str, Any]:
    """Read the documents folder again, in the background."""
    house.intake.reread(asker)
    return {"object": "reread", "accepted": True}


@router.get("/documents/{id:path}")
def get_document(id: str, house: TheHouse, asker: Asker) -> dict[str, Any]:
    """One document with its text, pages and headings (spans count Unicode code points of the text)."""
    found = house.answering.document(id, asker.groups)
    if found is None:
        raise absent()
    value = to_json(found)
    # Where the file lies on the server is nobody's business.
    return {"object": "document", **{name: value[name] for name in value if name != "source"}}


@router.delete("/documents/{id:path}")
def delete_document(id: str, house: TheHouse, asker: Writer) -> dict[str, Any]:
    """Erase a document: nobody finds it any more when this answers."""
    if not house.intake.remove(asker, id):
        raise absent()
    return {"object": "document.deleted", "id": id, "deleted": True}
