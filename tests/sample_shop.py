"""A shop's handbook without weights: pages with one fact each, their questions, and the settings that read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from tunewise.nouns import Gold

FACTS = {
    "kettle": ("The kettle holds 2 litres of water.", "2 litres", "How much water does the kettle hold?"),
    "lamp": ("The lamp glows for 9 hours after charging.", "9 hours", "How long does the lamp glow after charging?"),
    "tent": ("The tent sleeps 4 people in comfort.", "4 people", "How many people sleep in the tent?"),
    "stove": ("The stove burns 80 grams of gas an hour.", "80 grams", "How many grams of gas does the stove burn?"),
}
"""(fact, answer, question) by the name of its page."""
TOML = """\
[project]
model = "echo"
embedder = "hash"
[approaches.zero-shot]
prompt = "answer"
[approaches.rag]
index = true
"""


def write_pages(folder: Path, facts: Mapping[str, tuple[str, str, str]]) -> Iterator[tuple[str, str, str, str, Gold]]:
    """Write a page for each fact below `folder`/documents; (name, fact, answer, question, where the answer stands)."""
    (folder / "documents").mkdir(parents=True)
    for name, (fact, answer, asked) in facts.items():
        text = f"# {name}\n\nThis page is about the {name}.\n\n{fact}\n\nAsk the shop for anything else.\n"
        (folder / "documents" / f"{name}.md").write_text(text, encoding="utf-8")
        start = text.strip().index(answer)
        yield name, fact, answer, asked, Gold(f"{name}.md", start, start + len(answer))
