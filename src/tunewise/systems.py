"""Somebody else's whole system as an approach: a file of its answers, or its OpenAI-compatible address.

Both give the same callable that our own approaches are, so that everybody stands in one table. Knows nothing about
scores, indexes or how documents are kept: `Library` hands in their names and passages. A system is believed
nothing: what it cites is looked up in the documents and checked by the ladder of `citations`, as our own citations are.
A system that shows what it cites but not what it read gets the cited passages as its supplied ones.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tunewise.citations import strip_markers, unsupported, verify
from tunewise.errors import ConfigMistake, DataMistake, Failed, ModelMistake
from tunewise.nouns import Answer, Approach, Chunk, Citation, Hit, Question
from tunewise.prompts import is_refusal
from tunewise.store import read_jsonl, sha256

Ask = Callable[[Sequence[Question]], list[Answer]]
KEYS = ("id", "answer", "citations", "passages", "refused", "seconds", "tokens_in", "tokens_out", "error")
_TRIES = 4
_PARALLEL = 4


@dataclass(frozen=True, slots=True)
class Library:
    """The project's documents as a citation needs them: their ids, and the passages of one."""

    ids: tuple[str, ...] = ()
    chunks: Callable[[str], Sequence[Chunk]] = lambda document: ()

    def document(self, name: str) -> str:
        """The id of the document that a name, path or web address means; empty: none of ours, or not clear which."""
        plain = unquote(urlsplit(name).path if "://" in name else name.partition("#")[0]).replace("\\", "/").strip("/")
        if plain in self.ids:
            return plain
        ends = [id for id in self.ids if plain.endswith("/" + id) or id.endswith("/" + plain)] if plain else []
        return ends[0] if len(ends) == 1 else ""


# ------------------------------------------------------------------------------------------- citations


def _passage(value: Any, number: int, library: Library) -> Chunk:
    """A passage that the system says it read: a text, or {text, document, start}."""
    entry = {"text": value} if isinstance(value, str) else value
    if not isinstance(entry, Mapping) or not isinstance(entry.get("text"), str) or not entry["text"]:
        raise ValueError(f"passage {number} has no text")
    text, document = entry["text"], library.document(str(entry.get("document") or ""))
    for chunk in library.chunks(document) if document else ():
        at = chunk.text.find(text)
        if at >= 0:
            start = chunk.start + at
            return Chunk(f"{chunk.id}+{at}", document, chunk.revision, start, start + len(text), text, chunk.title,
                         chunk.heading, chunk.page, chunk.language)
    start = entry.get("start")
    start = start if document and isinstance(start, int) and start >= 0 else 0
    # By its content: "passage 1" of another question, or of another system, is another passage.
    named = document or str(entry.get("document") or "(not named)")
    return Chunk(f"given-{sha256(f'{named}|{text}')[:12]}", named, "", start, start + len(text), text)


def _cited(value: Any, claim: str, marker: str, library: Library) -> tuple[Citation, Chunk | None]:
    """A citation by name (and quote or span) as a checked Citation, and the passage of ours that it means."""
    entry = {"document": value} if isinstance(value, str) else dict(value)
    named = str(entry.get("document") or entry.get("url") or entry.get("title") or "")
    document = library.document(named) or library.document(str(entry.get("title") or ""))
    if not document:
        return Citation(marker, named, "", 0, 0, "", reason="it names none of the documents"), None
    chunks = list(library.chunks(document))
    start, end = (entry.get("span") or (entry.get("start"), entry.get("end")))[:2]
    quote = " ".join(str(entry.get("quote") or "").split())
    if isinstance(start, int) and isinstance(end, int) and 0 <= start < end:
        chunks = [chunk for chunk in chunks if chunk.start < end and start < chunk.end]
        if not chunks:
            return Citation(marker, document, "", 0, 0, quote, reason="its span is outside of the document"), None
    elif quote:
        chunks = [chunk for chunk in chunks if quote in " ".join(chunk.text.split())]
        if not chunks:
            return Citation(marker, document, "", 0, 0, quote, reason="its quote does not stand in the document"), None
    exact = isinstance(start, int) or bool(quote)
    # A whole document was named: the passage that supports the claim, if there is one.
    reasons = [unsupported(claim, chunk.text) for chunk in chunks]
    place = reasons.index("") if "" in reasons else 0
    if not chunks:
        return Citation(marker, document, "", 0, 0, quote, reason="the document has no passages"), None
    chunk, reason = chunks[place], reasons[place]
    return Citation(marker, document, chunk.revision, chunk.start, chunk.end, chunk.text, chunk.page,
                    verified=not reason, reason=reason), chunk if exact or not reason else None


