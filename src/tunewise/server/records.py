"""Routes over what people leave behind and what was measured: ratings, runs, the audit log, sessions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import HTMLResponse, Response

from tunewise import reports
from tunewise.errors import DataMistake
from tunewise.jobs import compare as comparing
from tunewise.nouns import to_json
from tunewise.server.access import Admin, Asker, TheHouse, guess
from tunewise.server.faults import Fault
from tunewise.server.house import House
from tunewise.server.principals import COOKIE
from tunewise.store import project_folder, read_json

router = APIRouter(prefix="/v1", tags=["Records"])
_REPORT_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data:; frame-ancestors 'self'"
)


class Thumb(BaseModel):
    """What a reader thinks of an answer."""

    kind: Literal["thumb"]
    answer: str = Field(max_length=100, description="The answer's id: message.tunewise.id.")
    verdict: Literal["right", "wrong"]
    reason: Literal["", "wrong", "evidence", "incomplete"] = ""
    note: str = Field("", max_length=4_000)


class Pair(BaseModel):
    """Which of two answers a rater prefers, blind."""

    kind: Literal["pair"]
    question: str = Field(max_length=200)
    a: str = Field(max_length=200)
    b: str = Field(max_length=200)
    choice: Literal["a", "b", "tie", "both-bad"]


@router.post("/ratings", status_code=201)
def rate(rating: Annotated[Thumb | Pair, Field(discriminator="kind")], house: TheHouse, asker: Asker) -> dict[str, Any]:
    """Keep a judgement; it is on the disk when this answers."""
    id = house.state.rate(asker, rating.kind, rating.model_dump(exclude={"kind"}))
    return {"object": "rating", "id": id, "kind": rating.kind}


@router.get("/ratings")
def list_ratings(
    house: TheHouse, asker: Asker, kind: Annotated[Literal["thumb", "pair"] | None, Query()] = None
) -> dict[str, Any]:
    """The asker's own judgements (administrators: everybody's), oldest first."""
    found = house.state.ratings(kind=kind, principal=None if asker.is_admin else asker.name)
    return {"object": "list", "data": [{"object": "rating", **to_json(one)} for one in found]}


@router.get("/runs")
def list_runs(house: TheHouse, asker: Admin) -> dict[str, Any]:
    """Every run of an approach that finished, newest first (administrators: runs hold questions and passages)."""
    folder = project_folder(house.project.root) / "runs"
    manifests = sorted(folder.glob("*/manifest.json"), key=lambda path: -path.stat().st_mtime)
    runs = [
        {"object": "run", "id": path.parent.name, "identity": read_json(path.parent / "identity.json")}
        for path in manifests if (path.parent / "identity.json").is_file()
    ]
    return {"object": "list", "data": runs}


def _last(house: TheHouse) -> comparing.CompareResult:
    try:
        return comparing.last(house.project)
    except DataMistake as error:
        raise Fault(404, error.message, code="not_found", tip=error.tip) from error


@router.get("/runs/last")
def last_run(house: TheHouse, asker: Admin) -> dict[str, Any]:
    """The last comparison and its recommendation, as `tunewise report --format json` gives them."""
    found = _last(house)
    return reports.as_json(found.comparison, found.recommendation, needs=house.project.needs)


@router.get("/runs/last/report", response_class=HTMLResponse)
def last_report(
    house: TheHouse, asker: Admin, language: Annotated[Literal["en", "zh"] | None, Query()] = None
) -> Response:
    """The last comparison as one self-contained page; it runs in a sandbox, without the server's cookies."""
    found = _last(house)
    page = reports.html(
        found.comparison, found.recommendation, language=language or house.project.language, needs=house.project.needs
    )
    return HTMLResponse(page, headers={"content-security-policy": _REPORT_POLICY})


@router.get("/audit")
def audit(
    house: TheHouse, asker: Admin, after: Annotated[int, Query(ge=0, le=2**53)] = 0,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 200,
) -> dict[str, Any]:
    """Lines of the audit log and what was altered in it (an empty list: nothing)."""
    lines = house.state.audit(after=after, limit=limit)
    return {
        "object": "list", "data": [{"object": "audit.line", **to_json(one)} for one in lines],
        "faults": house.state.audit_faults(),
    }


@router.get("/me")
def me(asker: Asker) -> dict[str, Any]:
    """Who asks, as the server sees them; groups null: everything."""
    return {
        "object": "principal", "name": asker.name, "role": asker.role,
        "groups": None if asker.groups is None else list(asker.groups),
    }


@router.post("/session", status_code=204)
def open_session(request: Request, house: TheHouse, key: Annotated[str, Form(max_length=200)]) -> Response:
    """Exchange a key for the cookie of the web pages."""
    # The key is looked up first: others' guesses from the same address must not lock out who holds a good one.
    token = house.state.open_session(key)
    if token is None:
        with guess(request):
            raise Fault(401, "this key is not known here", code="invalid_api_key", tip="tunewise keys list")
    answer = Response(status_code=204)
    answer.set_cookie(
        COOKIE, token, max_age=12 * 3600, httponly=True, samesite="strict", secure=_encrypted(request, house)
    )
    return answer


def _encrypted(request: Request, house: House) -> bool:
    """Whether the browser came by HTTPS, here or at a proxy of `proxies` that says so; others are not believed."""
    client = request.client.host if request.client else ""
    said = request.headers.get("x-forwarded-proto", "") if client in house.options.proxies else ""
    return request.url.scheme == "https" or said.split(",")[0].strip().lower() == "https"


@router.delete("/session", status_code=204)
def close_session(request: Request, house: TheHouse) -> Response:
    """Log out."""
    if (token := request.cookies.get(COOKIE)) and house.state.session(token) is not None:
        house.state.close_session(token)
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer
