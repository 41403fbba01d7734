"""Forgetting: likelihoods as counted by hand, exact zero for an adapter that changes nothing, results kept by hash."""

import json
import math
from types import SimpleNamespace

import pytest

from tiny_models import save_adapter, tiny_llama
from tunewise.errors import ConfigMistake, DataMistake, ModelMistake
from tunewise.jobs.forgetting import forgetting, general, known, load_sets
from tunewise.models.knowledge import Item, choices_made, load_items, load_texts, negative_log_likelihoods


def project(root, model="m", **table):
    return SimpleNamespace(root=root, model=model, forgetting=table)


def test_the_sets_that_ship_are_whole():
    english, chinese = load_items(general() / "mc_en.jsonl"), load_items(general() / "mc_zh.jsonl")
    assert (len(english), len(chinese)) == (60, 40)
    assert len({item.id for item in english + chinese}) == 100
    for items in (english, chinese):
        # The right answer stands in every place, so that always taking one place is chance.
        assert {item.answer for item in items} == {0, 1, 2, 3}
        assert all(len(set(item.choices)) == 4 for item in items)
    assert all(len(load_texts(general() / name)) >= 8 for name in ("text_en.txt", "text_zh.txt"))


def test_every_broken_line_is_named(tmp_path):
    good = {"id": "a", "question": "q", "choices": ["x", "y"], "answer": 1}
    bad = [{**good, "answer": 2}, {**good, "choices": ["x"]}, {"id": "b"}, "no object"]
    (tmp_path / "s.jsonl").write_text("\n".join(json.dumps(one) for one in [good, *bad]) + "\n{broken")
    with pytest.raises(DataMistake) as error:
        load_items(tmp_path / "s.jsonl")
    assert [fault.split(":")[1] for fault in error.value.faults] == ["2", "3", "4", "5", "6"]


def test_settings_are_checked(tmp_path):
    assert [stem for stem, _ in load_sets(project(tmp_path)).items] == ["mc_en", "mc_zh"]
    assert len(load_sets(project(tmp_path, limit=7)).all) == 14
    for table in ({"colour": 1}, {"sets": "one"}, {"limit": 1}, {"asked": True}):
        with pytest.raises(ConfigMistake):
            load_sets(project(tmp_path, **table))
    with pytest.raises(DataMistake, match="no multiple-choice file"):
        load_sets(project(tmp_path, sets=["gone.jsonl"]))
    with pytest.raises(ModelMistake, match="likelihoods"):
        forgetting(project(tmp_path, "echo"), tmp_path)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A tiny base, an adapter whose B is zero (it changes nothing) and one that changes much."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    peft = pytest.importorskip("peft")
    from tunewise.models import local

    patch = pytest.MonkeyPatch()
    patch.setattr(local, "precision", lambda: ("float32", "merging zero changes nothing"))
    root = tmp_path_factory.mktemp("world")
    base = tiny_llama(root / "base")
    for name, spread in (("still", 0.0), ("wild", 1.0)):
        torch.manual_seed(3)
        worn = peft.get_peft_model(transformers.AutoModelForCausalLM.from_pretrained(base), peft.LoraConfig(
            r=4, lora_alpha=32, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM"))
        with torch.no_grad():
            for key, parameter in worn.named_parameters():
                if "lora_B" in key:
                    parameter.copy_(torch.randn_like(parameter) * spread)
        save_adapter(worn, root / name, base)
    yield root
    patch.undo()


@pytest.mark.slow
def test_choices_and_perplexity_are_those_of_a_plain_forward_pass(world):
    import torch

    from tunewise.models.local import LocalModel, prompt_tokens

    model = LocalModel(str(world / "base"))
    items = [
        Item("a", "How long?", ("30 days", "for ever and a day", "no"), 0),
        Item("b", "多久？", ("三十天", "永远"), 1, "zh", context="一段文字。"),
    ] * 9

    def plain(prompt, ids):
        with torch.inference_mode():
            # Labels shifted by one: the logits before a token predict it.
            logits = model.model(input_ids=torch.tensor([[*prompt, *ids]])).logits[0, len(prompt) - 1 : -1]
        return torch.log_softmax(logits.float(), -1).gather(1, torch.tensor(ids)[:, None]).sum().item()

    expected = []
    for item in items[:2]:
        asked = "一段文字。\n\n多久？" if item.context else "How long?"
        prompt = prompt_tokens(model.tokenizer, [{"role": "user", "content": asked}])
        scores = [plain(prompt, model.tokenizer(c)["input_ids"]) / len(c.encode()) for c in item.choices]
        expected.append(scores.index(max(scores)))
    assert choices_made(model, items) == expected * 9
    text = "Some general text."
    ids = model.tokenizer(text)["input_ids"]
    nats, tokens = negative_log_likelihoods(model, [text, "另一段文字"])[0]
    assert tokens == len(ids) - 1 and nats == pytest.approx(-plain(ids[:1], ids[1:]), rel=1e-4)


@pytest.mark.slow
def test_an_adapter_that_changes_nothing_forgets_exactly_nothing(world, tmp_path, monkeypatch):
    from tunewise.jobs import forgetting as job

    mine = project(tmp_path, str(world / "base"), limit=20, asked=4)
    loads = []
    real = job.load_model
    monkeypatch.setattr(
        job, "load_model", lambda name, adapter=None: loads.append(adapter) or real(name, adapter=adapter)
    )
    assert known(world / "still") is None
    found = forgetting(mine, world / "still")
    # The base is measured bare, in a model of its own, before the adapter is loaded.
    assert loads == [None, world / "still"]
    # That 40 questions have not changed does not say that none would (rule of three).
    change = found.accuracy.change
    assert change.mean == 0 and change.low == -change.high and 0 < change.high < 0.2
    assert found.accuracy.change.n == 40 and found.nats.change.mean == 0 and found.refusals.change.n == 4
    assert [stem for stem, _ in found.by_set] == ["mc_en", "mc_zh"]
    assert known(world / "still") == found.accuracy.change
    wild = forgetting(mine, world / "wild")
    assert loads == [None, world / "still", world / "wild"]
    # The tiny base knows nothing that could be lost, so only that something moved can be said.
    assert wild.nats.change.mean != 0 and wild.accuracy.change.low < 0 < wild.accuracy.change.high
    assert wild.perplexity[0] == pytest.approx(math.exp(found.nats.before))
    assert forgetting(mine, world / "wild") == wild and len(loads) == 3
    # Another set is measured anew.
    forgetting(project(tmp_path, str(world / "base"), limit=21, asked=4), world / "wild")
    assert len(loads) == 5
