"""Where the reports show each measure: its group of columns, how it is written, and what a narrow terminal drops first.

A table and nothing else, in the order of the wide table. Labels and explanations are those of `tunewise.scorers`.
"""

from __future__ import annotations

from typing import NamedTuple


class Place(NamedTuple):
    """Group of columns, how a value is written, rank of importance (0 stays longest), whether its interval is shown."""

    group: str
    show: str
    rank: int = 40
    interval: bool = False


PLACES: dict[str, Place] = {
    "quality": Place("quality", "points", rank=0, interval=True),
    "f1": Place("quality", "points", rank=3, interval=True),
    "f1_cmrc": Place("quality", "points", rank=20, interval=True),
    "em": Place("quality", "points", rank=5, interval=True),
    "contains": Place("quality", "points", rank=12),
    "words": Place("quality", "number", rank=21),
    "correct": Place("outcome", "percent", rank=1),
    "missing": Place("outcome", "percent", rank=2),
    "wrong": Place("outcome", "percent", rank=2),
    "refused": Place("refusal", "percent", rank=13),
    "false_refusal": Place("refusal", "percent", rank=7),
    "right_refusal": Place("refusal", "percent", rank=14),
    "recall": Place("sources", "percent", rank=8),
    "mrr": Place("sources", "points", rank=22),
    "ndcg": Place("sources", "points", rank=23),
    "citation_verified": Place("sources", "percent", rank=16),
    "citation_precision": Place("sources", "percent", rank=10),
    "citation_recall": Place("sources", "percent", rank=15),
    "form": Place("style", "percent", rank=11),
    "terms": Place("style", "percent", rank=11),
    "truthfulness": Place("outcome", "points"),
    "f1_hotpot": Place("quality", "points"),
    "em_cmrc": Place("quality", "percent"),
    "number": Place("quality", "percent"),
    "list_f1": Place("quality", "points"),
    "list_exact": Place("quality", "percent"),
    "yes_no": Place("quality", "percent"),
    "choice_likelihood": Place("quality", "percent"),
    "rouge1": Place("quality", "points"),
    "rouge2": Place("quality", "points"),
    "rougeL": Place("quality", "points"),
    "bleu": Place("quality", "points"),
    "chrf": Place("quality", "points"),
    "refusal_precision": Place("refusal", "percent"),
    "fabricated": Place("outcome", "percent"),
    "fabricated_numbers": Place("outcome", "percent"),
    "fabricated_names": Place("outcome", "percent"),
    "fabricated_terms": Place("outcome", "percent"),
    "parametric": Place("sources", "percent"),
    "recall_per_1000_chars": Place("sources", "number"),
    "grounded": Place("sources", "percent"),
    "entailed": Place("sources", "percent"),
    "judged": Place("outcome", "points"),
    "style_distance": Place("style", "points"),
    "term_coverage": Place("style", "percent"),
    "forbidden_terms": Place("style", "percent"),
    "term_precision": Place("style", "percent"),
}
