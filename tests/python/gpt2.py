#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares the GPT-2 of the examples, its files, adapters and one training step with transformers.

Usage: gpt2.py PROGRAM
PROGRAM is the program of tests/examples, whose disabled tests Gpt2Exchange.* are the C++ side.
Adapters are compared with peft where it is installed, and else with LoRA's formula only.
"""

import json
import os
import sys
import tempfile
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
try:
    warnings.simplefilter("ignore")
    import torch
    from exchange import declare_operators_of_torchvision, ivon_iteration, run_test
    declare_operators_of_torchvision()  # transformers imports torchvision
    from safetensors.torch import load_file, save_file
    from transformers import GPT2Config, GPT2LMHeadModel
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(0)

try:
    import peft
except ImportError:
    peft = None

TRANSPOSED = ("c_attn.weight", "c_proj.weight", "c_fc.weight")  # Conv1D keeps weights as [inputs, outputs]
# name: layers, heads, width, context, vocabulary, type of the file
MODELS = {
    "one": (1, 1, 8, 7, 5, torch.float32),
    "odd": (3, 4, 64, 33, 131, torch.float32),
    "wide": (2, 12, 192, 128, 1000, torch.float32),
    "half": (2, 2, 16, 16, 50, torch.float16),
    "bfloat16": (2, 2, 16, 16, 50, torch.bfloat16),
    "no_prefix": (2, 2, 16, 16, 50, torch.float32),
    "several_files": (3, 4, 64, 33, 131, torch.float32),
}


def cpp(name, folder):
    return run_test(f"Gpt2Exchange.{name}", folder)


def random_model(layers, heads, width, context, vocabulary, dtype=torch.float32):
    config = GPT2Config(n_layer=layers, n_head=heads, n_embd=width, n_positions=context, vocab_size=vocabulary,
                        bos_token_id=None, eos_token_id=None, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
    model = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return model.to(dtype)


def logits_of(model, tokens):
    with torch.no_grad():
        return model(tokens).logits


def check_logits(what, found, expected):
    error = (found - expected).abs().max() / expected.abs().max()
    print(f"{what}: logits differ by {error:.2g}")
    assert error <= 1e-4, what


def models_are_those_of_transformers(folder):
    states = {}
    for name, shape in MODELS.items():
        model = random_model(*shape)
        place = f"{folder}/models/{name}"
        size = "200KB" if name == "several_files" else "1GB"
        (model.transformer if name == "no_prefix" else model).save_pretrained(place, max_shard_size=size)
        files = [f for f in os.listdir(place) if f.endswith(".safetensors")]
        if name == "several_files":
            assert len(files) > 2 and os.path.exists(f"{place}/model.safetensors.index.json"), files
        names = [n for f in files for n in load_file(f"{place}/{f}")]
        assert all(n.startswith("transformer.") == (name != "no_prefix") for n in names), names
        model.float()
        tokens = torch.randint(0, shape[4], (2, shape[3]))
        save_file({"tokens": tokens, "logits": logits_of(model, tokens)}, f"{place}/io.safetensors")
        states[name] = model.state_dict()
    output = cpp("ComputesTheLogitsOfTransformers", folder)
    print(*(line for line in output.splitlines() if "differ" in line), sep="\n")
    for name, state in states.items():
        back, report = GPT2LMHeadModel.from_pretrained(f"{folder}/back/{name}", output_loading_info=True)
        assert not any(report.values()), report
        assert set(back.state_dict()) == set(state)
        for key, value in back.state_dict().items():
            assert value.dtype == torch.float32 and torch.equal(value, state[key]), (name, key)
        io = load_file(f"{folder}/models/{name}/io.safetensors")
        assert torch.equal(logits_of(back.eval(), io["tokens"]), io["logits"]), name
        check_bytes(f"{folder}/back/{name}/model.safetensors")


def check_bytes(file):
    """The Python package writes the same bytes."""
    save_file(load_file(file), f"{file}.again", metadata={"format": "pt"})
    with open(file, "rb") as first, open(f"{file}.again", "rb") as second:
        assert first.read() == second.read(), file


class Step:
    """A model in float64 and a batch; in float64, rounding cannot turn around a small gradient's sign."""

    def __init__(self, folder):
        self.folder = folder
        self.model = GPT2LMHeadModel.from_pretrained(f"{folder}/start").double().train()
        self.batch = load_file(f"{folder}/batch.safetensors")

    def named_parameters(self):
        """The parameters by the names that C++ gives them, projections' weights as [inputs, outputs]."""
        return {n.removeprefix("transformer."): p for n, p in self.model.named_parameters()}

    def copies(self):
        return {n: p.detach().clone() for n, p in self.named_parameters().items()}

    def read(self, file):
        found = load_file(f"{self.folder}/{file}")
        return {n: t.t() if n.endswith(TRANSPOSED) else t for n, t in found.items()}

    def backward(self):
        logits = self.model(self.batch["inputs"]).logits
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), self.batch["targets"].flatten()).backward()

    def compare(self, file, expected, before):
        """Compares what the step has changed since `before` (or the whole) to 1e-5 of each tensor's largest change."""
        found = self.read(file)
        assert set(found) == set(expected), set(found) ^ set(expected)
        worst = 0.0
        for name, value in expected.items():
            assert found[name].dtype == torch.float64
            error = (found[name] - value).abs().max() / (value - before.get(name, 0)).abs().max()
            assert error <= 1e-5, f"{file}: {name} differs by {error}"
            worst = max(worst, float(error))
        print(f"{file}: differs by {worst:.2g}")