def _answer(question: Question, raw: str, values: Sequence[tuple[Any, str]], passages: Sequence[Any],
            library: Library, **fields: Any) -> Answer:
    """An Answer of a system's words, its citations (value, claim) and its passages; ValueError says what is wrong."""
    hits = tuple(Hit(_passage(value, n, library), 1.0, n) for n, value in enumerate(passages, 1))
    numbers = [value for value, _ in values if isinstance(value, int) and not isinstance(value, bool)]
    text, citations = verify(raw + "".join(f" [{n}]" for n in numbers), hits)
    named = [(value, claim) for value, claim in values if not isinstance(value, int)]
    seen = {hit.chunk.id for hit in hits}
    for value, claim in named:
        citation, chunk = _cited(value, claim or text, f"[{len(citations) + 1}]", library)
        citations += (citation,)
        if not passages and chunk is not None and chunk.id not in seen:
            seen.add(chunk.id)
            hits += (Hit(chunk, 1.0, len(hits) + 1),)
    refused = fields.pop("refused", None)
    refused = is_refusal(text) if refused is None else refused
    return Answer(question.id, text, raw, hits, () if refused else citations, refused, **fields)


# ------------------------------------------------------------------------------------------- a file of answers


def answers_file(path: Path, library: Library = Library()) -> Ask:
    """The answers of a JSONL file by question id; all faults of the file are raised at once.

    A line: `id`, `answer`, and what the system can show: `citations` (passage numbers from 1, document names or
    addresses, or objects with `document` and `quote` or `start` and `end`), `passages` (texts, or objects with `text`
    and `document`), `refused`, `seconds`, `tokens_in`, `tokens_out`, `error`. A question without a line becomes a row
    with an error.
    """
    if not path.is_file():
        raise DataMistake(f"{path} does not exist", tip='one line for each question: {"id": "q1", "answer": "30 days"}')
    lines: dict[str, Mapping[str, Any]] = {}
    faults = []
    for number, value in read_jsonl(path):
        if fault := _fault(value, lines):
            faults.append(f"{path}:{number}: {fault}")
        else:
            lines[value["id"]] = value
    if faults:
        known = ", ".join(KEYS)
        raise DataMistake(f"{len(faults)} fault(s) in {path}", tip=f"known keys: {known}", faults=tuple(faults))

    def ask(questions: Sequence[Question]) -> list[Answer]:
        return [_line(question, lines.get(question.id), library) for question in questions]

    return ask


def _fault(value: Any, known: Mapping[str, Any]) -> str:
    if not isinstance(value, dict) or not isinstance(value.get("id"), str):
        return 'an object with an "id" is needed'
    if unknown := sorted(set(value) - set(KEYS)):
        return f"unknown key {unknown[0]!r}"
    if value["id"] in known:
        return f"{value['id']!r} stands twice"
    if not isinstance(value.get("answer", "" if value.get("error") else None), str):
        return '"answer" must be a text'
    for key in ("citations", "passages"):
        if not isinstance(value.get(key, []), list):
            return f'"{key}" must be a list'
    if any(isinstance(entry, bool) or not isinstance(entry, (int, str, dict)) for entry in value.get("citations", [])):
        return '"citations" are numbers, names or objects'
    if not isinstance(value.get("refused", False), bool):
        return '"refused" must be true or false'
    for key in ("seconds", "tokens_in", "tokens_out"):
        entry = value.get(key, 0)
        if isinstance(entry, bool) or not isinstance(entry, (int, float)) or not entry >= 0:
            return f'"{key}" must be a number of at least 0'
    return ""


def _line(question: Question, value: Mapping[str, Any] | None, library: Library) -> Answer:
    if value is None:
        return Answer(question.id, "", error="the file has no answer to this question")
    if value.get("error"):
        return Answer(question.id, "", error=str(value["error"]))
    try:
        return _answer(
            question, value["answer"], [(entry, "") for entry in value.get("citations", [])], value.get("passages", []),
            library, refused=value.get("refused"), seconds=float(value.get("seconds", 0.0)),
            tokens_in=int(value.get("tokens_in", 0)), tokens_out=int(value.get("tokens_out", 0)),
        )
    except ValueError as error:
        return Answer(question.id, "", error=f"its line in the file cannot be read: {error}")


# ------------------------------------------------------------------------------------------- an address


