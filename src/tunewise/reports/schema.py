"""The report as JSON (docs/report-schema.md), and the questions that the page embeds.

Passages are kept once, by chunk id, and the answers refer to them. Knows nothing of HTML.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from tunewise.nouns import Answer, Comparison, Needs, Recommendation, Row, to_json

SCHEMA = "tunewise-report/2"
_SURROGATE = re.compile("[\ud800-\udfff]")


def plain(value: Any) -> Any:
    """A noun as JSON that every reader takes: no NaN, no lone surrogates, anything unknown as its text."""
    return _clean(to_json(value))


def _clean(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_SURROGATE.sub("\ufffd", str(key)): _clean(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (bool, int, float)) else _SURROGATE.sub("\ufffd", str(value))


def status(row: Row, metric: str) -> str:
    """ "right", "missing", "wrong" or "error" of the answer that is shown; without those scores, right from half of the
    `metric` upwards. A mean over training seeds is no judgement of one answer: the first seed's own scores are."""
    if row.seeds:
        return status(row.seeds[0], metric)
    if row.answer.error is not None:
        return "error"
    for score, name in (("correct", "right"), ("missing", "missing"), ("wrong", "wrong")):
        if row.scores.get(score, 0) >= 0.5:
            return name
    if "correct" in row.scores:
        return "wrong"
    if metric in row.scores:
        return "right" if row.scores[metric] >= 0.5 else "wrong"
    return "missing" if row.answer.refused else "unscored"


def _of_seed(row: Row, metric: str) -> dict[str, Any]:
    return {"status": status(row, metric), "text": row.answer.text, "scores": dict(row.scores)}


def _passage_key(answer: Answer, position: int) -> str:
    chunk = answer.hits[position].chunk
    return f"{chunk.id}@{chunk.revision}" if chunk.revision else chunk.id


def evidence(comparison: Comparison) -> dict[str, Any]:
    """`questions` with every approach's answer, and the `passages` that the answers refer to."""
    passages: dict[str, Any] = {}
    questions = []
    for question in comparison.questions:
        rows = {}
        for name, row in comparison.rows.get(question.id, {}).items():
            answer = row.answer
            hits = []
            for position, hit in enumerate(answer.hits):
                key = _passage_key(answer, position)
                if key not in passages:
                    passages[key] = to_json(hit.chunk)
                hits.append({"passage": key, "rank": hit.rank, "score": hit.score})
            rows[name] = {
                "status": status(row, comparison.metric),
                "text": answer.text,
                "raw": answer.raw,
                "hits": hits,
                "citations": to_json(answer.citations),
                "refused": answer.refused,
                "tokens_in": answer.tokens_in,
                "tokens_out": answer.tokens_out,
                "seconds": answer.seconds,
                "error": answer.error,
                "scores": dict(row.scores),
                "seeds": [_of_seed(one, comparison.metric) for one in row.seeds],
            }
        questions.append({**to_json(question), "rules": dict(question.rules), "rows": rows})
    return _clean({"questions": questions, "passages": passages})


def as_json(
    comparison: Comparison, recommendation: Recommendation | None = None, *, needs: Needs | None = None
) -> dict[str, Any]:
    """The report as one JSON object (docs/report-schema.md); `schema` changes when a key changes its meaning."""
    return {
        "schema": SCHEMA,
        "metric": comparison.metric,
        "detectable": plain(comparison.detectable),
        "recommendation": plain(recommendation),
        "needs": plain(needs if needs is not None else comparison.identity.get("needs")),
        "standings": plain(comparison.standings),
        "differences": plain(comparison.differences),
        "self_test": plain(comparison.null),
        "identity": plain(comparison.identity),
        "notes": plain(comparison.notes),
        "strata": {key: [comparison.questions[place].id for place in places]
                   for key, places in comparison.places.items()},
        "learning": plain(comparison.curves),
        "freshness": plain(comparison.freshness),
        "robustness": plain(comparison.robustness),
        **evidence(comparison),
    }
