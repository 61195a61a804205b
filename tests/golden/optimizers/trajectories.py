#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Records trajectories of Lion and NovoGrad by other authors: writes trajectories.json beside this file.

Lion is run as the packages lion-pytorch and timm have it, NovoGrad as timm (NvNovoGrad) and torch-optimizer have it.
Both packages must agree on every step; the first one's weights are recorded. All are float64. The gradients are random
numbers that the file holds. The second tensor has no gradient in steps 5 and 6. The learning rate changes at each step.

Both implementations of NovoGrad use the paper's formulas (arXiv 1905.11286, algorithm 1): the second moment starts as
the first squared norm, eps is added to its square root, and weight decay is added to the normalised gradient. They
differ from the paper in one detail: they add eps in the first step as well. torch-optimizer divides the gradient in
place, so it gets a copy. Both create the second moment in PyTorch's default type, which is float64 here.

    python3 -m venv build/golden-optimizers
    build/golden-optimizers/bin/pip install torch==2.13.0 torchvision==0.28.0 lion-pytorch==0.2.5 timm==1.0.31 \
        torch-optimizer==0.3.0
    build/golden-optimizers/bin/python tests/golden/optimizers/trajectories.py    (--check: compare, write nothing)
"""

import argparse
import importlib.metadata
import json
import math
import pathlib
import platform

import lion_pytorch
import timm.optim
import torch
import torch_optimizer

HERE = pathlib.Path(__file__).resolve().parent
SHAPES, STEPS, WITHOUT_GRADIENT = [[3, 4], [5]], 30, (5, 6)
PACKAGES = ("torch", "lion-pytorch", "timm", "torch-optimizer")

# Of each record: the options and the implementations that take them.
RECORDS = {
    "lion": (dict(lr=1e-2, betas=(0.9, 0.99), weight_decay=0.1), (lion_pytorch.Lion, timm.optim.Lion)),
    "lion_no_decay": (dict(lr=2e-2, betas=(0.95, 0.98), weight_decay=0.0), (lion_pytorch.Lion, timm.optim.Lion)),
    "novograd": (dict(lr=1e-2, betas=(0.95, 0.98), eps=1e-8, weight_decay=1e-2),
                 (timm.optim.NvNovoGrad, torch_optimizer.NovoGrad)),
    "novograd_large_eps": (dict(lr=2e-2, betas=(0.9, 0.5), eps=0.3, weight_decay=0.0),
                           (timm.optim.NvNovoGrad, torch_optimizer.NovoGrad)),
}


def trajectory(optimizer_class, options, init, gradients):
    """The weights after each step: a list over the steps of lists over the tensors."""
    parameters = [torch.nn.Parameter(value.clone()) for value in init]
    optimizer = optimizer_class(parameters, **options)
    weights = []
    for t in range(STEPS):
        optimizer.param_groups[0]["lr"] = learning_rate(options, t)
        for i, parameter in enumerate(parameters):
            missing = i == 1 and t in WITHOUT_GRADIENT
            parameter.grad = None if missing else gradients[t][i].clone()
        optimizer.step()
        weights.append([parameter.detach().clone() for parameter in parameters])
    return weights


def learning_rate(options, t):
    return options["lr"] * (0.1 + 0.45 * (1 + math.cos(math.pi * t / STEPS)))


def numbers(tensors):
    return [tensor.flatten().tolist() for tensor in tensors]


def record(options, implementations, generator):
    init = [torch.randn(shape, generator=generator) for shape in SHAPES]
    gradients = [[torch.randn(shape, generator=generator) * 0.3 ** i for i, shape in enumerate(SHAPES)]
                 for _ in range(STEPS)]
    first, second = (trajectory(c, options, init, gradients) for c in implementations)
    for t in range(STEPS):
        for a, b in zip(first[t], second[t]):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)
    steps = [{"lr": learning_rate(options, t),
              "gradients": [g if not (i == 1 and t in WITHOUT_GRADIENT) else None
                            for i, g in enumerate(numbers(gradients[t]))],
              "weights": numbers(first[t])} for t in range(STEPS)]
    names = [f"{c.__module__}.{c.__name__}" for c in implementations]
    return {"implementations": names, "options": options, "init": numbers(init), "steps": steps}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    torch.set_default_dtype(torch.float64)
    generator = torch.Generator().manual_seed(20261126)
    versions = {"python": platform.python_version(), **{p: importlib.metadata.version(p) for p in PACKAGES}}
    content = {"versions": versions, "shapes": SHAPES}
    for name, (options, implementations) in RECORDS.items():
        content[name] = record(options, implementations, generator)
    text = json.dumps(content, separators=(",", ":")) + "\n"
    path = HERE / "trajectories.json"
    if arguments.check:
        if path.read_text(encoding="utf-8") != text:
            raise SystemExit("trajectories.json is not what this script makes")
        print("trajectories.json is what this script makes")
    else:
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
