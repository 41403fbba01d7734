"""An answer's citations and passages as clients read them: OpenAI annotations, full records, Open WebUI events.

Only verified citations become annotations: a client that knows nothing of us must not show a claim as a source.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from tunewise.citations import marked
from tunewise.nouns import Answer, Citation, Hit
from tunewise.server.desk import Done


def number_of(citation: Citation) -> int:
    """The n of a citation's marker `[n]`."""
    return int(citation.marker.strip("[]"))


def address(citation: Citation) -> str:
    """An id of the cited span, in the form of a URL that nobody can fetch: private sources have no web address."""
    return f"tunewise:{citation.document}#{citation.revision[:12]}:{citation.start}-{citation.end}"


def _title(answer: Answer, citation: Citation) -> str:
    hit = _hit(answer, citation)
    return (hit.chunk.title or citation.document) if hit else citation.document


def _hit(answer: Answer, citation: Citation) -> Hit | None:
    number = number_of(citation)
    return answer.hits[number - 1] if 1 <= number <= len(answer.hits) else None


def annotations(done: Done) -> list[dict[str, Any]]:
    """`url_citation` annotations of the verified citations; indices are those of the marker in the content.

    Equal citations are kept once, so a number may stand at more places than it has citations. Which place is whose is
    then unknown, and unless all of them are verified none is shown as a source.
    """
    spans: dict[int, list[tuple[int, int]]] = {}
    for place, numbers in marked(done.content):
        for number in numbers:
            spans.setdefault(number, []).append(place)
    sound, found = _sound(done.answer), []
    kept = Counter(number_of(citation) for citation in done.answer.citations)
    seen: Counter[int] = Counter()
    for citation in done.answer.citations:
        number = number_of(citation)
        places, place = spans.get(number, []), seen[number]
        seen[number] += 1
        if citation.verified and (number in sound or len(places) == kept[number]):
            # A located citation has no marker: it speaks for the whole answer.
            start, end = places[min(place, len(places) - 1)] if places else (0, len(done.content))
            found.append({
                "type": "url_citation",
                "url_citation": {
                    "start_index": start, "end_index": end, "title": _title(done.answer, citation),
                    "url": address(citation),
                },
            })
    return found


def _sound(answer: Answer) -> set[int]:
    """The numbers all of whose citations are verified."""
    forged = {number_of(citation) for citation in answer.citations if not citation.verified}
    return {number_of(citation) for citation in answer.citations} - forged


def records(done: Done) -> dict[str, Any]:
    """Everything about where an answer comes from: `message.tunewise` of the response."""
    answer = done.answer
    cited = {number_of(citation) for citation in answer.citations}
    return {
        "id": done.id,
        "approach": done.approach.name,
        "question": done.question,
        "text": answer.text,
        "refused": answer.refused,
        "sources": [
            {
                "n": number_of(citation), "document": citation.document, "title": _title(answer, citation),
                "revision": citation.revision, "start": citation.start, "end": citation.end, "page": citation.page,
                "quote": citation.quote, "how": citation.how, "verified": citation.verified, "reason": citation.reason,
            }
            for citation in answer.citations
        ],
        "retrieved": [passage(hit, number) | {"cited": number in cited} for number, hit in enumerate(answer.hits, 1)],
    }


def passage(hit: Hit, number: int) -> dict[str, Any]:
    """A retrieved passage as JSON; `n` is its number in the prompt."""
    chunk = hit.chunk
    return {
        "n": number, "document": chunk.document, "title": chunk.title, "heading": chunk.heading,
        "revision": chunk.revision, "start": chunk.start, "end": chunk.end, "page": chunk.page, "passage": chunk.text,
        "score": hit.score, "rank": hit.rank, "legs": [{"leg": leg, "rank": rank} for leg, rank in hit.legs],
    }


def webui_events(done: Done) -> Iterator[dict[str, Any]]:
    """The `source` events that Open WebUI reads, one for each cited passage.

    It links every marker of a number to its source: one forged citation of that number takes the source away.
    """
    for number in sorted(_sound(done.answer)):
        hit = done.answer.hits[number - 1]
        chunk = hit.chunk
        name = chunk.title or chunk.document
        metadata = {"source": chunk.document, "name": name} | ({"page": chunk.page} if chunk.page else {})
        yield {
            "event": {
                "type": "source",
                "data": {
                    "source": {"id": chunk.id, "name": name}, "document": [chunk.text], "metadata": [metadata],
                    "distances": [hit.score],
                },
            }
        }
