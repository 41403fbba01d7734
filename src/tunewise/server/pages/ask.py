"""Ask: a question, the answer as it is written, its sources, and what the reader thinks of it.

A reply is kept as plain JSON in the conversation and rendered from there, the fresh one and the reloaded one alike.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, StreamingResponse

from tunewise.citations import pieces
from tunewise.errors import DataMistake, Failed, TunewiseError
from tunewise.nouns import to_json
from tunewise.reports import why
from tunewise.server.desk import Busy, Delta, Done
from tunewise.server.faults import told
from tunewise.server.pages.doors import PageRoute, Reader, Shut
from tunewise.server.pages.render import page, render
from tunewise.server.principals import Principal
from tunewise.server.records import Thumb
from tunewise.store import project_folder

if TYPE_CHECKING:
    from tunewise.server.house import House

REASONS = ("wrong", "evidence", "incomplete")
LONGEST = 4000
TICK = 1.0
"""Seconds between two looks at whether the reader's key still holds."""
_ENDS = ".。!！?？;；,，、"


def router(house: House) -> APIRouter:
    """The routes of the first page."""
    routes = APIRouter(include_in_schema=False, route_class=PageRoute)

    @routes.get("/")
    def first(request: Request, asker: Reader, c: str = "") -> Response:
        turns = house.state.conversation(asker, c) if c else []
        if turns is None:
            raise Shut(404)
        visible = {record.id for record in house.answering.documents(asker.groups)}
        return page(
            request, "ask.html", who=asker, place="ask", conversation=c,
            turns=[_turn(house, asker, turn, visible) for turn in _by_turn(turns)],
            documents=len(visible), examples=_examples(house, visible), **_offers(house, asker),
        )

    @routes.post("/ask/stream")
    def stream(
        request: Request, asker: Reader, question: Annotated[str, Form()], approach: Annotated[str, Form()] = "",
        turn: Annotated[str, Form()] = "", conversation: Annotated[str, Form()] = "",
    ) -> Response:
        question = _checked(question)
        history = _history(house, asker, conversation, turn[:40])
        events = _stream(house, request, asker, question, approach or None, turn[:40], conversation or None, history)
        return StreamingResponse(
            events, media_type="text/event-stream", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        )

    @routes.post("/ask")
    async def without_script(
        asker: Reader, question: Annotated[str, Form()], approach: Annotated[str, Form()] = ""
    ) -> Response:
        asked = _checked(question)
        async with aclosing(_events(house, asker, asked, approach or None)) as events:
            async for event in events:
                if isinstance(event, Done):
                    kept = _record(house, event, asked, "")
                    id = await run_in_threadpool(house.state.remember, asker, None, asked, kept)
                    return RedirectResponse(f"/?c={id}", status_code=303)
        raise DataMistake("the answer broke off", tip="ask again")

    @routes.post("/answers/{id}/judge")
    def judge(
        request: Request, asker: Reader, id: str, verdict: Annotated[str, Form()], better: Annotated[str, Form()] = ""
    ) -> Response:
        if verdict != "good" and verdict not in REASONS:
            raise Shut(404)
        right = verdict == "good"
        thumb = Thumb(
            kind="thumb", answer=id[:80], verdict="right" if right else "wrong", reason="" if right else verdict,
            note=better.strip()[:2000],
        )
        house.state.rate(asker, "thumb", thumb.model_dump(exclude={"kind"}))
        return page(request, "judge.html", who=asker, reply={"id": id[:80], "judged": verdict, "plain": ""})

    return routes


def _checked(question: str) -> str:
    question = question.strip()
    if not question:
        raise DataMistake("the question is empty", tip="write a question first")
    if len(question) > LONGEST:
        raise DataMistake(f"the question has {len(question)} characters; {LONGEST} are the most", tip="shorten it")
    return question


def _offers(house: House, asker: Principal) -> dict[str, Any]:
    """The approaches to choose from, the recommended one first chosen."""
    offers = house.answering.approaches(asker.groups)
    measured = _measured(house)
    best = next((o.name for o in offers if o.recommended and o.ready), None)
    ready = next((o.name for o in offers if o.ready), "")
    return {
        "chosen": best or ready,
        "approaches": [
            {
                "name": offer.name, "ready": offer.ready,
                "label": "ask.offer_absent" if not offer.ready else
                         "ask.offer_recommended" if offer.recommended and measured else "ask.offer",
            }
            for offer in offers
        ],
    }


def _measured(house: House) -> bool:
    """Whether anything was compared: before that, the first choice is a habit and no recommendation."""
    return (project_folder(house.project.root) / "runs" / "last.json").is_file()


