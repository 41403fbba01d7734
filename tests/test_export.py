"""Exports answer as their model does or are refused; whose documents are in the weights goes with them."""

import json
import shutil

import pytest

from tiny_models import tiny_llama
from tunewise.errors import ConfigMistake, GateFailed, ModelMistake

pytestmark = pytest.mark.slow
torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
peft = pytest.importorskip("peft")

CHATML = (
    "{% for m in messages %}{% if loop.first and m['role'] != 'system' %}<|im_start|>system\nBe brief.<|im_end|>\n"
    "{% endif %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A tiny base, a LoRA adapter trained on restricted documents, and one of virtual tokens."""
    from tunewise.models import local
    from tunewise.store import sha256

    patch = pytest.MonkeyPatch()
    patch.setattr(local, "precision", lambda: ("float32", "exact"))
    root = tmp_path_factory.mktemp("export")
    base = tiny_llama(root / "base", merges=[("t", "h"), ("th", "e"), ("Ġ", "t")])
    # Rows of 32, as blocks need; and a separate output layer in another model.
    configs = {
        "lora": peft.LoraConfig(r=4, lora_alpha=8, init_lora_weights=False, target_modules=["q_proj", "k_proj"],
                                task_type="CAUSAL_LM"),
        "prompt": peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3),
    }
    for name, config in configs.items():
        torch.manual_seed(1)
        worn = peft.get_peft_model(transformers.AutoModelForCausalLM.from_pretrained(base), config)
        worn.save_pretrained(root / name)
        about = {"base": local.identify(str(base), base), "model": str(base), "recipe": "raft",
                 "method": {"prompt": "prompt-tuning"}.get(name, name), "identity": name,
                 "weights": sha256(root / name / "adapter_model.safetensors"),
                 "groups": ["board", "hr"], "documents": ["hr/pay.md", "open.md"]}
        (root / name / "tunewise.json").write_text(json.dumps(about))
    yield root
    patch.undo()


def run(world, tmp_path, form, adapter="lora", **more):
    from tunewise.training.export import export

    prompts = [[{"role": "user", "content": "How long is the term? 期限多长？"}]]
    folder = world / adapter if adapter else None
    return export(str(world / "base"), folder, form=form, output=tmp_path / "out", prompts=prompts, **more)


def test_safetensors_answer_token_by_token_alike_and_name_the_groups(world, tmp_path):
    done = run(world, tmp_path, "safetensors")
    assert done.drift.divergence == 0 and done.drift.agreement == 1 and done.drift.prompts == 5
    about = json.loads((done.folder / "export.json").read_text())
    assert about["groups"] == ["board", "hr"] and about["documents"] == ["hr/pay.md", "open.md"]
    from tunewise.store import sha256

    assert about["files"]["model.safetensors"] == sha256(done.folder / "model.safetensors")
    # It is an ordinary model folder, and no longer the base.
    from tunewise.models import load_model
    from tunewise.nouns import Decoding

    asked = [[{"role": "user", "content": "the end?"}]]
    said = load_model(str(done.folder)).generate(asked, Decoding(max_new_tokens=8))
    assert said[0].text == load_model(str(world / "base"), adapter=world / "lora").generate(
        asked, Decoding(max_new_tokens=8))[0].text
    with pytest.raises(ConfigMistake, match="there already"):
        run(world, tmp_path, "safetensors")


@pytest.mark.parametrize("quantisation", ["F16", "Q8_0", "Q4_1"])
def test_gguf_holds_weights_template_end_token_and_groups(world, tmp_path, monkeypatch, quantisation):
    import gguf

    from tunewise.training import drift

    # Random weights of width 32 are hurt more by few bits than trained ones.
    monkeypatch.setitem(drift.LIMITS, "Q4_1", (2.0, 0.3))
    monkeypatch.setitem(drift.LIMITS, "Q8_0", (0.05, 0.8))
    done = run(world, tmp_path, "gguf", quantisation=quantisation)
    reader = gguf.GGUFReader(done.folder / "model.gguf")
    tokenizer = transformers.AutoTokenizer.from_pretrained(world / "base")

    def field(name):
        return reader.fields[name].contents()

    assert field("tokenizer.chat_template") == tokenizer.chat_template
    assert field("tokenizer.ggml.eos_token_id") == tokenizer.eos_token_id
    assert field("tunewise.groups") == ["board", "hr"]
    kinds = {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
    assert kinds["blk.0.attn_q.weight"] == quantisation and kinds["blk.0.attn_norm.weight"] == "F32"
    assert "output.weight" not in kinds
    if quantisation == "F16":
        assert done.drift.agreement == 1 and done.drift.divergence < 1e-4


def test_a_model_that_drifts_is_not_exported(world, tmp_path, monkeypatch):
    from tunewise.training import gguf_file

    # Forget llama.cpp's order of the rotary pairs: the classic silent mistake.
    monkeypatch.setattr(gguf_file, "_interleaved", lambda values, heads: values)
    with pytest.raises(GateFailed, match="drifts"):
        run(world, tmp_path, "gguf", quantisation="F16")
    assert list(tmp_path.iterdir()) == []
    from tunewise.training import drift

    with pytest.raises(GateFailed):
        drift.refuse(drift.Drift(float("nan"), 1.0, 1, 1), "F16")


def test_another_template_or_end_token_is_noticed(world):
    from tunewise.training import drift

    one = transformers.AutoTokenizer.from_pretrained(world / "base")
    other = transformers.AutoTokenizer.from_pretrained(world / "base")
    prompts = [[{"role": "user", "content": "x"}]]
    drift.same_prompts(one, other, prompts)
    other.chat_template = other.chat_template.replace(": ", ":")
    with pytest.raises(GateFailed, match="other tokens"):
        drift.same_prompts(one, other, prompts)
    other.chat_template = one.chat_template
    other.eos_token = "<pad>"
    with pytest.raises(GateFailed, match="ends its turns"):
        drift.same_prompts(one, other, prompts)


def test_the_adapter_in_pefts_own_layout(world, tmp_path):
    done = run(world, tmp_path, "adapter")
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json", "export.json"} <= {
        file.name for file in done.folder.iterdir()}
    assert done.drift.divergence < 1e-5 and done.drift.agreement == 1
    assert done.groups == ("board", "hr")
    shutil.rmtree(done.folder)
    assert run(world, tmp_path, "adapter", adapter="prompt").drift.agreement == 1


