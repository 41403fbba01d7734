"""Rate: blind pairs, judged by keyboard. What was judged is on the disk before the next pair is shown."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from tunewise.jobs import rating
from tunewise.jobs.rating import Judgement, Session
from tunewise.server.pages.doors import Admin, PageRoute, Reader, Shut
from tunewise.server.pages.render import page, wants_piece
from tunewise.server.principals import Principal

if TYPE_CHECKING:
    from tunewise.server.house import House

KEYS = (("left", "←", "rate.left"), ("right", "→", "rate.right"), ("tie", "↑", "rate.tie"), ("bad", "↓", "rate.bad"))


def router(house: House) -> APIRouter:
    """The routes of rating."""
    routes = APIRouter(include_in_schema=False, route_class=PageRoute)

    @routes.get("/rate")
    def overview(request: Request, asker: Reader) -> Response:
        said = _said(house)
        approaches = rating.compared(house.project) if asker.is_admin else []
        return page(
            request, "rate.html", who=asker, place="rate", approaches=approaches,
            sessions=[_summary(one, said, asker) for one in rating.sessions(house.project) if _may(house, asker, one)],
        )

    @routes.post("/rate")
    def begin(
        asker: Admin, a: Annotated[str, Form()], b: Annotated[str, Form()],
        count: Annotated[int, Form(ge=1, le=500)] = 60,
    ) -> Response:
        made = rating.begin(
            house.project, a, b, count=count, by=asker.name, created=datetime.now(UTC).isoformat(timespec="seconds")
        )
        house.state.audit_line(asker.name, "rate.begin", made.id, {"pairs": len(made.pairs)})
        return RedirectResponse(f"/rate/{made.id}", status_code=303)

    @routes.get("/rate/{id}")
    def session(request: Request, asker: Reader, id: str) -> Response:
        shown = _shown(house, asker, _session(house, asker, id))
        return page(request, "rate-session.html", who=asker, place="rate", **shown)

    @routes.post("/rate/{id}")
    def judge(
        request: Request, asker: Reader, id: str, index: Annotated[int, Form(ge=0, le=1000)],
        choice: Annotated[str, Form()], seconds: Annotated[float, Form(ge=0, le=86400)] = 0.0,
    ) -> Response:
        one = _session(house, asker, id)
        if index >= len(one.pairs) or choice not in (*rating.CHOICES, "undo"):
            raise Shut(404)
        pair = one.pairs[index]
        house.state.rate(asker, "pair", {
            "session": one.id, "index": index, "question": pair.question, "a": one.a, "b": one.b, "choice": choice,
            "winner": rating.winner(pair, choice), "seconds": round(seconds, 1),
        })
        if not wants_piece(request):
            return RedirectResponse(f"/rate/{one.id}", status_code=303)
        return page(request, "rate-pair.html", who=asker, **_shown(house, asker, one))

    return routes


def _session(house: House, asker: Principal, id: str) -> Session:
    found = rating.session(house.project, id)
    if found is None or not _may(house, asker, found):
        raise Shut(404)
    return found


def _may(house: House, asker: Principal, session: Session) -> bool:
    """Whether a reader may see every document that the pairs rest on: one that is shut hides the whole session."""
    if asker.groups is None:
        return True
    visible = {record.id for record in house.answering.documents(asker.groups)}
    # One that is not ready may be one whose adapter, and so what it learned from, cannot be told.
    usable = {offer.name for offer in house.answering.approaches(asker.groups) if offer.ready}
    return {session.a, session.b} <= usable and all(set(pair.documents) <= visible for pair in session.pairs)


Said = Mapping[tuple[str, str], Mapping[int, Judgement]]


def _said(house: House) -> Said:
    """{(session, judge): {pair: judgement}} of everybody."""
    collected: dict[tuple[str, str], list[Judgement]] = {}
    for each in house.state.ratings(kind="pair"):
        payload = each.payload
        if isinstance(payload.get("session"), str) and isinstance(payload.get("index"), int):
            collected.setdefault((payload["session"], each.principal), []).append(
                Judgement(payload["session"], payload["index"], payload["choice"], float(payload.get("seconds", 0)))
            )
    return {key: rating.standing_choices(judgements) for key, judgements in collected.items()}


def _summary(session: Session, said: Said, asker: Principal) -> dict[str, Any]:
    own = said.get((session.id, asker.name), {})
    done = len(own) >= len(session.pairs)
    return {
        "id": session.id, "created": session.created[:16].replace("T", " "), "pairs": len(session.pairs),
        "done": len(own), "names": (session.a, session.b) if done else None,
        "judges": len({judge for (id, judge), kept in said.items() if id == session.id and kept}),
    }


def _shown(house: House, asker: Principal, session: Session) -> dict[str, Any]:
    """The next pair, or, when all are judged, what came out: only then are the names said."""
    said = _said(house)
    own = said.get((session.id, asker.name), {})
    index = rating.following(session, own)
    shown: dict[str, Any] = {
        "session": session, "index": index, "done": len(own), "total": len(session.pairs), "keys": KEYS,
        "left": rating.minutes_left(session, own), "undo": next(reversed(own), None) if own else None,
    }
    if index is not None:
        return shown | {"pair": session.pairs[index], "outcome": None}
    others = []
    for one in rating.sessions(house.project):
        for (id, judge), kept in said.items():
            if id == one.id and (id, judge) != (session.id, asker.name) and _may(house, asker, one):
                found = rating.agreement((session, own), (one, kept))
                if found is not None:
                    others.append((judge, found))
    return shown | {"pair": None, "outcome": rating.outcome(session, own), "others": others}
