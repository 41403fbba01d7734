"""Everything that the API takes, 10 to a million times too large: the probe RE1, generated from its description.

Numbers, lengths of texts and of lists, in queries, forms and bodies. A route that takes a JSON body which has no valid
one in `BODIES` fails: whoever adds a route says what a good request looks like.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from typing import Any

import httpx

FACTORS = (10, 100, 1_000, 10_000, 100_000, 1_000_000)
SECONDS = 2.0
"""A refusal that takes longer is a failure."""
_LARGEST = 20_000_000
"""Characters of one request that is sent; the server's own limits lie below."""
_UNSAID = {"integer": 2**53, "number": 2**53, "string": 8_000, "array": 1_000}
"""Taken for the limit where the description names none."""
_USER = {"role": "user", "content": "x"}
BODIES: dict[str, Any] = {
    "POST /v1/chat/completions": {"model": "tunewise/rag", "messages": [_USER]},
    "POST /v1/embeddings": {"input": ["x"]},
    "POST /v1/search": {"query": "x"},
    "POST /v1/ratings#Thumb": {"kind": "thumb", "answer": "x", "verdict": "right"},
    "POST /v1/ratings#Pair": {"kind": "pair", "question": "q", "a": "x", "b": "y", "choice": "a"},
    "POST /v1/session": {"key": "tw-x"},
    "POST /v1/documents": {"groups": "x"},
}
_FREE = {"POST /v1/chat/completions": {"max_tokens", "max_completion_tokens"}}
"""Fields of the protocol that clients set far above any answer: their limit is high, and that is all right."""


def _leaves(schema: dict[str, Any], all_of: dict[str, Any], path: tuple[Any, ...] = ()) -> Iterator[tuple]:
    """(path into the value, its schema) of all that can be large."""
    if "$ref" in schema:
        schema = all_of[schema["$ref"].rpartition("/")[2]]
    for choice in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
        yield from _leaves(choice, all_of, path)
    kind = schema.get("type")
    if kind in _UNSAID and "const" not in schema and schema.get("format") != "binary":
        yield path, schema
    if kind == "array":
        yield from _leaves(schema.get("items", {}), all_of, (*path, 0))
    for name, inner in schema.get("properties", {}).items():
        yield from _leaves(inner, all_of, (*path, name))


def _too_large(schema: dict[str, Any], factor: int) -> Any:
    kind = schema["type"]
    limit = {"integer": "maximum", "number": "maximum", "string": "maxLength", "array": "maxItems"}[kind]
    size = int(schema.get(limit, schema.get("exclusiveMaximum", _UNSAID[kind]))) * factor
    if kind in ("integer", "number"):
        return size
    if size > _LARGEST:
        return None
    if kind == "array" and size > _LARGEST // 100:
        # As a form each item has lines of its own.
        return None
    return "x" * size if kind == "string" else ["x"] * size


def _with(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy of a value with another one at a path; what is missing on the way is made."""
    if not path:
        return new
    first, rest = path[0], path[1:]
    if first == 0:
        made = copy.deepcopy(value) if isinstance(value, list) and value else [{}]
    else:
        made = copy.deepcopy(value) if isinstance(value, dict) else {"type": "text"}
    made[first] = _with(made[0] if first == 0 else made.get(first), rest, new)
    return made


def requests(description: dict[str, Any]) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """(what is too large, method, path, what else httpx is given) for everything that the description names."""
    schemas = description["components"]["schemas"]
    for path, verbs in description["paths"].items():
        for verb, about in verbs.items():
            name = f"{verb.upper()} {path}"
            for one in about.get("parameters", ()):
                for _, schema in _leaves(one["schema"], schemas):
                    for factor in FACTORS:
                        value = _too_large(schema, factor)
                        if value is None or len(str(value)) > 60_000:
                            continue
                        if one["in"] == "query":
                            yield f"{name} ?{one['name']} x {factor}", verb, path, {"params": {one["name"]: value}}
                        elif one["in"] == "path":
                            reached = path.replace("{" + one["name"] + "}", str(value))
                            yield f"{name} {one['name']} x {factor}", verb, reached, {}
            for kind, content in about.get("requestBody", {}).get("content", {}).items():
                bodies = {key: body for key, body in BODIES.items() if key.partition("#")[0] == name}
                if not bodies:
                    raise SystemExit(f"{name} takes a body, and there is no valid one for it in BODIES")
                sent = "json" if kind == "application/json" else "data"
                for key, body in bodies.items():
                    # Behind "#" stands which of several kinds of body it is.
                    one_of = schemas[key.partition("#")[2]] if "#" in key else content["schema"]
                    for place, schema in _leaves(one_of, schemas):
                        for factor in FACTORS:
                            value = _too_large(schema, factor)
                            if value is not None and not (set(place) & _FREE.get(name, set()) and factor < 10):
                                label = f"{name} {'.'.join(map(str, place))} x {factor}"
                                more = {"files": {"files": ("a.exe", b"x")}} if "multipart" in kind else {}
                                yield label, verb, path, {sent: _with(body, place, value), **more}


def refused(client: httpx.Client, description: dict[str, Any]) -> dict[str, Any]:
    """Figures: how many were sent, those that were not refused with 4xx or not at once, the slowest refusal."""
    faults, n, slowest = [], 0, 0.0
    for label, verb, path, more in requests(description):
        asked = client.build_request(verb.upper(), path, **more)
        # A form of a thousand parts is put together before the clock runs.
        asked.read()
        start = time.perf_counter()
        reply = client.send(asked)
        took = time.perf_counter() - start
        n, slowest = n + 1, max(slowest, took)
        if not 400 <= reply.status_code < 500 or took > SECONDS:
            faults.append(f"{label}: {reply.status_code} after {took:.2f} s: {reply.text[:120]}")
    return {"n": n, "failures": len(faults), "first_failures": faults[:5], "slowest_refusal_s": round(slowest, 2)}