def prepare_training(folder):
    random_model(3, 4, 64, 33, 131).save_pretrained(f"{folder}/start")
    tokens = torch.randint(0, 131, (4, 34))
    save_file({"inputs": tokens[:, :-1].contiguous(), "targets": tokens[:, 1:].contiguous()},
              f"{folder}/batch.safetensors")


def adamw_makes_the_same_step(folder):
    step = Step(folder)
    before = step.copies()
    optimizer = torch.optim.AdamW(step.model.parameters(), lr=1e-3)
    step.backward()
    optimizer.step()
    cpp("TrainsWithAdamW", folder)
    step.compare("adamw.safetensors", step.copies(), before)
    assert all((p - before[n]).abs().max() > 1e-4 for n, p in step.named_parameters().items())


def ivon_makes_the_step_of_its_formulas(folder):
    """One iteration of IVON, at the sample that C++ has drawn."""
    step = Step(folder)
    cpp("TrainsWithIvon", folder)
    noise = step.read("noise.safetensors")
    before = step.copies()
    hess_init, hess, momentum, means = ivon_iteration(step.named_parameters(), noise, step.backward)
    step.compare("hess.safetensors", hess, {n: hess_init for n in hess})
    step.compare("momentum.safetensors", momentum, {})
    step.compare("ivon.safetensors", means, before)


def add_adapters(model, folder):
    """Adds the adapters of a folder to the weights by LoRA's formula."""
    with open(f"{folder}/adapter_config.json", encoding="utf-8") as file:
        config = json.load(file)
    tensors = load_file(f"{folder}/adapter_model.safetensors")
    state = model.state_dict()
    names = [n.removesuffix(".lora_A.weight") for n in tensors if n.endswith(".lora_A.weight")]
    assert 2 * len(names) == len(tensors)
    for name in names:
        product = tensors[f"{name}.lora_B.weight"] @ tensors[f"{name}.lora_A.weight"]  # [outputs, inputs]
        weight = state[name.removeprefix("base_model.model.") + ".weight"]  # [inputs, outputs]
        weight += config["lora_alpha"] / config["r"] * product.t()
    return len(names)


def adapters_are_those_of_the_formula(folder):
    cpp("WritesAdapters", folder)
    tokens = load_file(f"{folder}/batch.safetensors")["inputs"]
    found = load_file(f"{folder}/lora.safetensors")["logits"]
    model = GPT2LMHeadModel.from_pretrained(f"{folder}/start").eval()
    plain = logits_of(model, tokens)
    assert (found - plain).abs().max() > 0.01 * plain.abs().max()
    assert add_adapters(model, f"{folder}/lora") == 6
    check_logits("adapters", found, logits_of(model, tokens))
    merged = GPT2LMHeadModel.from_pretrained(f"{folder}/merged").eval()
    check_logits("merged adapters", found, logits_of(merged, tokens))


def adapters_are_those_of_peft(folder):
    if peft is None:
        print("peft is not installed")
        return
    tokens = load_file(f"{folder}/batch.safetensors")["inputs"]
    start = f"{folder}/start"
    model = peft.PeftModel.from_pretrained(GPT2LMHeadModel.from_pretrained(start), f"{folder}/lora").eval()
    check_logits("adapters in peft", load_file(f"{folder}/lora.safetensors")["logits"], logits_of(model, tokens))
    config = peft.LoraConfig(r=2, lora_alpha=5, target_modules=["c_proj"], fan_in_fan_out=True, task_type="CAUSAL_LM")
    model = peft.get_peft_model(GPT2LMHeadModel.from_pretrained(start), config).eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_B" in name:
                p.normal_(0, 0.3)
    model.save_pretrained(f"{folder}/peft")
    save_file({"tokens": tokens, "logits": logits_of(model, tokens)}, f"{folder}/peft.safetensors")
    cpp("ReadsAdapters", folder)
    print("adapters of peft: read")


def main():
    torch.manual_seed(1)
    with tempfile.TemporaryDirectory() as folder:
        prepare_training(folder)
        adamw_makes_the_same_step(folder)
        ivon_makes_the_step_of_its_formulas(folder)
        adapters_are_those_of_the_formula(folder)
        adapters_are_those_of_peft(folder)
        models_are_those_of_transformers(folder)
    print("GPT-2 and its files are those of transformers")


if __name__ == "__main__":
    main()
