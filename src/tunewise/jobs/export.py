"""An approach's model out of the house, checked with the project's own questions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tunewise.errors import ModelMistake
from tunewise.jobs.adapter import adapter_of
from tunewise.models import is_local
from tunewise.prompts import render
from tunewise.questions import load_questions
from tunewise.training.export import Exported
from tunewise.training.export import export as write

if TYPE_CHECKING:
    from tunewise.project import Project

ASKED = 8


def export(project: Project, name: str, *, form: str, output: Path, quantisation: str = "Q8_0") -> Exported:
    """Export the model of an approach; a few of the project's questions go through it and through what was written."""
    approach = project.approach(name)
    if not is_local(approach.model):
        raise ModelMistake(f"{approach.model} cannot be exported: its weights are not on this machine",
                           tip="use a local model, for example smollm2")
    adapter = adapter_of(project, name)[1] if approach.recipe else None
    questions = load_questions(project.questions) if project.questions.is_file() else []
    some = [questions[i * len(questions) // ASKED] for i in range(min(ASKED, len(questions)))]
    prompts = [render(approach.prompt, one.question, language=one.language) for one in some]
    return write(approach.model, adapter, form=form, output=output, prompts=prompts, quantisation=quantisation)