def endpoint(approach: Approach, library: Library = Library(), *, seconds: float = 300.0) -> Ask:
    """The system at `approach.endpoint`: it gets the bare question, and answers with or without citations.

    Citations are read from `message.annotations[]` of type `url_citation`, or from `message.tunewise.sources[]`. The
    key comes from the variable that `key_env` names; from OPENAI_API_KEY only where this is OPENAI_BASE_URL's address.
    """
    import httpx

    address = (approach.endpoint or "").rstrip("/")
    shown = re.sub(r"//[^/@]*@", "//***@", address)
    if urlsplit(address).scheme not in ("http", "https"):
        raise ConfigMistake(f"{shown!r} is no address", tip='endpoint = "http://127.0.0.1:8000/v1"')
    own = address == os.environ.get("OPENAI_BASE_URL", "").rstrip("/")
    key = os.environ.get(approach.key_env, "") if approach.key_env else os.environ.get("OPENAI_API_KEY", "") * own
    if approach.key_env and not key:
        raise ConfigMistake(f"{approach.name} needs a key in {approach.key_env}", tip=f"export {approach.key_env}=…")
    client = httpx.Client(timeout=seconds, headers={"Authorization": f"Bearer {key}"} if key else {})

    def one(question: Question) -> Answer:
        start = time.perf_counter()
        value = _post(client, f"{address}/chat/completions", shown, {
            "model": approach.model, "messages": [{"role": "user", "content": question.question}], "stream": False,
            "temperature": approach.decoding.temperature, "seed": approach.decoding.seed,
        })
        return _read(question, value, library, shown, time.perf_counter() - start)

    def ask(questions: Sequence[Question]) -> list[Answer]:
        with ThreadPoolExecutor(_PARALLEL) as pool:
            return list(pool.map(one, questions))

    return ask


def _post(client: Any, url: str, shown: str, body: Mapping[str, Any]) -> Any:
    import httpx

    for attempt in range(_TRIES):
        last = attempt == _TRIES - 1
        try:
            reply = client.post(url, json=body)
        except httpx.TransportError as error:
            if last:
                raise Failed(f"{shown} does not answer: {type(error).__name__}", tip="is it running?") from error
        else:
            if reply.status_code == 200:
                try:
                    return reply.json()
                except ValueError as error:
                    raise Failed(f"{shown} answered with something that is no JSON: {reply.text[:200]}") from error
            if reply.status_code in (401, 403):
                raise ConfigMistake(f"{shown} refused the key ({reply.status_code})", tip='key_env = "NAME" names it')
            if reply.status_code == 404:
                raise ModelMistake(f"{shown} has no model {body['model']!r}", tip="see its /v1/models")
            if last or (reply.status_code != 429 and reply.status_code < 500):
                raise Failed(f"{shown} answered {reply.status_code}: {reply.text[:200]}")
        time.sleep(0.2 * 2**attempt)
    raise AssertionError("unreachable: the last try returns or raises")


def _read(question: Question, value: Any, library: Library, shown: str, seconds: float) -> Answer:
    try:
        message = value["choices"][0]["message"]
        text = message["content"] or ""
        annotations = [a["url_citation"] for a in message.get("annotations") or () if a.get("type") == "url_citation"]
        sources = (message.get("tunewise") or {}).get("sources") or ()
        cited = [(source, "") for source in sources] if sources else _claims(text, annotations)
        usage = value.get("usage") or {}
        return _answer(
            question, text, cited, (), library, seconds=seconds, tokens_in=int(usage.get("prompt_tokens") or 0),
            tokens_out=int(usage.get("completion_tokens") or 0),
        )
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise Failed(f"{shown} answered with something that is no chat completion: {str(value)[:200]}") from error


def _claims(text: str, annotations: Sequence[Mapping[str, Any]]) -> list[tuple[Any, str]]:
    """Each citation with the words it speaks for: what stands between the place before it and its own."""
    found: list[tuple[Any, str]] = []
    before, claim = 0, ""
    for annotation in sorted(annotations, key=lambda a: a.get("start_index") or 0):
        start, end = annotation.get("start_index") or 0, annotation.get("end_index") or 0
        words = strip_markers(text[before:start]) if 0 < start <= len(text) else ""
        # Two at one place speak for the same words; without a place, for the whole answer.
        claim = words if re.search(r"\w", words) else claim
        found.append((annotation, claim))
        before = max(before, end)
    return found


__all__ = ["Library", "answers_file", "endpoint"]
