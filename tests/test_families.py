"""Model families that name their parts differently are trained alike: all matrices of the layers that were asked for.

Random models made from configs; what a family calls its layers is what differs, and that is all that is needed here.
"""

import json

import pytest

from tiny_training import make_tiny, tiny_rows
from tunewise.training import TrainingSettings

pytestmark = pytest.mark.slow
torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

SHAPE = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4, "num_attention_heads": 2}
EIGHT = {"vocab_size": 300, "max_position_embeddings": 512, "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 1,
         "initializer_range": 0.3}
THREE = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
FAMILIES = {
    # family: (linear layers of a decoder block, those that IA3 scales)
    "llama": (THREE, {"k_proj", "v_proj", "down_proj"}),
    "qwen2": (THREE, {"k_proj", "v_proj", "down_proj"}),
    "qwen3": (THREE, {"k_proj", "v_proj", "down_proj"}),
    "phi3": ({"qkv_proj", "o_proj", "gate_up_proj", "down_proj"}, {"qkv_proj", "down_proj"}),
    "gpt_neox": ({"query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"}, {"query_key_value", "dense_4h_to_h"}),
    "gemma3": (THREE, {"k_proj", "v_proj", "down_proj"}),
}


def config_of(family):
    grouped = SHAPE | EIGHT | {"num_key_value_heads": 1}
    if family == "gpt_neox":
        return transformers.GPTNeoXConfig(**SHAPE, **EIGHT)
    if family != "gemma3":
        return transformers.AutoConfig.for_model(family, **grouped)
    # From 4B on Gemma 3 sees pictures: its text part is one of two, with a config and layers of its own.
    text = grouped | {"head_dim": 16, "sliding_window": 64}
    vision = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 5, "num_attention_heads": 2,
              "image_size": 28, "patch_size": 14}
    return transformers.Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4,
                                     image_token_index=290, boi_token_index=288, eoi_token_index=289, pad_token_id=0)


@pytest.fixture(scope="module", params=FAMILIES)
def family(request, tmp_path_factory):
    """(name, folder) of a tiny random model of the family, with the tokenizer and chat template of the others."""
    folder = make_tiny(tmp_path_factory.mktemp(request.param))
    (folder / "model.safetensors").unlink()
    torch.manual_seed(0)
    transformers.AutoModelForCausalLM.from_config(config_of(request.param)).save_pretrained(folder)
    return request.param, folder


def settings_of(method="lora", **more):
    return TrainingSettings(method=method, **({"epochs": 4, "rate": 2e-2, "batch": 4, "rank": 4, "patience": 0} | more))


@pytest.mark.parametrize("share", [0.5, 1.0])
@pytest.mark.parametrize("method", ["lora", "ia3"])
def test_all_matrices_of_the_layers_are_reached_and_step_zero_changes_nothing(family, method, share):
    from tunewise.training.methods import wear

    name, folder = family
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ids = torch.arange(2, 60)[None]
    before = model(input_ids=ids).logits
    worn = wear(model, settings_of(method, layers=share), tokenizer=None).eval()
    torch.testing.assert_close(worn(input_ids=ids).logits, before, atol=1e-5, rtol=1e-5)
    trained = {key for key, p in worn.named_parameters() if p.requires_grad}
    mark = ".lora_A." if method == "lora" else ".ia3_l."
    reached = {tuple(key.split(mark)[0].split(".layers.")[1].split(".")) for key in trained if mark in key}
    assert not any("vision" in key for key in trained)
    assert {parts[0] for parts in reached} == set("23" if share < 1 else "0123")
    for number in {parts[0] for parts in reached}:
        assert {parts[-1] for parts in reached if parts[0] == number} == FAMILIES[name][method == "ia3"]


def test_it_is_trained_with_its_lower_layers_computed_once_and_answers(family, tmp_path):
    from tunewise.models.local import LocalModel
    from tunewise.nouns import Decoding
    from tunewise.training.sft import train

    name, folder = family
    notes = []
    out = train(str(folder), tiny_rows(8), folder=tmp_path / "out", settings=settings_of(), recipe="raft",
                validation=tiny_rows(3), note=notes.append)
    about = json.loads((out / "tunewise.json").read_text())
    losses = [one["loss"] for one in about["history"]]
    assert losses[-1] < losses[0] and about["cached_layers"] == 2, notes
    # The frozen layers put aside for training changed nothing of what is learned.
    again = train(str(folder), tiny_rows(8), folder=tmp_path / "again", settings=settings_of(freeze=False),
                  recipe="raft")
    other = json.loads((again / "tunewise.json").read_text())
    assert other["cached_layers"] == 0
    assert [one["loss"] for one in other["history"]] == pytest.approx(losses, rel=0.05)
    worn = LocalModel(str(folder), adapter=out)
    said = worn.generate([row.chat() for row in tiny_rows(2)], Decoding(max_new_tokens=4))
    assert [one.tokens_out <= 4 for one in said] == [True, True]


