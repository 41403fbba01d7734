"""The main job end to end without weights: documents → index → echo model → comparison → recommendation; resumption."""

import json
from dataclasses import replace

import pytest

from sample_shop import FACTS, write_pages
from sample_shop import TOML as SHOP_TOML
from tunewise.errors import ConfigMistake, DataMistake, GateFailed, ModelMistake
from tunewise.jobs.ask import ask
from tunewise.jobs.compare import compare, last
from tunewise.jobs.ingest import ingest, ingest_project
from tunewise.jobs.tune import tune
from tunewise.nouns import Question
from tunewise.project import load_project
from tunewise.questions import load_questions, save_questions

TOPICS = FACTS | {
    "rope": ("The rope carries 300 kilograms when dry.", "300 kilograms", "What weight does the dry rope carry?"),
    "boot": ("The boot comes in 12 sizes for adults.", "12 sizes", "In how many sizes does the boot come?"),
}
TOML = SHOP_TOML + """\
[approaches.rag-k1]
index = true
retrieval = { k = 1 }
"""


@pytest.fixture
def project(tmp_path):
    questions = [
        Question(name, asked, (answer, fact), (gold,), split="train" if number == 0 else "test")
        for number, (name, fact, answer, asked, gold) in enumerate(write_pages(tmp_path, TOPICS))
    ]
    for number in range(18):
        questions.append(
            Question(f"u{number}", f"Who invented gadget number {number}?", answerable=False, kind="unanswerable")
        )
    save_questions(tmp_path / "questions.jsonl", questions)
    (tmp_path / "tunewise.toml").write_text(TOML, encoding="utf-8")
    made = load_project(tmp_path, environ={}, user=tmp_path / "none.toml")
    ingest_project(made)
    return made


def test_the_main_job_measures_compares_and_recommends(project):
    seen = []
    result = compare(project, on_standing=lambda standing: seen.append(standing.approach.name))
    assert seen == ["zero-shot", "rag", "rag-k1"]
    standings = {s.approach.name: s for s in result.comparison.standings}
    assert (
        standings["rag"].strata["answerable=yes"]["f1"].mean
        > 0.5
        > standings["zero-shot"].strata["answerable=yes"]["f1"].mean
    )
    assert standings["rag"].metrics["recall"].mean == 1.0 and standings["rag"].metrics["citation_precision"].mean > 0.5
    assert result.comparison.null is not None and result.comparison.null.verdict == "not distinguishable"
    assert set(result.recommendation.total_cost) == {"zero-shot", "rag", "rag-k1"}
    again = last(project)
    assert again.comparison.standings == result.comparison.standings and again.recommendation == result.recommendation


