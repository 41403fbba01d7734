"""The text of a new tunewise.toml."""

from __future__ import annotations

import json
from collections.abc import Sequence

_STARTER = """\
# Settings of one Tunewise project. Paths are relative to this file. `tunewise config show --origin` shows what holds.
[project]
name = {name}
documents = "documents"          # the folder that your answers come from
questions = "questions.jsonl"    # one question a line
language = {language}                  # "en" or "zh"
model = "smollm2"                # bundled; or a hub id, a local folder, "openai:MODEL"
embedder = "minilm"              # bundled; or a hub id, a local folder

[retrieval]
k = 3                            # passages handed to the model

[needs]                          # what the recommendation must respect; leave out what you do not need
margin = 0.02                    # differences below this do not matter to you
# max_wrong = 0.2                # gate: share of wrong answers
# max_p95_seconds = 5.0          # gate: 95 % of the answers are at least this quick
# citations_required = true      # gate: answers must show where they come from
# data_may_leave = false         # gate: nothing goes to another machine
# answers_per_month = 10000      # what total cost is counted for; prices: price_cpu_hour, price_label, price_tokens_in

# Without [approaches], all of them are compared: {approaches}.
# [approaches.my-rag]
# index = true
# retrieval = {{ k = 5, mode = "lexical" }}

# [approaches.vendor]            # somebody else's system: its answers, or endpoint = "http://…/v1"
# answers = "vendor.jsonl"

# [groups]                       # who may read what; without a line, everybody
# "hr/*" = ["hr"]
"""


def starter(name: str, *, language: str, approaches: Sequence[str]) -> str:
    """The text of a new tunewise.toml."""
    # A JSON string is a valid TOML basic string.
    return _STARTER.format(name=json.dumps(name, ensure_ascii=False), language=json.dumps(language),
                          approaches=", ".join(approaches))