def _examples(house: House, visible: set[str]) -> list[str]:
    """A few questions of the project's own file that this reader may see answered, of different documents."""
    from tunewise.jobs.examples import sample_questions

    return sample_questions(house.project, visible, count=4)


# ------------------------------------------------------------------------------------------------ answering


async def _events(
    house: House, asker: Principal, question: str, approach: str | None, history: Sequence[tuple[str, str]] = ()
) -> AsyncIterator[Delta | Done]:
    """The events of a question, with its audit line; `Failed` when the key is revoked while the answer is written."""
    order = await house.desk.submit(asker, question, approach=approach, history=history)
    try:
        await run_in_threadpool(house.state.audit_line, asker.name, "ask", order.approach.name, {"id": order.id})
        checked = time.monotonic()
        async for event in house.desk.events(order, tick=TICK):
            if time.monotonic() - checked >= TICK:
                checked = time.monotonic()
                if not await run_in_threadpool(house.state.alive, asker):
                    raise Failed("this key was revoked", tip="sign in again")
            if event is not None:
                yield event
    finally:
        house.desk.leave(order)


async def _stream(
    house: House, request: Request, asker: Principal, question: str, approach: str | None, turn: str,
    conversation: str | None, history: Sequence[tuple[str, str]],
) -> AsyncIterator[str]:
    """Server-sent events: `delta` with text, then one `reply` with its markup; `conversation` says where it is kept."""
    try:
        async with aclosing(_events(house, asker, question, approach, history)) as events:
            async for event in events:
                if isinstance(event, Delta):
                    yield _event("delta", {"text": event.text})
                elif isinstance(event, Done):
                    kept = _record(house, event, question, turn)
                    if event.answer.error is None:
                        id = await run_in_threadpool(house.state.remember, asker, conversation, question, kept)
                        yield _event("conversation", {"id": id})
                    yield _event("reply", {"html": render(request, "reply.html", who=asker, reply=_reply(kept))})
    except Busy:
        # A full house is no fault of the question: the words for it are the pages' own.
        yield _event("reply", {"html": render(request, "busy.html", who=asker)})
    except TunewiseError as error:
        fault = told(error, request)
        shown = {"message": fault.message, "tip": fault.tip, "faults": ()}
        yield _event("reply", {"html": render(request, "mistake.html", who=asker, error=shown)})


