"""Reports: a Comparison and a Recommendation as a terminal table, Markdown, JSON, or one self-contained HTML page.

This room shows what others measured and decided. It does not know how a score is made, how a winner is chosen, or where
a file is kept; it derives nothing but what drawing needs (positions, words, the money that one answer costs).
Everything that came out of a document, a question file or a model is data for it, never markup.
"""

from __future__ import annotations

from tunewise.reports.cited import why
from tunewise.reports.page import html
from tunewise.reports.plain import markdown, row, terminal
from tunewise.reports.schema import SCHEMA, as_json, plain

__all__ = ["SCHEMA", "as_json", "html", "markdown", "plain", "row", "terminal", "why"]