def test_full_tuning_of_the_top_leaves_the_bottom(family):
    from tunewise.training.methods import wear
    from tunewise.training.shapes import untrained_below

    model = transformers.AutoModelForCausalLM.from_pretrained(family[1], dtype=torch.float32)
    model.requires_grad_(False)
    worn = wear(model, settings_of("full"), tokenizer=None)
    trained = {key.split(".layers.")[1].split(".")[0] for key, p in worn.named_parameters() if p.requires_grad}
    assert trained == {"2", "3"} and untrained_below(worn, model) == 2


def test_the_width_of_a_model_is_found_without_loading_it(family):
    from tunewise.training.estimate import width_of

    assert width_of(str(family[1])) == 32


# ------------------------------------------------------------------------------------ what is handed on to PEFT


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return make_tiny(tmp_path_factory.mktemp("tiny"))


def trained(tiny, folder, **settings):
    from tunewise.training.sft import train

    train(str(tiny), tiny_rows(8), folder=folder, settings=settings_of(**settings), recipe="raft")
    return json.loads((folder / "tunewise.json").read_text())


@pytest.mark.parametrize("method", ["prompt-tuning", "prefix-tuning", "p-tuning"])
def test_virtual_tokens_that_peft_was_told_of_are_those_that_count(tiny, tmp_path, method):
    own = trained(tiny, tmp_path / "own", method=method, virtual_tokens=9)
    handed = trained(tiny, tmp_path / "handed", method=method, virtual_tokens=6, peft=(("num_virtual_tokens", 9),))
    assert handed["history"] == own["history"] and handed["weights"] == own["weights"]


def test_layers_that_peft_was_told_of_get_their_gradient(tiny, tmp_path):
    own = trained(tiny, tmp_path / "own", layers=1.0)
    handed = trained(tiny, tmp_path / "handed", peft=(("layers_to_transform", [0, 1]),))
    assert handed["cached_layers"] == 0 and handed["trained_parameters"] == own["trained_parameters"]
    assert handed["weights"] == own["weights"]
    assert trained(tiny, tmp_path / "top")["cached_layers"] == 1
    everything = trained(tiny, tmp_path / "all", peft=(("target_modules", "all-linear"),))
    assert everything["cached_layers"] == 0 and everything["weights"] == own["weights"]


def test_embeddings_that_are_saved_are_learned(tiny, tmp_path):
    from safetensors.torch import load_file

    about = trained(tiny, tmp_path / "out", peft=(("modules_to_save", ["embed_tokens"]),))
    assert about["cached_layers"] == 0
    saved = load_file(tmp_path / "out" / "adapter_model.safetensors")
    (learned,) = (value for key, value in saved.items() if "embed_tokens" in key)
    before = load_file(tiny / "model.safetensors")["model.embed_tokens.weight"]
    assert not torch.equal(learned, before)
    # LoRA still lies in the top half only, where its gradient is.
    assert all(".layers.1." in key for key in saved if "lora" in key)


def test_virtual_tokens_start_in_the_language_and_for_the_prompts_of_the_rows():
    from tunewise.training.methods import INIT_TEXTS, init_text
    from tunewise.training.rows import TrainingRow

    english = tiny_rows(4)
    chinese = [TrainingRow((("user", "退货期限是多久？"),), "三十天", f"q{i}") for i in range(5)]
    assert init_text("raft", english) == INIT_TEXTS["passages", "en"]
    assert init_text("hybrid", [*chinese, *english]) == INIT_TEXTS["passages", "zh"]
    assert init_text("sft", english) == INIT_TEXTS["question", "en"]
    assert init_text("sft", chinese) == INIT_TEXTS["question", "zh"]
    assert init_text("dap", [TrainingRow((), "本公司的退货规定。", "d")]) == INIT_TEXTS["text", "zh"]
    assert "段落" not in INIT_TEXTS["question", "zh"] and "passage" not in INIT_TEXTS["question", "en"]