def _event(name: str, data: Mapping[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"


def _record(house: House, done: Done, question: str, turn: str) -> dict[str, Any]:
    """A reply as it is kept."""
    answer, approach = done.answer, done.approach
    documents, groups = house.answering.learned(approach)
    return {
        "learned": {"documents": documents, "groups": groups},
        "turn": turn, "id": done.id, "approach": approach.name, "understood": done.question,
        "reads": bool(approach.index),
        "recommended": _measured(house) and approach.name == house.answering.recommended().name,
        "question": question, "shown": done.content, "answer": to_json(answer),
    }


# ------------------------------------------------------------------------------------------------ conversations


def _by_turn(turns: Sequence[Any]) -> list[list[Any]]:
    """Replies to the same question, given side by side, together."""
    grouped: list[list[Any]] = []
    for turn in turns:
        mark = turn.answer.get("turn")
        if grouped and mark and grouped[-1][0].answer.get("turn") == mark:
            grouped[-1].append(turn)
        else:
            grouped.append([turn])
    return grouped


def _turn(house: House, asker: Principal, replies: Sequence[Any], visible: set[str]) -> dict[str, Any]:
    """A question with its replies; a reply that rests on what the reader may no longer see is not shown."""
    judged = {
        # "answer_id" and "good" are how earlier versions of this page wrote it.
        rating.payload.get("answer", rating.payload.get("answer_id")):
            "good" if rating.payload["verdict"] in ("right", "good") else rating.payload.get("reason") or "wrong"
        for rating in house.state.ratings(kind="thumb", principal=asker.name)
    }
    shown = []
    for turn in replies:
        if _open(house, asker, turn.answer, visible):
            shown.append(_reply(turn.answer, judged.get(turn.answer["id"], "")))
        else:
            shown.append({"hidden": True, "approach": turn.answer["approach"]})
    return {"question": replies[0].question, "replies": shown}


def _open(house: House, asker: Principal, kept: Mapping[str, Any], visible: set[str]) -> bool:
    """Whether a reader may (still) see all that a reply rests on: its passages, and what its adapter learned from."""
    if asker.groups is None:
        return True
    if not {hit["chunk"]["document"] for hit in kept["answer"]["hits"]} <= visible:
        return False
    learned = kept.get("learned")
    if learned is None:
        # Kept by an earlier version, which did not say: only an approach without an adapter knows nothing by itself.
        known = {offer.name: offer.approach for offer in house.answering.approaches(asker.groups)}
        return kept["approach"] in known and not known[kept["approach"]].recipe
    return set(learned["documents"]) <= visible and set(learned["groups"]) <= set(asker.groups)


def _history(house: House, asker: Principal, conversation: str, turn: str) -> list[tuple[str, str]]:
    """What was said before this turn, so that a follow-up can be understood; the first reply of each turn counts."""
    if not conversation:
        return []
    turns = house.state.conversation(asker, conversation)
    if turns is None:
        raise Shut(404)
    visible = {record.id for record in house.answering.documents(asker.groups)}
    said = []
    for replies in _by_turn(turns)[-4:]:
        first = replies[0].answer
        if _open(house, asker, first, visible) and not (turn and first.get("turn") == turn):
            said += [("user", replies[0].question), ("assistant", first["answer"]["text"])]
    return said


# ------------------------------------------------------------------------------------------------ what is shown


def source_address(place: Mapping[str, Any]) -> str:
    """Where the lines of a citation, or of a chunk, are shown."""
    wanted = ("document", "start", "end", "revision")
    return "/source?" + urlencode({name: place[name] for name in wanted})


def _reply(kept: Mapping[str, Any], judged: str = "") -> dict[str, Any]:
    """A kept reply as the template wants it."""
    answer = kept["answer"]
    citations = answer["citations"]
    cited = {int(citation["marker"].strip("[]")) for citation in citations}
    passages = [_passage(number, hit, number in cited) for number, hit in enumerate(answer["hits"], 1)]
    return {
        "id": kept["id"], "approach": kept["approach"], "recommended": kept["recommended"], "judged": judged,
        "seconds": answer["seconds"], "error": answer["error"], "refused": answer["refused"], "reads": kept["reads"],
        "hidden": False,
        "understood": kept["understood"], "question": kept["question"], "plain": answer["text"],
        "pieces": [] if answer["error"] else _pieces(kept["shown"], citations),
        "cited": len(citations), "verified": sum(citation["verified"] for citation in citations),
        "passages": passages, "used": sum(passage["used"] for passage in passages),
    }


def _passage(number: int, hit: Mapping[str, Any], used: bool) -> dict[str, Any]:
    chunk = hit["chunk"]
    legs = [(leg, place) for leg, place in hit["legs"]]
    return {
        "rank": number, "document": chunk["document"], "heading": chunk["heading"], "page": chunk["page"],
        "text": " ".join(chunk["text"].split()), "score": hit["score"], "legs": legs, "used": used,
        "address": source_address(chunk),
    }


def _pieces(shown: str, citations: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The answer cut at its markers, each cut with its chips; a chip stands behind the sentence's last sign."""
    waiting: dict[int, list[Mapping[str, Any]]] = {}
    for citation in citations:
        waiting.setdefault(int(citation["marker"].strip("[]")), []).append(citation)
    found = pieces(shown)
    places = Counter(number for _, numbers in found for number in numbers)
    seen: Counter[int] = Counter()
    made: list[dict[str, Any]] = []
    for i, (text, numbers) in enumerate(found):
        if numbers and i + 1 < len(found) and (ends := found[i + 1][0][:1]) and ends in _ENDS:
            found[i + 1] = (found[i + 1][0][1:], found[i + 1][1])
            text = text.rstrip() + ends
        chips = []
        for number in numbers:
            if known := waiting.get(number):
                chips.append(_chip(number, _at(known, places[number], seen[number])))
                seen[number] += 1
        made.append({"text": text.rstrip() if chips else text, "chips": chips})
    if not any(piece["chips"] for piece in made):
        located = [(number, one) for number, many in waiting.items() for one in many if one["how"] != "marker"]
        made[-1] = {"text": made[-1]["text"].rstrip(), "chips": [_chip(number, one) for number, one in located]}
    return made


def _at(known: Sequence[Mapping[str, Any]], places: int, place: int) -> Mapping[str, Any]:
    """The citation of a marker's place; where equal ones were kept once, the worst speaks for all of the number."""
    if len(known) == places:
        return known[place]
    return next((citation for citation in known if not citation["verified"]), known[0])


def _chip(number: int, citation: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "number": number, "verified": citation["verified"], "reason": why(citation["reason"]),
        "quote": " ".join(citation["quote"].split()), "document": citation["document"], "page": citation["page"],
        "address": source_address(citation) if citation["document"] else "",
    }
