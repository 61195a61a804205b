#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Golden sensitivities to data by the memory-perturbation equation: writes sensitivity.json beside this file.

A small convolutional classifier with random weights and precisions in float64. torch.func.jacrev under vmap gives the
dense Jacobians J [C, P] of all examples, from which V = J diag(1 / precision) J^T, the scores and the leave-one-out
losses follow by their definitions. Nothing of the library is used.

Usage: python sensitivity.py [--check]      (--check: compare with the committed file, write nothing)
"""

import argparse
import json
import pathlib
import platform
import sys
import warnings

warnings.filterwarnings("ignore", message="Failed to initialize NumPy")
import torch  # noqa: E402
from torch.func import functional_call, jacrev, vmap  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
EXAMPLES, CLASSES, SEED = 6, 3, 20231019


class Net(torch.nn.Module):
    """[n, 1, 4, 4] -> logits [n, CLASSES]."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 2, 3)
        self.head = torch.nn.Linear(8, CLASSES)

    def forward(self, x):
        return self.head(torch.tanh(self.conv(x)).flatten(1))


def record():
    generator = torch.Generator().manual_seed(SEED)

    def normal(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    net = Net().double()
    mean = {name: 0.7 * normal(*p.shape) for name, p in net.named_parameters()}
    precision = {name: (2 + 0.7 * normal(*p.shape)).exp() for name, p in net.named_parameters()}
    inputs = normal(EXAMPLES, 1, 4, 4)
    targets = torch.tensor([i % CLASSES for i in range(EXAMPLES)])

    def logits_of(parameters, x):
        return functional_call(net, parameters, (x.unsqueeze(0),)).squeeze(0)

    logits = vmap(logits_of, (None, 0))(mean, inputs)
    jacobians = vmap(jacrev(logits_of), (None, 0))(mean, inputs)  # name -> [N, C, *shape]
    covariance = torch.zeros(EXAMPLES, CLASSES, CLASSES, dtype=torch.float64)
    for name, jacobian in jacobians.items():
        flat = jacobian.flatten(2)
        covariance += flat @ torch.diag(1 / precision[name].flatten()) @ flat.transpose(1, 2)
    probs = logits.softmax(-1)
    error = probs - torch.nn.functional.one_hot(targets, CLASSES)
    deviation = (covariance @ error.unsqueeze(-1)).squeeze(-1)
    variance = covariance.diagonal(dim1=1, dim2=2)
    loss = torch.nn.functional.cross_entropy(logits + deviation, targets, reduction="none")

    def numbers(tensor):
        return {"shape": list(tensor.shape), "values": tensor.flatten().tolist()}

    return {
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "mean": {name: numbers(t) for name, t in mean.items()},
        "precision": {name: numbers(t) for name, t in precision.items()},
        "inputs": numbers(inputs),
        "targets": targets.tolist(),
        "logits": numbers(logits),
        "deviation": numbers(deviation),
        "variance": numbers(variance),
        "score_deviation": numbers(deviation.norm(dim=-1)),
        "score_variance": numbers((error * probs * (1 - probs) * variance).abs().sum(-1)),
        "leave_one_out_loss": numbers(loss),
    }


def same(a, b):
    """Whether two records agree to a relative 1e-9; the versions are not compared."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(key == "versions" or same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return abs(a - b) <= 1e-9 * max(1, abs(b))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    path = HERE / "sensitivity.json"
    result = record()
    if arguments.check:
        sys.exit(0 if same(result, json.loads(path.read_text())) else f"{path.name} differs")
    path.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
