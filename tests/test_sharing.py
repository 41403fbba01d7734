"""Prompts computed once: packs hold every row, and have the loss and the gradients of the rows apart."""

import random

import pytest

from tiny_training import make_tiny, tiny_rows

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.slow


def item(prompt, completion):
    return {
        "prompt": prompt,
        "completion": completion,
        "input_ids": prompt + completion[:-1],
        "labels": [-100] * (len(prompt) - 1) + completion,
    }


def rows_of(seed=0, groups=4, each=5):
    """Five questions to a passage, questions of different lengths, two of them equal but for the answer."""
    draw = random.Random(seed)
    rows = []
    for group in range(groups):
        passage = [draw.randrange(2, 250) for _ in range(40 + group)]
        for _ in range(each):
            question = [draw.randrange(2, 250) for _ in range(draw.randrange(3, 9))]
            rows.append(item(passage + question, [draw.randrange(2, 250) for _ in range(draw.randrange(2, 6))] + [1]))
        rows.append(item(rows[-1]["prompt"], [7, 8, 1]))
    draw.shuffle(rows)
    return rows


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = make_tiny(tmp_path_factory.mktemp("tiny"), layers=3)
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def gradients(model, items):
    from tunewise.training.encoding import collate

    model.zero_grad()
    count = sum(label != -100 for one in items for label in one["labels"])
    losses = 0.0
    for start in range(0, len(items), 3):
        batch = collate(items[start : start + 3], pad=0)
        loss = model(**batch, num_items_in_batch=count).loss
        loss.backward()
        losses += loss.item()
    return losses, {name: p.grad.clone() for name, p in model.named_parameters()}


def test_only_models_that_look_at_everything_before_take_packs(tmp_path):
    from tunewise.models.local import attends_to_all

    small = {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 2, "vocab_size": 64}
    assert attends_to_all(transformers.LlamaConfig(**small))
    assert not attends_to_all(transformers.MistralConfig(**small, sliding_window=8))
    assert not attends_to_all(transformers.Gemma3TextConfig(**small, sliding_window=8))


def test_packs_have_the_gradients_of_the_rows_apart(model):
    from tunewise.training.sharing import pack

    rows = rows_of()
    packs = pack(rows)
    assert sum(one["rows"] for one in packs) == len(rows)
    assert sum(len(one["input_ids"]) for one in packs) < 0.5 * sum(len(one["input_ids"]) for one in rows)
    plain, apart = gradients(model, rows)
    shared, together = gradients(model, packs)
    assert shared == pytest.approx(plain, abs=1e-4)
    for name, gradient in apart.items():
        torch.testing.assert_close(together[name], gradient, atol=1e-4, rtol=1e-4)


def test_every_token_of_every_row_is_in_its_pack_once(model):
    from tunewise.training.sharing import _paths, pack

    rows = rows_of(seed=1)
    found = []
    for one in pack(rows, most=4):
        assert one["rows"] <= 4 and one["alone"] >= len(one["input_ids"])
        for pieces in _paths(one):
            found.append([token for a, b in pieces for token in one["input_ids"][a:b]])
    assert sorted(found) == sorted(row["input_ids"] for row in rows)


def test_rows_without_anything_in_common_stay_apart():
    from tunewise.training.sharing import pack

    rows = [item([10 * n + i for i in range(9)], [1]) for n in range(1, 5)]
    packs = pack(rows)
    assert [one["rows"] for one in packs] == [1, 1, 1, 1]
    assert [one["input_ids"] for one in packs] == [row["input_ids"] for row in rows]


@pytest.mark.parametrize("share", [True, False])
def test_frozen_layers_computed_once_change_nothing(model, share):
    from tunewise.training import frozen
    from tunewise.training.encoding import collate
    from tunewise.training.sharing import pack

    items = pack(rows_of(seed=2)) if share else rows_of(seed=2)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for parameter in model.model.layers[2].parameters():
        parameter.requires_grad_(True)

    def run(with_hidden):
        model.zero_grad()
        batch = collate(items[:3], pad=0)
        loss = model(**(frozen.with_hidden(items[:3], batch) if with_hidden else batch)).loss
        loss.backward()
        return loss.item(), model.model.layers[2].mlp.up_proj.weight.grad.clone()

    loss, gradient = run(False)
    lower = frozen.LowerLayers(model, 2)
    lower.compute(items, lambda some: collate(some, pad=0), tokens=200, device="cpu", progress=lambda done, total: None)
    lower.put_aside()
    assert run(True)[0] == pytest.approx(loss, abs=1e-5)
    torch.testing.assert_close(run(True)[1], gradient, atol=1e-5, rtol=1e-4)
    lower.restore()
    for one in items:
        del one["hidden"]
    assert run(False)[0] == pytest.approx(loss, abs=1e-6)
    model.requires_grad_(True)


def test_a_run_with_and_without_shared_prompts_learns_the_same(tmp_path, tmp_path_factory):
    import json

    from tunewise.training import TrainingSettings
    from tunewise.training.sft import train

    tiny = make_tiny(tmp_path_factory.mktemp("again"))
    figures = {}
    for share in (True, False):
        # One step for all rows: their order cannot matter.
        settings = TrainingSettings(epochs=6, rate=2e-2, batch=12, rank=4, share=share)
        folder = train(str(tiny), tiny_rows(), folder=tmp_path / str(share), settings=settings, recipe="raft")
        figures[share] = json.loads((folder / "tunewise.json").read_text())
    assert figures[True]["shared_tokens"] > 0.5 * figures[True]["tokens"] / 6
    assert figures[False]["shared_tokens"] == 0 and figures[True]["tokens"] == figures[False]["tokens"]
