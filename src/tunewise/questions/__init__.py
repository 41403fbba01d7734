"""Questions: files, faults, splits, leaks, other formats, and questions made from the documents.

Knows nothing about models or scores. Every fault of a file is reported at once, with its line.
"""

from __future__ import annotations

from tunewise.questions.files import (
    FIELDS,
    check_questions,
    import_dataset,
    load_questions,
    question_json,
    save_questions,
)
from tunewise.questions.leaks import NEAR, find_leaks, split_leaks, text_leaks
from tunewise.questions.splitting import split_questions

__all__ = [
    "FIELDS", "NEAR", "check_questions", "find_leaks", "import_dataset", "load_questions", "question_json",
    "save_questions", "split_leaks", "split_questions", "text_leaks",
]
