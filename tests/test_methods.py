"""Every method of fine-tuning on a tiny random model: it trains, is saved, and is what answering loads."""

import json

import pytest

from tiny_training import make_tiny, tiny_rows
from tunewise.errors import ConfigMistake, ModelMistake
from tunewise.nouns import Decoding
from tunewise.training import METHODS, TrainingSettings

pytestmark = pytest.mark.slow
torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

TRAINABLE = [name for name in METHODS if name != "qlora"]
RATES = {
    "full": 1e-2,
    "lora": 5e-2,
    "rslora": 2e-2,
    "dora": 5e-2,
    "pissa": 2e-2,
    "olora": 2e-2,
    "eva": 5e-2,
    "ia3": 1e-1,
    "prompt-tuning": 2e-1,
    "prefix-tuning": 1e-1,
    "p-tuning": 2e-2,
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return make_tiny(tmp_path_factory.mktemp("tiny"))


def settings_of(method, **more):
    given = {"epochs": 12, "rate": RATES[method], "batch": 4, "rank": 4, "virtual_tokens": 6} | more
    return TrainingSettings(method=method, **given)


@pytest.fixture(scope="module")
def trained(tiny, tmp_path_factory):
    """A folder of every method, trained once."""
    from tunewise.training.sft import train

    made = {}

    def get(method):
        if method not in made:
            folder = tmp_path_factory.mktemp(method) / "out"
            made[method] = train(str(tiny), tiny_rows(), folder=folder, settings=settings_of(method), recipe="raft")
        return made[method]

    return get


@pytest.mark.parametrize("method", TRAINABLE)
def test_a_method_learns_and_what_it_learned_is_what_answers(method, tiny, trained):
    from tunewise.models.local import LocalModel
    from tunewise.training.encoding import encode

    folder = trained(method)
    about = json.loads((folder / "tunewise.json").read_text())
    assert about["method"] == method and about["history"][-1]["loss"] < 0.8 * about["history"][0]["loss"]
    assert 0 < about["trained_parameters"] <= about["parameters"]
    bare, worn = LocalModel(str(tiny)), LocalModel(str(tiny), adapter=folder)
    item = encode(tiny_rows()[:1], worn.tokenizer, longest=1024)[0]
    full, labels = torch.tensor([item["input_ids"]]), torch.tensor(item["completion"])

    def loss(model):
        with torch.no_grad():
            logits = model.model(input_ids=full).logits[0, -len(labels) :].float()
        return float(torch.nn.functional.cross_entropy(logits, labels))

    # The loaded model has learned what the trainer's log says, not only something.
    assert loss(worn) < 0.8 * loss(bare)
    assert loss(worn) == pytest.approx(about["history"][-1]["loss"], abs=0.6)
    # Its answers do not depend on its neighbours in a batch.
    prompts = [row.chat() for row in tiny_rows()[:3]] + [[{"role": "user", "content": "Hi"}]]
    together = [g.text for g in worn.generate(prompts, Decoding(max_new_tokens=6))]
    assert together == [worn.generate([prompt], Decoding(max_new_tokens=6))[0].text for prompt in prompts]
    assert [g.text for g in bare.generate(prompts, Decoding(max_new_tokens=6))] != together


@pytest.mark.parametrize("method", ["lora", "rslora", "dora", "eva", "ia3"])
def test_step_zero_changes_nothing(method, tiny):
    from tunewise.training.encoding import collate, encode
    from tunewise.training.methods import wear

    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny)
    model = transformers.AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32).eval()
    batch = collate(encode(tiny_rows()[:2], tokenizer, longest=1024), pad=0)
    before = model(**batch).logits
    data = {k: v for k, v in batch.items() if "labels" not in k}
    worn = wear(model, settings_of(method), tokenizer=tokenizer, batches=lambda: [data] * 4).eval()
    torch.testing.assert_close(worn(**batch).logits, before, atol=1e-5, rtol=1e-5)
    if method == "lora":
        weights = dict(worn.named_parameters())
        assert all(w.abs().sum() > 0 for n, w in weights.items() if "lora_A" in n)
        assert all(w.abs().sum() == 0 for n, w in weights.items() if "lora_B" in n)


@pytest.mark.parametrize("method", ["lora", "rslora", "dora", "pissa", "olora", "eva", "ia3"])
def test_merged_equals_unmerged(method, tiny, trained):
    import peft

    ids = torch.arange(2, 60)[None]
    base = transformers.AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32).eval()
    worn = peft.PeftModel.from_pretrained(base, trained(method)).eval()
    with torch.no_grad():
        apart = worn(input_ids=ids).logits
        merged = worn.merge_and_unload()(input_ids=ids).logits
    torch.testing.assert_close(merged, apart, atol=1e-3, rtol=1e-3)


def test_virtual_tokens_begin_as_text(tiny):
    from tunewise.training.methods import INIT_TEXTS, wear

    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny)
    model = transformers.AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32).eval()
    model.config._name_or_path = str(tiny)
    start = tokenizer(INIT_TEXTS["passages", "en"])["input_ids"][:6]
    wanted = model.get_input_embeddings().weight[start].detach().clone()
    worn = wear(model, settings_of("prompt-tuning"), tokenizer=tokenizer)
    torch.testing.assert_close(worn.get_prompt(1)[0], wanted)


def test_full_fine_tuning_of_the_top_leaves_the_bottom(tiny, trained):
    from safetensors.torch import load_file

    before, after = load_file(tiny / "model.safetensors"), load_file(trained("full") / "model.safetensors")
    same = {name: torch.equal(before[name].to(after[name].dtype), after[name]) for name in before}
    assert same["model.layers.0.mlp.up_proj.weight"] and same["model.embed_tokens.weight"]
    assert not same["model.layers.1.mlp.up_proj.weight"]


def test_qlora_says_what_it_needs(tiny, tmp_path):
    from tunewise.training.sft import train

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ModelMistake, match="GPU"):
        train(str(tiny), tiny_rows(), folder=tmp_path / "q", settings=TrainingSettings(method="qlora"), recipe="raft")


def test_a_chain_is_worn_in_its_order_and_virtual_tokens_are_no_parent(tiny, trained, tmp_path):
    from tunewise.models.local import LocalModel
    from tunewise.training.sft import train

    parent = trained("lora")
    child = train(
        str(tiny),
        tiny_rows(),
        folder=tmp_path / "child",
        settings=settings_of("ia3", epochs=3),
        recipe="raft",
        parent=parent,
    )
    about = json.loads((child / "tunewise.json").read_text())
    first = json.loads((parent / "tunewise.json").read_text())
    assert about["parent"]["weights"] == first["weights"]
    assert about["history"][0]["loss"] < first["history"][0]["loss"]
    worn = LocalModel(str(tiny), adapter=child)
    assert worn.identity["parents"] == [first["weights"]]
    with pytest.raises(ConfigMistake, match="virtual tokens"):
        train(
            str(tiny),
            tiny_rows(),
            folder=tmp_path / "no",
            settings=settings_of("lora"),
            recipe="raft",
            parent=trained("prompt-tuning"),
        )
    (parent / "tunewise.json").write_text(json.dumps(first | {"weights": "other"}))
    try:
        with pytest.raises(ModelMistake, match="another state"):
            LocalModel(str(tiny), adapter=child)
    finally:
        (parent / "tunewise.json").write_text(json.dumps(first))


def test_unknown_methods_are_refused_with_the_known_ones():
    with pytest.raises(ConfigMistake, match="dora"):
        TrainingSettings(method="loora")
