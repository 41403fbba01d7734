"""Two reports compared: pairing, the margin, what counts as the same question, exit code 3."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from measured_worlds import Skill, make_questions, make_runs
from test_jobs import project  # noqa: F401 - a fixture
from tunewise import reports
from tunewise.baseline import against, load_baseline
from tunewise.cli.app import run
from tunewise.comparison import compare
from tunewise.errors import DataMistake
from tunewise.nouns import Needs
from tunewise.recommendation import recommend

QUESTIONS = make_questions(40, 5)


def decided(right: float, questions=QUESTIONS, seed=0):
    comparison = compare(
        make_runs({"rag": Skill(right, index=True), "zero": Skill(0.1)}, questions, seed=seed), questions
    )
    return comparison, recommend(comparison, Needs())


def kept(folder: Path, right: float, **how) -> Path:
    path = folder / "baseline.json"
    path.write_text(json.dumps(reports.as_json(*decided(right, **how))), encoding="utf-8")
    return path


def test_the_same_is_unchanged_and_a_loss_beyond_the_margin_is_a_regression(tmp_path):
    earlier = load_baseline(kept(tmp_path, 0.7))
    same = against(*decided(0.7), earlier, margin=0.0)
    assert not same.used.regressed and same.used.paired and same.shared == 200 == same.questions
    assert same.used.same and same.used.difference.mean == 0 and not same.used.shown
    worse = against(*decided(0.55), earlier, margin=0.02)
    assert worse.used.regressed and worse.used.shown and not worse.used.same
    assert worse.used.difference.verdict == "worse"
    assert -0.22 < worse.used.difference.mean < -0.08
    assert not against(*decided(0.55), earlier, margin=0.3).used.regressed, "the margin is the user's"
    assert against(*decided(0.8), earlier, margin=0.0).used.difference.verdict == "better"
    assert [one.now for one in worse.others] == ["rag", "zero"] and not worse.others[1].regressed


def test_what_is_used_now_stands_against_what_was_used_then(tmp_path):
    earlier = load_baseline(kept(tmp_path, 0.7))
    comparison, _ = decided(0.02)
    found = against(comparison, recommend(comparison, Needs()), earlier, margin=0.02)
    assert (found.used.then, found.used.now) == ("rag", "zero") and found.used.regressed


def test_other_questions_are_compared_as_two_means(tmp_path):
    earlier = load_baseline(kept(tmp_path, 0.7))
    renamed = [replace(q, question=q.question + "!") for q in QUESTIONS]
    near = against(*decided(0.66, renamed, 1), earlier, margin=0.01)
    assert not near.used.paired and near.shared == 0 and not near.used.regressed, "chance explains a little less"
    far = against(*decided(0.3, renamed, 1), earlier, margin=0.02)
    assert far.used.regressed and far.used.difference.low < far.used.difference.mean < far.used.difference.high < 0


def test_a_report_of_the_first_schema_is_read(tmp_path):
    path = kept(tmp_path, 0.7)
    value = json.loads(path.read_text(encoding="utf-8"))
    value["schema"], value["notes"] = "tunewise-report/1", ["A sentence."]
    value["recommendation"]["rejected"] = {"zero": "wrong answers 0.9 > 0.5"}
    path.write_text(json.dumps(value), encoding="utf-8")
    assert against(*decided(0.7), load_baseline(path), margin=0.0).used.same


def test_questions_count_by_the_weights_of_the_needs(tmp_path):
    """A loss on form alone is none where form does not count, and all of it where only form does."""
    questions = make_questions(40, 6, needs=("facts", "form"))

    def measured(form, asked):
        runs = make_runs({"rag": Skill({"facts": 0.7, "form": form}, index=True), "zero": Skill(0.1)}, asked, seed=0)
        comparison = compare(runs, asked)
        return comparison, recommend(comparison, Needs())

    path = tmp_path / "baseline.json"
    path.write_text(json.dumps(reports.as_json(*measured(0.7, questions))), encoding="utf-8")
    earlier, renamed = load_baseline(path), [replace(q, question=q.question + "!") for q in questions]
    for asked, alike in ((questions, True), (renamed, False)):
        now = measured(0.3, asked)
        plain, facts, form = (against(*now, earlier, margin=0.02, needs=needs).used
                              for needs in (Needs(), Needs(weight_form=0.0), Needs(weight_facts=0.0)))
        assert plain.paired == facts.paired == alike and plain.regressed and not facts.regressed and form.regressed
        assert form.difference.mean == pytest.approx(2 * plain.difference.mean, abs=0.02)
        assert (facts.difference.mean == 0) == alike or not alike


def test_other_questions_are_clustered_by_document_on_both_sides(tmp_path):
    """Twelve documents of twenty questions each: what was measured then is no surer than what is measured now."""
    questions = make_questions(12, 20)
    earlier = load_baseline(kept(tmp_path, 0.6, questions=questions))
    renamed = [replace(q, question=q.question + "!") for q in questions]
    found = against(*decided(0.6, renamed), earlier, margin=0.02).used.difference
    own = decided(0.6, questions)[0].standings[0].metrics["quality"]
    assert found.high - found.low == pytest.approx(2**0.5 * (own.high - own.low), rel=0.1)


def test_a_minimum_is_asked_of_what_is_recommended():
    from tunewise.cli.gating import hold
    from tunewise.errors import GateFailed
    from tunewise.jobs.compare import CompareResult

    skills = {"dear": Skill(0.8, seconds=9.0, index=True), "cheap": Skill(0.5, seconds=0.1)}
    comparison = compare(make_runs(skills, QUESTIONS, seed=0), QUESTIONS)
    for needs, name in ((Needs(), "dear"), (Needs(max_p95_seconds=1.0), "cheap"), (Needs(margin=0.5), "cheap")):
        found = recommend(comparison, needs)
        assert found.choice == name
        result = CompareResult(comparison, found, Path())
        hold(result, [("quality", 0.4)], None)
        if name == "cheap":
            with pytest.raises(GateFailed, match="cheap reaches quality 0.5"):
                hold(result, [("quality", 0.7)], None)
            with pytest.raises(GateFailed, match="recall was not measured of cheap"):
                hold(result, [("recall", 0.1)], None)
    nobody = recommend(comparison, Needs(max_p95_seconds=0.01))
    with pytest.raises(GateFailed, match="no approach passes"):
        hold(CompareResult(comparison, nobody, Path()), [("quality", 0.0)], None)


def test_a_baseline_that_is_none(tmp_path):
    with pytest.raises(DataMistake, match="does not exist"):
        load_baseline(tmp_path / "none.json")
    path = tmp_path / "x.json"
    for text, why in (
        ("{}", "no report"),
        ('{"schema": "tunewise-report/1", "metric": "quality"}', "not a whole report"),
    ):
        path.write_text(text)
        with pytest.raises(DataMistake, match=why):
            load_baseline(path)
    earlier = load_baseline(kept(tmp_path, 0.7))
    with pytest.raises(DataMistake, match="decided by"):
        against(*decided(0.7), replace(earlier, metric="em"), margin=0.0)


def test_the_command_line_fails_a_job_on_regression(project, tmp_path, capsys):  # noqa: F811
    where = ["-c", str(project.root / "tunewise.toml"), "--no-progress"]
    assert run(["compare", *where, "-a", "rag", "-q"]) == 0
    base = tmp_path / "base.json"
    assert run(["report", *where, "-o", str(base)]) == 0
    assert run(["compare", *where, "-a", "rag", "--baseline", str(base), "--margin", "0", "--min", "quality=0.5"]) == 0
    assert "unchanged" in capsys.readouterr().out
    assert run(["compare", *where, "-a", "zero-shot", "--baseline", str(base)]) == 3
    said = capsys.readouterr()
    assert "REGRESSION" in said.out and "regression: zero-shot" in said.err and "points below rag" in said.err
    assert run(["report", *where, "--baseline", str(base), "--json"]) == 3
    value = json.loads(capsys.readouterr().out)
    assert value["baseline"]["used"]["regressed"] is True and value["schema"] == reports.SCHEMA
    page = tmp_path / "report.html"
    assert run(["report", *where, "--baseline", str(base), "-o", str(page)]) == 3
    shown = page.read_text(encoding="utf-8")
    assert "what is recommended: rag → zero-shot" in shown and ">regression<" in shown and ">退步<" in shown
    runs = project.root / ".tunewise" / "runs"
    assert run(["report", *where, "--baseline", str(next(runs.glob("zero-shot-*")))]) == 0
    assert run(["compare", *where, "-a", "zero-shot", "--min", "quality=0.99"]) == 3
    assert "quality" in capsys.readouterr().err
    assert run(["compare", *where, "-a", "zero-shot", "--min", "0.1", "--min", "recall=0.1"]) == 2
    assert run(["compare", *where, "--min", "quality=high"]) == 2
