"""Memory that runs out is known in all its forms and answered with smaller batches; a GPU's is measured and given back.

There is no GPU here: what torch would do on one is played by fakes.
"""

import sys
from types import SimpleNamespace

import pytest

from tiny_models import save_adapter, tiny_llama
from tunewise.models.gpu import out_of_memory, release
from tunewise.nouns import Decoding

ON_A_CPU = "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"


class OutOfMemoryError(RuntimeError):
    """Named as torch's own."""


@pytest.mark.parametrize(
    ("error", "ran_out"),
    [
        (MemoryError(), True),
        (RuntimeError(ON_A_CPU), True),
        (RuntimeError("[enforce fail] not enough memory: you tried to allocate 9 bytes."), True),
        (OutOfMemoryError("any words"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("shape mismatch"), False),
        (ValueError("not enough memory of the past"), False),
    ],
)
def test_memory_that_ran_out_is_known_by_class_or_by_words(error, ran_out):
    assert out_of_memory(error) is ran_out


def test_a_gpus_cache_is_given_back_where_one_is_used(monkeypatch):
    calls = []
    cuda = SimpleNamespace(is_initialized=lambda: True, empty_cache=lambda: calls.append(1))
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    release()
    cuda.is_initialized = lambda: False
    release()
    assert calls == [1], "CUDA is not started to be freed"


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    pytest.importorskip("torch")
    return tiny_llama(tmp_path_factory.mktemp("tiny") / "base")


@pytest.fixture
def model(base, monkeypatch):
    from tunewise.models import local

    monkeypatch.setattr(local, "precision", lambda: ("float32", "exact"))
    return local.LocalModel(str(base))


def tight(function, at, most, seen):
    """The function, out of memory as on a CPU when argument number `at` has more than `most` rows."""

    def call(*given, **named):
        seen.append(len(given[at]))
        if len(given[at]) > most:
            raise RuntimeError(ON_A_CPU)
        return function(*given, **named)

    return call


PROMPTS = [[{"role": "user", "content": f"What is {i}?"}] for i in range(6)]


@pytest.mark.slow
def test_answers_are_the_same_in_smaller_batches(model, monkeypatch):
    said = [one.text for one in model.generate(PROMPTS, Decoding(max_new_tokens=5))]
    seen = []
    monkeypatch.setattr(model, "_batch", tight(model._batch, 0, 2, seen))
    assert [one.text for one in model.generate(PROMPTS, Decoding(max_new_tokens=5))] == said
    assert seen == [6, 3, 1, 1, 1, 1, 1, 1]
    monkeypatch.setattr(model, "_batch", tight(model._batch, 0, 0, seen))
    with pytest.raises(RuntimeError, match="can't allocate"):
        model.generate(PROMPTS, Decoding(max_new_tokens=5))


@pytest.mark.slow
@pytest.mark.parametrize("marginal", ["token", "sequence"])
def test_marginal_decoding_is_the_same_in_smaller_batches(model, monkeypatch, marginal):
    from tunewise.models import marginal as room

    how = Decoding(max_new_tokens=4, marginal=marginal)
    groups, priors = [PROMPTS[:2], PROMPTS[2:4], PROMPTS[4:]], [[0.6, 0.4]] * 3
    said = [one.generated.text for one in model.marginal(groups, priors, how)]
    seen = []
    monkeypatch.setattr(room, "_generate", tight(room._generate, 1, 2, seen))
    monkeypatch.setattr(room, "_summed", tight(room._summed, 1, 3, seen))
    assert [one.generated.text for one in model.marginal(groups, priors, how)] == said
    assert seen[0] == 6 and min(seen) < 3


@pytest.mark.slow
def test_likelihoods_keep_few_logits_and_halve_when_memory_is_short(model, monkeypatch):
    from tunewise.models import marginal as room

    pairs = [([5, 6, 7], [8 + i] * (40 + i)) for i in range(8)]
    whole = room.log_likelihoods(model, pairs)
    seen = []
    monkeypatch.setattr(room, "_summed", tight(room._summed, 1, 3, seen))
    assert room.log_likelihoods(model, pairs) == pytest.approx(whole, rel=1e-5)
    assert seen[:2] == [8, 4] and sum(size for size in seen if size <= 3) == 8
    seen.clear()
    monkeypatch.setattr(room, "BATCH_LOGITS", 95)
    assert room.log_likelihoods(model, pairs) == pytest.approx(whole, rel=1e-5)
    assert seen == [2, 2, 2, 2], "two rows of 47 positions are 94"


@pytest.mark.slow
def test_a_long_text_is_read_in_windows_and_every_token_counts_once(model, monkeypatch):
    from tunewise.models import knowledge

    text = "a text that is longer than a window " * 4
    size = model.count_tokens(text)
    assert knowledge.negative_log_likelihoods(model, [text, "ab"])[0][1] == size - 1
    for window in (2, 7, 32, size - 1, size, size + 5):
        ids = list(range(size))
        cut = knowledge._windows(ids, window)
        assert [one for _, said in cut for one in said] == ids[1:]
        assert all(len(seen) + len(said) <= window and said[0] == seen[-1] + 1 for seen, said in cut)
        assert all(len(seen) == window // 2 for seen, _ in cut[1:])
    # A text past the model's context is read too: before, positions that it never learned were asked for.
    monkeypatch.setattr(model.model.config, "max_position_embeddings", 16)
    seen = []
    monkeypatch.setattr(knowledge, "log_likelihoods",
                        lambda model, pairs: seen.extend(pairs) or [0.0] * len(pairs))
    assert [count for _, count in knowledge.negative_log_likelihoods(model, [text, "abc"])] == [size - 1, 2]
    assert max(len(a) + len(b) for a, b in seen) == 16


@pytest.mark.parametrize(("major", "dtype"), [(7, "float16"), (8, "bfloat16")])
def test_bfloat16_that_a_gpu_only_emulates_is_not_taken(monkeypatch, major, dtype):
    torch = pytest.importorskip("torch")
    from tunewise.models import local

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or
                        major >= 8)
    assert local.precision()[0] == dtype and local.device() == "cuda"


def test_only_weights_and_tokenizer_are_fetched_from_the_hub(monkeypatch, tmp_path):
    hub = pytest.importorskip("huggingface_hub")
    from huggingface_hub.utils import filter_repo_objects

    from tunewise.models import local

    asked = {}
    monkeypatch.setattr(hub, "snapshot_download", lambda name, **how: asked.update(how) or str(tmp_path))
    local.resolve("house/model")
    files = ["config.json", "model-00001-of-00002.safetensors", "model.safetensors.index.json", "tokenizer.json",
             "tokenizer.model", "chat_template.jinja", "merges.txt", "consolidated.safetensors", "consolidated.00.pth",
             "original/consolidated.00.pth", "original/tokenizer.model", "pytorch_model.bin", "model.gguf",
             "onnx/model.onnx", "onnx/config.json", "figure.png", "modeling_own.py"]
    taken = filter_repo_objects(files, allow_patterns=asked["allow_patterns"],
                                ignore_patterns=asked["ignore_patterns"])
    assert list(taken) == files[:7]


def test_a_models_weights_are_hashed_once_for_as_long_as_they_stay(base, monkeypatch, tmp_path):
    from tunewise.models import local

    (tmp_path / "config.json").write_text("{}")
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"one")
    hashed = []
    sha256 = local.sha256
    monkeypatch.setattr(local, "sha256", lambda path: hashed.append(path.name) or sha256(path))
    first = local.identify("m", tmp_path)
    assert local.identify("m", tmp_path) == first and hashed == ["config.json", "model.safetensors"]
    # The same weights in another layout are not what transformers loads.
    (tmp_path / "consolidated.safetensors").write_bytes(b"one")
    assert local.identify("m", tmp_path) == first
    weights.write_bytes(b"two")
    assert local.identify("m", tmp_path) != first and hashed[2:] == ["model.safetensors"]


@pytest.mark.slow
def test_a_parent_is_merged_before_the_base_is_quantised(base, monkeypatch, tmp_path):
    peft, torch = pytest.importorskip("peft"), pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from tunewise.models import chains

    torch.manual_seed(3)
    config = peft.LoraConfig(r=2, init_lora_weights=False, target_modules=["q_proj"], task_type="CAUSAL_LM")
    worn = peft.get_peft_model(transformers.AutoModelForCausalLM.from_pretrained(base), config)
    parent = save_adapter(worn, tmp_path / "parent", base)
    merged = worn.merge_and_unload().state_dict()
    load, quantised = transformers.AutoModelForCausalLM.from_pretrained, []

    def loading(place, **how):
        model = load(place, **{k: v for k, v in how.items() if k != "quantization_config"})
        if "quantization_config" in how:
            quantised.append({k: v.clone() for k, v in model.state_dict().items()})
        return model

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", loading)
    chains.load_worn(base, parent, dtype=torch.float32, quantization_config="four bits")
    assert len(quantised) == 1 and all(torch.equal(quantised[0][name], merged[name]) for name in merged)
