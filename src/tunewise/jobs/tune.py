"""Training questions → rows → an adapter folder, by recipe and method. The same rows and settings give the same folder.

A recipe may have a parent (`parent = "dap"`): the parent is built first, and the run starts from its weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewise.errors import ConfigMistake, DataMistake, GateFailed, ModelMistake
from tunewise.jobs.child import Killed, in_child
from tunewise.jobs.fits import settled
from tunewise.jobs.foreign import leaves_for
from tunewise.jobs.imports import own_pairs, own_rows
from tunewise.jobs.library import Library, library
from tunewise.jobs.recipes import NEEDS_INDEX, PREFERENCES, rows_of, template_of
from tunewise.jobs.restricted import records_of, with_groups
from tunewise.jobs.rewards import judged, quality_of
from tunewise.models import is_local
from tunewise.models.chains import manifest
from tunewise.nouns import Approach, Question
from tunewise.questions import check_questions, load_questions, split_leaks
from tunewise.store import lock, project_folder, read_json
from tunewise.training import METHODS, RECIPES, RowReport, TrainingRow, TrainingSettings
from tunewise.training.formats import Read
from tunewise.training.methods import refuse_without_gpu
from tunewise.training.passed import refuse_unknown
from tunewise.training.shortage import remember_kill

if TYPE_CHECKING:
    from tunewise.project import Project

Progress = Callable[[str, int, int], None]
Note = Callable[[str], None]

LOOKED = 32
"""About so many validation rows are looked at: a look must not take as long as the training between two of them."""
FAULTS = 5
"""So many faults of a file of rows are said with their line."""
ROW_SETTINGS = ("without_oracle", "shuffle", "quotes", "max_refusals", "instructions")
"""What a preference run takes over from the ancestor whose prompts it uses: both must show the same rows."""


def silent(text: str) -> None:
    """A note callable that tells nobody."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A training run that was worked out and not yet begun; its folder is named by its adapter's identity."""

    recipe: str
    model: str
    rows: tuple[TrainingRow, ...]
    report: RowReport
    settings: TrainingSettings
    folder: Path
    identity: str
    validation: tuple[TrainingRow, ...] = ()
    parent: Plan | Path | None = None
    questions: tuple[Question, ...] = ()
    prompt: str = "answer"
    index: str = ""

    @property
    def parent_folder(self) -> Path | None:
        """Where the parent's weights are, or will be when it was built."""
        return self.parent.folder if isinstance(self.parent, Plan) else self.parent