def test_a_killed_comparison_asks_nothing_twice_and_ends_the_same(project, monkeypatch):
    from tunewise.models.echo import Echo

    whole = compare(project)
    runs = project.root / ".tunewise" / "runs"
    rows = {path.parent.name: path.read_bytes() for path in runs.glob("*/rows.jsonl")}
    for path in runs.glob("*/manifest.json"):
        path.unlink()
    for path in runs.glob("*/rows.jsonl"):
        path.write_bytes(path.read_bytes()[: len(path.read_bytes()) // 2])
    asked = []
    generate = Echo.generate
    monkeypatch.setattr(
        Echo, "generate", lambda self, prompts, decoding: asked.extend(prompts) or generate(self, prompts, decoding)
    )
    again = compare(project)
    assert 0 < len(asked) < 4 * 23
    assert {p.parent.name for p in runs.glob("*/rows.jsonl")} == set(rows)
    for mine, theirs in zip(again.comparison.standings, whole.comparison.standings, strict=True):
        assert (mine.approach, mine.metrics) == (theirs.approach, theirs.metrics)
    asked.clear()
    compare(project)
    assert asked == []


def test_asking_goes_to_the_recommended_approach_or_the_one_named(project):
    answer, used = ask(project, "How much water does the kettle hold?")
    assert used.name == "rag" and "2 litres" in answer.text
    assert answer.citations[0].verified and answer.citations[0].document == "kettle.md"
    refused, used = ask(project, "How much water does the kettle hold?", approach="zero-shot")
    assert used.name == "zero-shot" and refused.refused and refused.citations == ()
    with pytest.raises(ConfigMistake, match="rag"):
        ask(project, "Q?", approach="rga")
    with pytest.raises(DataMistake):
        ask(project, "  ")


def test_neither_drafts_nor_queries_leave_where_data_may_not(project, monkeypatch, tmp_path):
    from tunewise.jobs.generate import generate_questions
    from tunewise.jobs.search import search

    monkeypatch.setenv("OPENAI_BASE_URL", "https://api.example.com/v1")
    shut = replace(project, model="openai:big", needs=replace(project.needs, data_may_leave=False),
                   retrieval=replace(project.retrieval, rewrite="hyde"))
    with pytest.raises(ConfigMistake, match=r"the passages would go to https://api\.example\.com"):
        generate_questions(shut, output=tmp_path / "more.jsonl", model="openai:big")
    with pytest.raises(ConfigMistake, match=r"the query would go to https://api\.example\.com"):
        search(shut, "lamp")


def test_a_leak_refuses_the_comparison_and_names_the_pair(project):
    lines = project.questions.read_text(encoding="utf-8").splitlines()
    copy = json.loads(lines[1]) | {"id": "copied", "split": "train"}
    project.questions.write_text("\n".join([*lines, json.dumps(copy)]), encoding="utf-8")
    toml = TOML + '[approaches.few-shot]\nprompt = "answer"\nexamples = 2\n'
    (project.root / "tunewise.toml").write_text(toml, encoding="utf-8")
    with pytest.raises(GateFailed, match="copied and lamp"):
        compare(load_project(project.root, environ={}, user=project.root / "none"))
    # What is chosen by validation questions must not have been learned either.
    learned, held = (json.loads(lines[1]) | {"id": split, "split": split} for split in ("train", "validation"))
    rest = [line for line in lines if json.loads(line)["id"] != json.loads(lines[1])["id"]]
    project.questions.write_text("\n".join([*rest, json.dumps(learned), json.dumps(held)]), encoding="utf-8")
    with pytest.raises(GateFailed, match="train and validation"):
        compare(load_project(project.root, environ={}, user=project.root / "none"))


def test_gold_that_no_longer_stands_refuses_the_comparison(project):
    (project.documents / "tent.md").write_text("# tent\n\nSold out.\n", encoding="utf-8")
    ingest(project.documents, project=project.root, embedder=project.embedder, tokens=project.tokens)
    with pytest.raises(DataMistake) as error:
        compare(project)
    assert "tent" in error.value.faults[0]


def test_limit_keeps_all_kinds(project):
    result = compare(project, approaches=["zero-shot"], limit=6)
    assert len(result.comparison.questions) == 6
    assert {q.kind for q in result.comparison.questions} == {"fact", "unanswerable"}


def test_what_cannot_be_tuned_says_so(project):
    with pytest.raises(ModelMistake, match="echo"):
        tune(project, "sft")
    with pytest.raises(ConfigMistake, match="lorra"):
        tune(project, "lorra")


def test_nothing_was_ingested_or_compared(tmp_path):
    (tmp_path / "tunewise.toml").write_text(TOML, encoding="utf-8")
    save_questions(tmp_path / "questions.jsonl", [Question("a", "Q?", ("x",))])
    project = load_project(tmp_path, environ={}, user=tmp_path / "none")
    with pytest.raises(DataMistake) as error:
        compare(project)
    assert error.value.tip == "tunewise ingest"
    with pytest.raises(DataMistake) as error:
        last(project)
    assert error.value.tip == "tunewise compare"


def test_a_reader_without_groups_sees_what_is_public_only(project):
    rules = {"kettle.md": ["kitchen"]}
    ingest(project.documents, project=project.root, embedder="hash", tokens=project.tokens, groups=rules)
    asked = "How much water does the kettle hold?"
    for groups, seen in ((None, True), (("kitchen",), True), ((), False), (("garage",), False)):
        answer, _ = ask(project, asked, approach="rag", groups=groups)
        assert any(hit.chunk.document == "kettle.md" for hit in answer.hits) == seen
        assert ("2 litres" in answer.text) == seen


def test_what_failed_is_asked_again_by_the_next_comparison(project, monkeypatch):
    from tunewise.models.echo import Echo

    generate = Echo.generate

    def fail(self, prompts, decoding):
        raise RuntimeError("the server is down")

    monkeypatch.setattr(Echo, "generate", fail)
    broken = compare(project, approaches=["zero-shot"])
    assert broken.comparison.standings[0].errors == 23
    monkeypatch.setattr(Echo, "generate", generate)
    assert compare(project, approaches=["zero-shot"]).comparison.standings[0].errors == 0


def test_finished_runs_are_scored_anew_when_the_scorers_changed(project, monkeypatch):
    from tunewise.jobs import compare as job
    from tunewise.models.echo import Echo

    first = compare(project, approaches=["zero-shot", "rag"])
    scored = job.score
    monkeypatch.setattr(job, "rules", lambda: "other rules")
    monkeypatch.setattr(job, "score", lambda *args, **more: {**scored(*args, **more), "quality": 0.25})
    monkeypatch.setattr(Echo, "generate", lambda *_: pytest.fail("it was asked again"))
    second = compare(project, approaches=["zero-shot", "rag"])
    assert {standing.metrics["quality"].mean for standing in second.comparison.standings} == {0.25}
    assert [one.cost for one in second.comparison.standings] == [
        next(old.cost for old in first.comparison.standings if old.approach == one.approach)
        for one in second.comparison.standings
    ]


def test_a_resumed_comparison_of_a_local_model_asks_nothing_again(project, monkeypatch):
    from tunewise.models.echo import Echo

    generate, asked, stopped = Echo.generate, [], []

    def counted(self, prompts, decoding):
        if stopped and len(prompts) > 1:
            stopped.clear()
            raise KeyboardInterrupt
        asked.extend(prompts)
        return generate(self, prompts, decoding)

    monkeypatch.setattr(Echo, "generate", counted)
    # What only a model in this process is measured by: what one user waits.
    monkeypatch.setattr("tunewise.jobs.compare.is_local", lambda name: True)
    compare(project, approaches=["zero-shot"])
    zero = len(asked)
    stopped.append(True)
    with pytest.raises(KeyboardInterrupt):
        compare(project, approaches=["zero-shot", "rag"])
    assert len(asked) == zero + 5, "those that are asked alone, and then it was stopped"
    result = compare(project, approaches=["zero-shot", "rag"])
    assert len(asked) == zero + 5 + 23, "what was measured alone is kept"
    assert len(result.comparison.standings[0].cost.alone_seconds) == 4


def test_an_update_costs_what_one_was_measured_to_take(project):
    """Not what indexing everything took: a corpus of two hours stays open to daily updates."""
    from tunewise.store import read_json, write_json

    home = project.root / ".tunewise"
    write_json(home / "ingest.json", dict.fromkeys(read_json(home / "ingest.json"), 7200.0))
    hourly = replace(project, needs=replace(project.needs, max_update_minutes=60.0, updates_per_month=30))
    first = compare(hourly, approaches=["rag", "zero-shot"]).recommendation
    assert "time to update a fact 120.0 min > 60 min" in first.rejected["rag"].text

    (project.documents / "new.md").write_text("# New\n\nA new page.\n", encoding="utf-8")
    ingest_project(project)
    kept = read_json(home / "ingest.json")
    assert 0 < kept["update"] < 60 and max(kept.values()) == 7200
    second = compare(hourly, approaches=["rag", "zero-shot"])
    assert "rag" not in second.recommendation.rejected
    standings = {standing.approach.name: standing for standing in second.comparison.standings}
    assert standings["rag"].cost.update_seconds == kept["update"]
    assert (standings["rag"].cost.index_seconds, standings["zero-shot"].cost.update_seconds) == (7200, None)

    (home / "freshness.json").write_text(json.dumps({"approaches": [
        {"approach": "rag", "means": "ingest", "update_seconds": 3600.0},
        {"approach": "zero-shot", "means": "none", "update_seconds": 0.0}]}))
    third = last(hourly)
    bills = {line.name: line for line in third.recommendation.bills}
    assert bills["rag"].per_update == pytest.approx(0.05), "an hour, as tunewise freshness measured it"
    assert bills["rag"].updates == pytest.approx(30 * 12 * 0.05) and bills["rag"].set_up == pytest.approx(0.1)


def test_a_changed_gold_answer_makes_the_last_comparison_old(project):
    compare(project, approaches=["zero-shot"])
    text = project.questions.read_text(encoding="utf-8")
    project.questions.write_text(text.replace('"9 hours"', '"9 hours", "nine hours"'), encoding="utf-8")
    with pytest.raises(DataMistake, match="changed since"):
        last(project)


def test_an_increment_does_not_make_the_index_look_cheap(project):
    from tunewise.store import read_json

    before = max(read_json(project.root / ".tunewise" / "ingest.json").values())
    (project.documents / "new.md").write_text("# New\n\nA new page.\n", encoding="utf-8")
    result = ingest(project.documents, project=project.root, embedder="hash", tokens=project.tokens)
    assert read_json(project.root / ".tunewise" / "ingest.json")[result.generation.id] >= before


def test_the_oracle_of_small_chunks_is_the_passage_that_is_read(project):
    from tunewise.jobs.library import library
    from tunewise.questions import load_questions

    ingest(project.documents, project=project.root, embedder="hash", tokens=8, kind="parents", again=True)
    question = load_questions(project.questions)[0]
    with library(project) as books:
        small = [chunk for chunk in books.catalog.chunks(question.gold[0].document) if chunk.parent]
        read = books.index.parents(small)
        found = books.oracle(question)
    assert small and [one.id for one in found] and {one.id for one in found} <= {one.id for one in read.values()}


def test_a_sweep_leaves_what_was_finished_before_it(tmp_path, monkeypatch):
    from types import SimpleNamespace

    from tunewise.jobs import sweep as module
    from tunewise.store import write_json
    from tunewise.training import RECIPES, estimate

    plans, old = [], tmp_path / "0.5"
    write_json(old / "tunewise.json", {"validation": [{"loss": 0.5}]})

    def altered(made, given):
        plans.append(given)
        folder = old if len(plans) == 2 else tmp_path / f"trial{len(plans)}"
        return SimpleNamespace(
            validation=(1,), recipe="sft", model="m", folder=folder, settings=RECIPES["sft"].but({"rate": 1e-3})
        )

    def build(made, *, progress):
        if made.folder != old:
            write_json(made.folder / "tunewise.json", {"validation": [{"loss": 1.0}]})
        return made.folder

    monkeypatch.setattr(module, "wanted", lambda *a, **k: SimpleNamespace(recipe="sft"))
    monkeypatch.setattr(module, "worked_out", lambda *a, given, looks: altered(None, given))
    monkeypatch.setattr(module, "altered", altered)
    monkeypatch.setattr(module, "build", build)
    monkeypatch.setattr(estimate, "width_of", lambda model: 576)
    module.sweep(None, "sft", candidates=2)
    assert len(plans) > 2 and [path.name for path in tmp_path.iterdir()] == [old.name]


def test_a_served_adapter_that_learned_from_documents_is_found_with_them(project, monkeypatch):
    from dataclasses import replace

    from tunewise.jobs import answering as room

    seen = []
    monkeypatch.setattr(
        room.asking, "adapter_of", lambda project, approach, questions, books: seen.append(books) or project.root)
    monkeypatch.setattr(room.chains, "chain", lambda adapter: [])
    answering = room.Answering(project)
    for recipe in ("raft", "sft"):
        answering._wear(replace(project.approach("zero-shot"), recipe=recipe))
    assert seen[0] is not None and seen[1] is None


def test_an_adapter_that_learned_from_another_index_is_told_apart(tmp_path):
    from tunewise.jobs.ask import moved_on
    from tunewise.store import write_json

    first, second = tmp_path / "raft", tmp_path / "dpo"
    first.mkdir(), second.mkdir()
    write_json(first / "tunewise.json", {"index": "A", "weights": "w"})
    write_json(second / "tunewise.json", {"index": "", "parent": {"folder": "../raft", "weights": "w"}})
    assert [moved_on(second, index) for index in ("A", "B", None)] == [False, True, False]
    assert not moved_on(None, "A")


def test_an_upload_goes_into_the_index_where_the_project_has_it(project, monkeypatch):
    from types import SimpleNamespace

    from tunewise.jobs import ingest as job
    from tunewise.server import intake

    given = []
    monkeypatch.setattr(
        job, "ingest", lambda *a, **k: given.append(k["index"]) or job.IngestResult(None, 0, 0, 0, 0, 0, (), 0, ()))
    answering = SimpleNamespace(
        project=project, embedder=lambda: None, catalog=SimpleNamespace(documents=lambda: ()))
    toml = project.file.read_text(encoding="utf-8")
    for index in (None, "s3://bucket/index"):
        named = f'index = "{index}"\n' if index else ""
        project.file.write_text(toml.replace("[project]\n", f"[project]\n{named}"), encoding="utf-8")
        intake.Intake(answering, SimpleNamespace(uploads=lambda states: ()), None)._ingest()
    assert given == ["", "s3://bucket/index"]


def test_a_preference_run_shows_the_rows_of_its_parents_recipe(project, monkeypatch):
    from dataclasses import replace

    from tunewise.jobs import recipes
    from tunewise.jobs import tune as module
    from tunewise.jobs.library import library
    from tunewise.nouns import Approach
    from tunewise.questions import load_questions
    from tunewise.store import write_json

    monkeypatch.setattr(module, "is_local", lambda name: True)
    monkeypatch.setattr(recipes, "token_counter", lambda name: len)
    tables = {"raft": {"quotes": True, "max_refusals": 0.5}, "dpo": {"parent": "raft"}}
    tuned = replace(project, training=tables)
    approach = Approach("dpo", "tiny", "answer", retrieval=project.retrieval, recipe="dpo")
    with library(tuned) as books:
        made = module.plan(tuned, approach, load_questions(tuned.questions), books=books, seed=3)
    assert made.rows == made.parent.rows and made.prompt == made.parent.prompt == "quoted"
    assert (made.settings.quotes, made.settings.max_refusals) == (True, 0.5)
    assert made.settings.seed == made.parent.settings.seed == 3
    # The same from a finished folder, whose manifest has the settings.
    write_json(project.root / "done" / "tunewise.json", {
        "recipe": "raft", "identity": "x", "settings": {"quotes": True, "max_refusals": 0.5}})
    tuned = replace(project, training={"dpo": {"parent": "done"}})
    with library(tuned) as books:
        again = module.plan(tuned, approach, load_questions(tuned.questions), books=books, seed=3)
    assert again.rows == made.rows and again.prompt == "quoted"


def test_trained_approaches_are_trained_with_several_seeds(project, monkeypatch):
    """No weights here: an adapter is a name, and each seed makes the echo model fail at another question."""
    from tunewise.jobs import compare as module
    from tunewise.models.echo import Echo
    from tunewise.nouns import Cost
    from tunewise.store import write_json

    planned = []

    class Made:
        rows, folder = (), project.root / "nowhere"

    def plan(project, approach, questions, *, books, seed=0):
        planned.append((approach.name, seed))
        return Made()

    def build(made, *, progress, note):
        folder = project.root / f"adapter-{planned[-1][1]}"
        write_json(folder / "tunewise.json", {"questions": []})
        return folder

    class Forgetful(Echo):
        def __init__(self, seed):
            self.seed = seed

        def generate(self, prompts, decoding):
            said = super().generate(prompts, decoding)
            return [replace(one, text="no idea") if self.seed and "kettle" not in one.text else one for one in said]

    monkeypatch.setattr(module, "plan", plan)
    monkeypatch.setattr(module, "build", build)
    monkeypatch.setattr(module, "_training_cost", lambda adapter: Cost(labels=1))
    monkeypatch.setattr(module, "describe_model", lambda name, adapter=None: {"model": name, "adapter": str(adapter)})
    monkeypatch.setattr(module, "load_model", lambda name, adapter=None, journal=None: Forgetful(
        int(adapter.name[-1]) if adapter else 0))
    approach = replace(project.approach("rag"), name="raft", recipe="raft", examples=1)
    tuned = replace(project, approaches=(project.approach("rag"), approach), seeds=3)
    started, measured, really = [], [], module.compare_runs
    monkeypatch.setattr(module, "compare_runs", lambda runs, *a, **k: measured.extend(runs) or really(runs, *a, **k))
    result = compare(tuned, on_start=lambda count, points: started.append((count, points)))
    assert planned == [("raft", 0), ("raft (seed 2)", 1), ("raft (seed 3)", 2)]
    assert started[0][0] == 23 and 0 < started[0][1] < 1
    standings = {s.approach.name: s for s in result.comparison.standings}
    trained = {run.approach.name: run for run in measured if run.approach.recipe}
    assert len(trained) == 3
    assert all(run.cost.labels == 2 and run.trained_on == {"kettle"} for run in trained.values())
    assert set(standings) == {"rag", "raft"} and standings["raft"].seed_sd > 0 and standings["rag"].seed_sd is None
    assert last(tuned).comparison.standings == result.comparison.standings


@pytest.mark.parametrize(("more", "measured"), [
    ("", False), ("[forgetting]\n", True), ("[forgetting]\nlimit = 20\n", True),
    ("[needs]\nmax_forgetting = 0.1\n", True),
])
def test_forgetting_is_measured_where_a_table_or_a_limit_asks_for_it(project, monkeypatch, more, measured):
    """No weights here: an adapter is a name, and what it forgot a figure."""
    from types import SimpleNamespace

    from tunewise.jobs import compare as module
    from tunewise.models.echo import Echo
    from tunewise.nouns import Cost, Estimate
    from tunewise.store import write_json

    seen, emptied = [], []

    def build(made, **_):
        write_json(made.folder / "tunewise.json", {"questions": []})
        return made.folder

    def loaded(name, adapter, held, *, journal):
        emptied.append(held)
        held[name, str(adapter)] = Echo()
        return Echo()

    made = SimpleNamespace(rows=(), folder=project.root / "adapter-0")
    monkeypatch.setattr(module, "plan", lambda *_, **__: made)
    monkeypatch.setattr(module, "build", build)
    monkeypatch.setattr(module, "_loaded", loaded)
    monkeypatch.setattr(module, "_training_cost", lambda adapter: Cost(labels=1))
    monkeypatch.setattr(module, "describe_model", lambda name, adapter=None: {"model": name, "adapter": str(adapter)})
    monkeypatch.setattr(module, "forgetting", lambda *_, **__: seen.append(dict(emptied[-1])))
    monkeypatch.setattr("tunewise.jobs.beside.known", lambda adapter: Estimate(-0.01, -0.02, 0, 9) if seen else None)
    (project.root / "tunewise.toml").write_text(TOML + more, encoding="utf-8")
    made_of = load_project(project.root, environ={}, user=project.root / "none")
    tuned = replace(made_of, approaches=(replace(made_of.approach("rag"), name="raft", recipe="raft"),))
    result = compare(tuned)
    assert seen == ([{}] if measured else []), "and no other model is held meanwhile"
    assert not any("forgetting" in why.text for why in result.recommendation.rejected.values())


def test_a_judge_elsewhere_is_not_asked_where_data_may_not_leave(project, monkeypatch):
    from tunewise.jobs import tune as module

    monkeypatch.setattr(module, "is_local", lambda name: True)
    training = '[training.dpo]\njudge = "openai:big"\nparent = "sft"\n'
    (project.root / "tunewise.toml").write_text(TOML + training + "[needs]\ndata_may_leave = false\n", encoding="utf-8")
    mine = load_project(project.root, environ={}, user=project.root / "none")
    approach = replace(mine.approach("zero-shot"), recipe="dpo")
    learned = [replace(question, split="train") for question in load_questions(mine.questions)]
    monkeypatch.setenv("OPENAI_BASE_URL", "https://api.example.com/v1")
    with pytest.raises(ConfigMistake, match=r"judge openai:big is at https://api\.example\.com"):
        module.plan(mine, approach, learned, books=None)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setattr("tunewise.training.leaving.adapter_identity", lambda *_, **__: "0" * 64)
    assert module.plan(mine, approach, learned, books=None).settings.judge == "openai:big"


def test_the_memory_of_a_gpu_is_that_of_its_tensors(monkeypatch):
    import sys
    from types import SimpleNamespace

    from tunewise.models.gpu import gpu_peak, reset_gpu_peak

    reset = []
    cuda = SimpleNamespace(is_initialized=lambda: True, device_count=lambda: 2, reset_peak_memory_stats=reset.append,
                           max_memory_allocated=lambda device: 100 + device)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    reset_gpu_peak()
    assert gpu_peak() == 201 and reset == [0, 1]
    cuda.is_initialized = lambda: False
    assert gpu_peak() == 0, "CUDA is not started to be asked"
    monkeypatch.delitem(sys.modules, "torch")
    assert gpu_peak() == 0 and "torch" not in sys.modules


def test_approaches_on_one_model_share_it(monkeypatch, tmp_path):
    from tunewise.jobs import compare as module

    loads = []
    monkeypatch.setattr(module, "load_model", lambda name, **how: loads.append((name, how)) or object())
    held = {}
    first = module._loaded("smollm2", None, held, journal=tmp_path)
    assert module._loaded("smollm2", None, held, journal=tmp_path) is first and len(loads) == 1
    tuned = module._loaded("smollm2", tmp_path / "a", held, journal=tmp_path)
    assert tuned is not first and list(held.values()) == [tuned], "one at a time"
    module._loaded("openai:m", None, held, journal=tmp_path)
    assert loads[-1] == ("openai:m", {"adapter": None, "journal": tmp_path}) and list(held.values()) == [tuned]
