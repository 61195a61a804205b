#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares the image models of the examples, their files and one training step with torchvision.

Usage: image_models.py PROGRAM
PROGRAM is the program of tests/examples, whose disabled tests ImageModelsExchange.* are the C++ side.
"""

import sys
import tempfile
import warnings
from collections import OrderedDict

try:
    warnings.simplefilter("ignore")
    import torch
    from exchange import declare_operators_of_torchvision, ivon_iteration, run_test
    declare_operators_of_torchvision()
    import torchvision
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(0)

MODELS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet18_small", "vit_b_16")
CLASSES = 10


def cpp(name, folder):
    return run_test(f"ImageModelsExchange.{name}", folder)


def torchvision_model(name):
    model = getattr(torchvision.models, name.removesuffix("_small"))(num_classes=CLASSES)
    if name.endswith("_small"):
        model.conv1 = torch.nn.Conv2d(3, 64, 3, stride=1, padding=1, bias=False)
        model.maxpool = torch.nn.Identity()
    return model


def randomize(model):
    """Moves the values that are constant at first, such as norms, biases and running statistics."""
    with torch.no_grad():
        for p in model.parameters():
            if p.dim() == 1 or p.abs().max() == 0:
                p.add_(0.1 * torch.randn_like(p))
        for name, b in model.named_buffers():
            if name.endswith("running_mean"):
                b.normal_(0, 0.1)
            elif name.endswith("running_var"):
                b.uniform_(0.5, 1.5)
            elif name.endswith("num_batches_tracked"):
                b.fill_(2**40 + 3)


def models_are_those_of_torchvision(folder):
    states = {}
    for name in MODELS:
        model = torchvision_model(name).eval()
        randomize(model)
        side = 224 if name.startswith("vit") else 32 if name.endswith("_small") else 64
        images = torch.randn(2, 3, side, side)
        with torch.no_grad():
            torch.save({"images": images, "logits": model(images)}, f"{folder}/{name}_io.pt")
        states[name] = model.state_dict()
        torch.save(states[name], f"{folder}/{name}.pt")
    print(*(line for line in cpp("ComputesTheLogitsOfTorchvision", folder).splitlines() if "differ" in line), sep="\n")
    for name in MODELS:
        back = torch.load(f"{folder}/{name}_back.pt", weights_only=True)
        assert set(back) == set(states[name]), set(back) ^ set(states[name])
        for key, value in states[name].items():
            assert back[key].dtype == value.dtype and torch.equal(back[key], value), (name, key)
        torchvision_model(name).load_state_dict(back, strict=True)


class Step:
    """ResNet-18 in float64 and a batch; in float64, rounding cannot turn around a small gradient's sign."""

    def __init__(self, folder):
        self.folder = folder
        self.model = torchvision_model("resnet18")
        randomize(self.model)
        torch.save(self.model.state_dict(), f"{folder}/start.pt")
        self.model.double().train()
        self.batch = {"images": torch.randn(4, 3, 64, 64).double(), "labels": torch.randint(0, CLASSES, (4,))}
        torch.save(self.batch, f"{folder}/batch.pt")

    def backward(self):
        torch.nn.functional.cross_entropy(self.model(self.batch["images"]), self.batch["labels"]).backward()

    def compare(self, file, expected, before):
        """Compares what the step has changed since `before` (or the whole) to 1e-5 of each tensor's largest change."""
        found = torch.load(f"{self.folder}/{file}", weights_only=True)
        worst = 0.0
        for name, value in expected.items():
            error = (found[name].double() - value).abs().max() / (value - before.get(name, 0)).abs().max()
            assert error <= 1e-5, f"{file}: {name} differs by {error}"
            worst = max(worst, float(error))
        print(f"{file}: differs by {worst:.2g}")


def adamw_makes_the_same_step(folder):
    step = Step(folder)
    before = {n: p.detach().clone() for n, p in step.model.named_parameters()}
    optimizer = torch.optim.AdamW(step.model.parameters(), lr=1e-3)
    step.backward()
    optimizer.step()
    cpp("TrainsWithAdamW", folder)
    step.compare("adamw.pt", step.model.state_dict(), before)
    assert all((p - before[n]).abs().max() > 1e-4 for n, p in step.model.named_parameters())


def ivon_makes_the_step_of_its_formulas(folder):
    """One iteration of IVON, at the sample that C++ has drawn."""
    step = Step(folder)
    cpp("TrainsWithIvon", folder)
    noise = torch.load(f"{folder}/noise.pt", weights_only=True)
    before = {n: p.detach().clone() for n, p in step.model.named_parameters()}
    hess_init, hess, momentum, means = ivon_iteration(dict(step.model.named_parameters()), noise, step.backward)
    step.compare("hess.pt", hess, {n: hess_init for n in hess})
    step.compare("momentum.pt", momentum, {})
    step.compare("ivon.pt", {**step.model.state_dict(), **means}, before)


def other_dictionaries(folder):
    weight, bias = torch.arange(6.0).view(3, 2), torch.zeros(3)
    state = {"0.weight": weight, "0.bias": bias}
    flat = torch.arange(9.0)
    torch.save(state, f"{folder}/plain.pt")
    torch.save(OrderedDict(state), f"{folder}/ordered.pt")
    torch.save({"0.weight": flat[:6].view(3, 2), "0.bias": flat[6:]}, f"{folder}/tied.pt")
    torch.save(torch.nn.Sequential(torch.nn.Linear(2, 3)), f"{folder}/model.pt")
    torch.save({"model": state, "epoch": 3}, f"{folder}/checkpoint.pt")
    torch.save([weight, bias], f"{folder}/list.pt")
    cpp("ReadsOtherDictionaries", folder)


def any_number_of_tensors(folder):
    """The place where the reader cuts a file depends on how many objects precede it."""
    for count in range(1, 71):
        module = torch.nn.Module()
        for i in range(count):
            module.register_parameter(f"p{i}", torch.nn.Parameter(torch.full((1,), float(count))))
        torch.save(module.state_dict(), f"{folder}/many_{count}.pt")
    cpp("ReadsAnyNumberOfTensors", folder)


def main():
    torch.manual_seed(1)
    with tempfile.TemporaryDirectory() as folder:
        other_dictionaries(folder)
        any_number_of_tensors(folder)
        adamw_makes_the_same_step(folder)
        ivon_makes_the_step_of_its_formulas(folder)
        models_are_those_of_torchvision(folder)
    print("image models and their files are those of torchvision")


if __name__ == "__main__":
    main()