def plan(
    project: Project,
    approach: Approach,
    questions: Sequence[Question],
    *,
    books: Library | None,
    given: dict[str, Any] | None = None,
    seed: int = 0,
    looks: bool = False,
) -> Plan:
    """Rows and settings of an approach's recipe on the training split of `questions`; most recipes need `books`.

    `given` are settings that go over those of the project; `seed` is added to the settings' own: the same recipe,
    trained again with other luck. `looks` makes validation rows whatever the patience. `ConfigMistake` names what is
    unknown or missing.
    """
    recipe, model = approach.recipe or "", approach.model
    if recipe not in RECIPES:
        raise ConfigMistake(f"there is no recipe {recipe!r}", tip=f"known: {', '.join(RECIPES)}")
    if not is_local(model):
        raise ModelMistake(
            f"{model} cannot be tuned here: its weights are not on this machine",
            tip="use a local model, for example smollm2",
        )
    learned = [question for question in questions if question.split == "train"]
    if not learned and recipe != "dap":
        raise DataMistake("there is no training question", tip="tunewise questions split sets the splits")
    own = {key: value for key, value in (("method", approach.method), ("parent", approach.parent)) if value}
    settings = _settings(project, recipe).but(own).but(given or {})
    settings = settings.but({"seed": settings.seed + seed})
    if settings.peft or settings.trainer:
        refuse_unknown(settings, recipe)
    judge = settings.judge if recipe in PREFERENCES else ""
    if judge and (to := leaves_for(project, replace(approach, model=judge, endpoint=None, answers=None))):
        raise ConfigMistake(f"the judge {judge} is at {to}, and data_may_leave = false", tip="a local judge")
    if recipe in PREFERENCES:
        from tunewise.training.preference import refuse_method

        # Before a parent is trained for hours.
        refuse_method(settings, recipe)
    if books is not None:
        approach = replace(approach, retrieval=settled(project, books, approach.retrieval, questions))
    parent = _parent(project, approach, questions, settings, books, seed=seed)
    if parent is not None:
        _refuse_virtual(parent)
    source = recipe
    if recipe in PREFERENCES:
        source, theirs = _source(recipe, parent)
        free = [name for name in ROW_SETTINGS if name in theirs and name not in (given or {})]
        settings = settings.but({name: theirs[name] for name in free})
    rows: Sequence[Any]
    if recipe in ("dpo", "kto") and settings.pairs:
        rows = own_pairs(project.root / settings.pairs, questions)
        report = RowReport(0, len(rows), notes=(f"{len(rows)} pairs from {settings.pairs}",))
    else:
        rows, report = rows_of(project, source, approach, learned, settings, books)
        if source != "dap":
            report = _also(report, f"rows: {len(learned)} training questions in, {len(rows)} rows out")
    if (file := project.training.get("rows")) and recipe in ("sft", "raft", "hybrid"):
        added, read = own_rows(project.root / str(file), questions)
        rows = [*rows, *added]
        report = _also(replace(report, rows=len(rows)), _read(str(file), read, len(added)))
    rows, restricted = with_groups(rows, questions, records_of(project.root, books))
    report = _also(report, *restricted)
    looked: list[TrainingRow] = []
    if (settings.patience or looks) and recipe not in PREFERENCES and recipe != "dap":
        held = [question for question in questions if question.split == "validation"]
        answerable = [question for question in held if question.answerable]
        made, _ = rows_of(project, source, approach, answerable, settings, books)
        looked = made[:: max(1, len(made) // LOOKED)]
        report = _also(report, f"validation: {len(held)} questions in, {len(answerable)} of them answerable, "
                       f"{len(made)} rows, {len(looked)} spread over them are looked at")
    planned = Plan(
        recipe, model, tuple(rows), report, settings, project.root, "", tuple(looked), parent, tuple(learned),
        template_of(source, approach, settings),
        books.index.fingerprint if books is not None and source in NEEDS_INDEX else "",
    )
    planned = altered(planned, {}, folder=project_folder(project.root) / "adapters")
    if not (planned.folder / "tunewise.json").is_file():
        # Before a parent is trained for hours; what was trained elsewhere needs no GPU to be worn.
        refuse_without_gpu(settings.method)
    return planned


def altered(made: Plan, given: Mapping[str, Any], *, folder: Path | None = None) -> Plan:
    """A plan with other settings, which its rows must not depend on, and with the folder that goes with them."""
    from tunewise.training.leaving import adapter_identity

    settings = made.settings.but(given)
    before = ""
    if made.parent is not None:
        before = made.parent.identity if isinstance(made.parent, Plan) else manifest(made.parent)["identity"]
    identity = adapter_identity(
        made.model, made.rows, settings, parent=before, validation=made.validation, recipe=made.recipe
    )
    name = made.recipe if settings.method == "lora" else f"{made.recipe}-{settings.method}"
    place = (folder or made.folder.parent) / f"{name}-{identity[:12]}"
    return replace(made, settings=settings, identity=identity, folder=place)


def _also(report: RowReport, *notes: str) -> RowReport:
    return replace(report, notes=(*report.notes, *notes))


def _read(file: str, read: Read, added: int) -> str:
    """What became of the rows of the user's own file, the first faults with their line and reason."""
    text = f"{file}: {read.rows} rows in ({read.form}), {added} added"
    if read.faults:
        more = f"; and {len(read.faults) - FAULTS} more" if len(read.faults) > FAULTS else ""
        text += f", {len(read.faults)} could not be read: {'; '.join(read.faults[:FAULTS])}{more}"
    return text


def _refuse_virtual(parent: Plan | Path) -> None:
    """`ConfigMistake` for a parent on which nothing can be trained, before it is trained itself."""
    method = parent.settings.method if isinstance(parent, Plan) else manifest(parent).get("method", "lora")
    if METHODS[method].virtual:
        name = parent.recipe if isinstance(parent, Plan) else parent
        raise ConfigMistake(
            f"the parent {name} learns virtual tokens ({method}), on which nothing else can be trained",
            tip="choose a parent that is trained with lora or full",
        )


def _parent(
    project: Project,
    approach: Approach,
    questions: Sequence[Question],
    settings: TrainingSettings,
    books: Library | None,
    *,
    seed: int,
) -> Plan | Path | None:
    if not settings.parent:
        return None
    if settings.parent in RECIPES:
        if settings.parent == approach.recipe:
            raise ConfigMistake(f"{approach.recipe} cannot be its own parent")
        # The parent's own method and parent come from its own table, not from this approach.
        wanted = replace(approach, recipe=settings.parent, method=None, parent=None)
        return plan(project, wanted, questions, books=books, seed=seed)
    folder = (project.root / settings.parent).expanduser()
    if not (folder / "tunewise.json").is_file():
        raise ConfigMistake(
            f"parent = {settings.parent!r} is neither a recipe nor a finished adapter folder",
            tip=f"known recipes: {', '.join(RECIPES)}",
        )
    return folder


def _source(recipe: str, parent: Plan | Path | None) -> tuple[str, dict[str, Any]]:
    """The recipe whose prompts a preference run uses, with its settings: the nearest ancestor that learned from
    questions."""
    if parent is None:
        raise ConfigMistake(
            f"{recipe} improves a tuned model and needs one", tip=f'[training.{recipe}] parent = "raft"'
        )
    link: Plan | Path | None = parent
    while link is not None:
        if isinstance(link, Plan):
            name, theirs, link = link.recipe, asdict(link.settings), link.parent
        else:
            about = read_json(link / "tunewise.json")
            name, theirs = about["recipe"], about["settings"]
            link = (link / about["parent"]["folder"]) if about.get("parent") else None
        if name in ("sft", "raft", "hybrid"):
            return name, theirs
    raise ConfigMistake(f"no parent of {recipe} learned from questions", tip=f'[training.{recipe}] parent = "sft"')


def _settings(project: Project, recipe: str) -> TrainingSettings:
    """The recipe's defaults, [training] over them, [training.RECIPE] over both."""
    passed = ("peft", "trainer")
    common = {k: v for k, v in project.training.items() if (not isinstance(v, dict) or k in passed) and k != "rows"}
    tables = {k: v for k, v in project.training.items() if isinstance(v, dict) and k not in passed}
    if unknown := sorted(set(tables) - set(RECIPES)):
        raise ConfigMistake(f"[training.{unknown[0]}] is no recipe", tip=f"known: {', '.join(RECIPES)}")
    return RECIPES[recipe].but(common).but(tables.get(recipe, {}))


def build(made: Plan, *, progress: Progress, note: Note = silent) -> Path:
    """The plan's adapter folder, trained in a process of its own unless it is there already; parents come first."""
    from tunewise.training.leaving import finished

    if isinstance(made.parent, Plan):
        build(made.parent, progress=progress, note=note)
    if finished(made.folder, made.identity, made.model, parent=made.parent_folder):
        return made.folder
    # Two that train the same would take each other's checkpoints for broken ones.
    with lock(made.folder.parent / f".{made.folder.name}.lock"):
        return _train(made, progress=progress, note=note)


def _train(made: Plan, *, progress: Progress, note: Note) -> Path:
    for line in made.report.notes:
        note(line)
    arguments: dict[str, Any] = {
        "model_name": made.model,
        "rows": made.rows,
        "folder": made.folder,
        "settings": made.settings,
        "recipe": made.recipe,
        "identity": made.identity,
        "parent": made.parent_folder,
        "index": made.index,
    }
    if made.recipe in PREFERENCES:
        from tunewise.training.preference import train_preferences
        from tunewise.training.reinforcement import train_rewarded

        reward = partial(judged, judge=made.settings.judge) if made.settings.judge else quality_of
        arguments["score"] = partial(reward, questions={q.id: q for q in made.questions}, template=made.prompt)
        train = train_rewarded if made.recipe in ("grpo", "rloo") else train_preferences
    else:
        from tunewise.training.sft import train

        arguments["validation"] = made.validation
    started = partial(in_child, train, arguments, progress=progress, note=note, what=f"training {made.recipe}")
    try:
        return started()
    except Killed as error:
        # Nobody inside can notice that in time: on a CPU the kernel ends the process instead of refusing the memory.
        remember_kill(made.folder / "checkpoints" / made.identity[:16])
        note(f"{error.message}: memory ran out, most likely. Once more, from the last checkpoint, with half the batch "
             "and twice the accumulation: the step stays the same")
        return started()


def wanted(project: Project, name: str, *, method: str | None = None, parent: str | None = None) -> Approach:
    """The approach that `tune NAME` means: one of the project by name, recipe or method, else a plain one."""
    if name not in RECIPES and name not in METHODS and name not in [a.name for a in project.approaches]:
        raise ConfigMistake(
            f"there is nothing to tune that is called {name!r}",
            tip=f"recipes: {', '.join(RECIPES)}; methods: {', '.join(METHODS)}; or an approach of tunewise.toml",
        )
    # The name says more than a recipe that several approaches may share.
    for one in sorted(project.approaches, key=lambda one: one.name != name):
        if one.recipe and (name in (one.name, one.method) or (name == one.recipe and method in (None, one.method))):
            return replace(one, method=method or one.method, parent=parent or one.parent)
    if name in [a.name for a in project.approaches]:
        raise ConfigMistake(f"the approach {name!r} needs no training", tip="tunewise compare")
    recipe = name if name in RECIPES else "raft"
    reads = recipe != "sft"
    return Approach(
        name,
        project.model,
        "grounded" if reads else "answer",
        index="current" if reads else None,
        retrieval=project.retrieval,
        recipe=recipe,
        method=name if name in METHODS else method,
        parent=parent,
    )


def tune(
    project: Project,
    name: str,
    *,
    given: dict[str, Any] | None = None,
    progress: Progress = lambda *_: None,
    note: Note = silent,
) -> Path:
    """Train what `name` means (a recipe, a method, an approach) for a project, and return its folder.

    `given` are training settings that go over those of the project (`method`, `parent`, `rate`, …).
    """
    given = dict(given or {})
    approach = wanted(project, name, method=given.pop("method", None), parent=given.pop("parent", None))
    return build(worked_out(project, approach, given=given), progress=progress, note=note)


def needs_documents(project: Project, approach: Approach) -> bool:
    """Whether the rows of an approach's recipe, or of one of its parents, are made from documents."""
    recipe, parent, seen = approach.recipe, approach.parent, []
    while recipe in RECIPES:
        if recipe in seen:
            raise ConfigMistake(f"{recipe} is among its own parents", tip="parent = … belongs into one recipe's table")
        seen.append(recipe)
        recipe, parent = parent or _settings(project, recipe).parent, None
    return bool(NEEDS_INDEX & set(seen)) or bool(seen and approach.index)


def refuse_leaks(questions: Sequence[Question]) -> None:
    """`GateFailed` when a question of one split gives another's away, naming the pairs."""
    if leaks := split_leaks(questions):
        side = {question.id: question.split for question in questions}
        shown = "; ".join(f"{a} and {b} ({side[a]} and {side[b]}: {why})" for a, b, why in leaks[:5])
        raise GateFailed(
            f"{len(leaks)} leak(s) between the splits of the questions: {shown}",
            tip="tunewise questions check lists them all, tunewise questions split deals the questions out anew",
        )


def worked_out(
    project: Project, approach: Approach, *, given: dict[str, Any] | None = None, looks: bool = False
) -> Plan:
    """The plan of an approach on the project's own questions, checked against the documents where it reads them.

    `GateFailed` when questions leak from one split into another: training, and what is chosen by the validation
    questions, would see what is measured later.
    """
    questions = load_questions(project.questions)
    refuse_leaks(questions)
    with library(project) if needs_documents(project, approach) else nullcontext() as books:
        if books is not None:
            texts = {record.id: books.catalog.document(record.id).text for record in books.catalog.documents()}
            if faults := check_questions([q for q in questions if q.split == "train"], texts):
                raise DataMistake(
                    f"{len(faults)} fault(s) in {project.questions} against the documents",
                    tip="tunewise questions check lists them; tunewise ingest if documents changed",
                    faults=tuple(faults),
                )
        return plan(project, approach, questions, books=books, given=given, looks=looks)