def test_llama_cpp_reads_the_file_itself(world, tmp_path, monkeypatch):
    pytest.importorskip("xllamacpp", reason="tunewise[llamacpp] is not installed")
    from tunewise.models.local import LocalModel
    from tunewise.training import drift, export

    done = run(world, tmp_path, "gguf", quantisation="F16")
    prompts = [[{"role": "user", "content": text}] for text in drift.PROMPTS]
    reference = LocalModel(str(world / "base"), adapter=world / "lora")
    assert drift.llama_cpp(reference, reference.model, done.folder / export.GGUF, prompts) > 0.6
    # Another model's answers begin otherwise.
    bare = LocalModel(str(world / "base"))
    assert drift.llama_cpp(bare, bare.model, done.folder / export.GGUF, prompts) < 0.6
    monkeypatch.setattr(drift, "llama_cpp", lambda *_: 0.0)
    shutil.rmtree(done.folder)
    with pytest.raises(GateFailed, match="llama.cpp"):
        run(world, tmp_path, "gguf", quantisation="F16")


def test_what_a_format_cannot_hold_is_refused(world, tmp_path):
    with pytest.raises(ModelMistake, match="virtual tokens"):
        run(world, tmp_path, "safetensors", adapter="prompt")
    with pytest.raises(ConfigMistake, match="no adapter"):
        run(world, tmp_path, "adapter", adapter=None)
    with pytest.raises(ConfigMistake, match="no quantisation"):
        run(world, tmp_path, "gguf", quantisation="Q2_K")
    from tunewise.training.gguf_file import _pre_tokenizer, _refuse_others

    with pytest.raises(ModelMistake, match="qwen2.*biases"):
        _refuse_others(transformers.Qwen2Config(attention_bias=True))
    with pytest.raises(ModelMistake, match="no name in llama.cpp"):
        _pre_tokenizer({"type": "Whitespace"})
    assert _pre_tokenizer({"type": "Sequence", "pretokenizers": [
        {"type": "Digits", "individual_digits": True}, {"type": "ByteLevel", "use_regex": True}]}) == "smollm"
    assert list(tmp_path.iterdir()) == []


def test_ollama_gets_the_chat_template_in_its_own_language(world, tmp_path):
    from tunewise.training.ollama import modelfile, turns_of

    tokenizer = transformers.AutoTokenizer.from_pretrained(world / "base")
    tokenizer.chat_template = CHATML
    turns = turns_of(tokenizer)
    assert turns.around["user"] == ("<|im_start|>user\n", "<|im_end|>\n")
    assert turns.default == "<|im_start|>system\nBe brief.<|im_end|>\n" and turns.generate == "<|im_start|>assistant\n"
    text = modelfile(tokenizer, gguf="model.gguf", ends=["<|im_end|>"], new_tokens=64)
    assert text.startswith("FROM ./model.gguf\n") and 'PARAMETER stop "<|im_end|>"' in text
    assert '{{ if ne (index .Messages 0).Role "system" }}<|im_start|>system\nBe brief.<|im_end|>\n{{ end }}' in text
    assert '{{ else if eq .Role "user" }}<|im_start|>user\n{{ .Content }}<|im_end|>\n' in text
    # A template that counts turns, or looks at the date, has no fixed parts.
    for odd in (
        "{% for m in messages %}{{ loop.index }}{{ m['content'] }}{% endfor %}",
        "{{ messages[-1]['content'] }}",
        "{{ raise_exception('no') }}",
    ):
        tokenizer.chat_template = odd
        with pytest.raises(ModelMistake, match="Ollama"):
            turns_of(tokenizer)
    done = run(world, tmp_path, "ollama", quantisation="F16")
    assert {file.name for file in done.folder.iterdir()} == {"Modelfile", "model.gguf", "export.json"}
