"""Many adapters on one base: each answers as if it were alone, in any order and from any thread."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tiny_models import save_adapter, tiny_llama
from tunewise.errors import ModelMistake
from tunewise.models import load_model, load_models
from tunewise.nouns import Decoding

DECODING = Decoding(max_new_tokens=12)
PROMPTS = [[{"role": "user", "content": text}] for text in ("How long?", "退货期限是多久？", "a longer one, " * 9)]


def test_models_without_weights_share_one_object_and_wear_nothing(tmp_path):
    models = load_models("echo", {"zero-shot": None, "rag": None})
    assert models["zero-shot"] is models["rag"]
    with pytest.raises(ModelMistake, match="cannot wear"):
        load_models("echo", {"raft": tmp_path})


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A tiny base and four adapters on the disk: two LoRA, one prompt-tuned, one prefix-tuned, with random weights."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    peft = pytest.importorskip("peft")
    from tunewise.models import local

    patch = pytest.MonkeyPatch()
    patch.setattr(local, "precision", lambda: ("float32", "merging changes nothing but the last bits"))
    root = tmp_path_factory.mktemp("adapters")
    base = tiny_llama(root / "base")
    lora = {"init_lora_weights": False, "target_modules": ["q_proj", "down_proj"], "task_type": "CAUSAL_LM"}
    configs = {
        "sft": peft.LoraConfig(r=4, lora_alpha=64, **lora),
        "raft": peft.LoraConfig(r=2, lora_alpha=64, use_dora=True, **lora),
        "prompt": peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4),
        "prefix": peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3),
    }
    folders = {}
    for number, (key, config) in enumerate(configs.items()):
        torch.manual_seed(number)
        worn = peft.get_peft_model(transformers.AutoModelForCausalLM.from_pretrained(base), config)
        with torch.no_grad():
            for parameter in worn.parameters():
                if parameter.requires_grad:
                    parameter.add_(torch.randn_like(parameter) * 0.5)
        method = f"{key}-tuning" if key in ("prompt", "prefix") else "lora"
        folders[key] = save_adapter(worn, root / key, base, method)
    yield str(base), folders
    patch.undo()


def alone(base, folder):
    """The texts of one adapter on a base of its own: virtual tokens as answering loads them, LoRA not merged."""
    import peft

    from tunewise.models.local import LocalModel

    if "method" in json.loads((folder / "tunewise.json").read_text()):
        model = LocalModel(base, adapter=folder)
    else:
        model = LocalModel(base)
        model.model = peft.PeftModel.from_pretrained(model.model, folder).eval()
    return [one.text for one in model.generate(PROMPTS, DECODING)]


@pytest.mark.slow
def test_each_adapter_answers_as_if_it_were_alone(world):
    base, folders = world
    models = load_models(base, {"zero-shot": None, **folders})
    expected = {key: alone(base, folder) for key, folder in folders.items()}
    expected["zero-shot"] = [one.text for one in load_model(base).generate(PROMPTS, DECODING)]
    assert len({tuple(texts) for texts in expected.values()}) == 5
    for key in ["zero-shot", "sft", "prompt", "raft", "prefix", "sft", "zero-shot", "prefix", "raft", "prompt"]:
        assert [one.text for one in models[key].generate(PROMPTS, DECODING)] == expected[key], key
    # Merged, as a comparison loads them, they say the same.
    for key in ("sft", "raft"):
        said = load_model(base, adapter=folders[key]).generate(PROMPTS, DECODING)
        assert [one.text for one in said] == expected[key]
        assert models[key].identity == load_model(base, adapter=folders[key]).identity
    with ThreadPoolExecutor(5) as pool:
        keys = [*models] * 4
        for key, said in zip(keys, pool.map(lambda key: models[key].generate(PROMPTS, DECODING), keys), strict=True):
            assert [one.text for one in said] == expected[key]
    loads = {id(models[key]._shared.local) for key in models}
    assert len(loads) == 1


@pytest.mark.slow
def test_marginal_decoding_wears_the_adapter_too(world):
    base, folders = world
    models = load_models(base, folders)
    token = Decoding(max_new_tokens=6, marginal="token")
    for key in folders:
        said = models[key].marginal([[prompt] for prompt in PROMPTS[:2]], [[1.0]] * 2, token)
        plain = models[key].generate(PROMPTS[:2], Decoding(max_new_tokens=6))
        assert [one.generated.text for one in said] == [one.text for one in plain]
        # Candidates rescored by a plain forward pass: alone, a passage has all the probability.
        said = models[key].marginal([PROMPTS[:2]], [[0.6, 0.4]], Decoding(max_new_tokens=6, marginal="sequence"))
        assert sum(said[0].posterior) == pytest.approx(1)


@pytest.mark.slow
def test_likelihoods_leave_virtual_tokens_out_and_do_not_depend_on_padding(world):
    import peft
    import torch

    from tunewise.models.local import LocalModel, prompt_tokens
    from tunewise.models.marginal import log_likelihoods

    base, folders = world
    for key in ("prompt", "prefix", "sft"):
        model = LocalModel(base, adapter=folders[key])
        said = [model.tokenizer(text)["input_ids"] for text in ("30 days", "好", "a long answer of many letters")]
        pairs = [(prompt_tokens(model.tokenizer, prompt), ids) for prompt, ids in zip(PROMPTS, said, strict=True)]
        # PEFT's own forward pass on one row without padding; its labels are shifted by one.
        plain = LocalModel(base)
        worn = peft.PeftModel.from_pretrained(plain.model, folders[key]).eval()
        expected = []
        for prompt, ids in pairs:
            with torch.inference_mode():
                logits = worn(input_ids=torch.tensor([[*prompt, *ids]])).logits[0, -len(ids) - 1 : -1]
            expected.append(torch.log_softmax(logits.float(), -1).gather(1, torch.tensor(ids)[:, None]).sum().item())
        assert log_likelihoods(model, pairs) == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
def test_what_would_change_the_base_gets_a_base_of_its_own(world, tmp_path):
    from tunewise.models.adapters import _kind

    base, folders = world
    assert [_kind(folder) for folder in folders.values()] == ["lora", "lora", "prompt", "prompt"]
    config = json.loads((folders["sft"] / "adapter_config.json").read_text())
    (tmp_path / "tunewise.json").write_text("{}")
    for change in ({"init_lora_weights": "pissa"}, {"modules_to_save": ["lm_head"]}, {"peft_type": "IA3"}):
        (tmp_path / "adapter_config.json").write_text(json.dumps(config | change))
        assert _kind(tmp_path) == "own"
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    assert _kind(tmp_path) == "lora"
    (tmp_path / "tunewise.json").write_text('{"parent": {"folder": "../dap"}}')
    assert _kind(tmp_path) == "own"
    damaged = folders["sft"] / "tunewise.json"
    text = damaged.read_text()
    damaged.write_text(json.dumps(json.loads(text) | {"weights": "0"}))
    with pytest.raises(ModelMistake, match="damaged"):
        load_models(base, {"zero-shot": None, "sft": folders["sft"]})
    damaged.write_text(text)
