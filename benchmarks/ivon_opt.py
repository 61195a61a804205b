#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Times one iteration of ivon-opt, the IVON authors' Python package (GPL-3.0; it is run, nothing of it is copied).

As the C++ benchmark does: one sample, the same fixed gradients each time, one step; the least of some repetitions.

Usage: ivon_opt.py --model NAME --shapes FILE --threads N --repetitions N --out FILE
FILE of --shapes is what `ivon_benchmark --list-shapes --model NAME` prints.
"""

import argparse
import importlib.metadata
import json
import math
import time

import ivon
import torch


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--shapes", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--repetitions", type=int, required=True)
    parser.add_argument("--out", required=True)
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    torch.manual_seed(20240227)
    with open(options.shapes, encoding="utf-8") as file:
        shapes = json.load(file)
    parameters = [torch.nn.Parameter(0.05 * torch.randn(shape)) for shape in shapes]
    gradients = [0.01 * torch.randn(shape) for shape in shapes]
    elements = sum(math.prod(shape) for shape in shapes)
    optimizer = ivon.IVON(parameters, lr=0.01, ess=1e6)

    # Small problems are timed in batches of about 50 ms.
    batch = max(1, int(0.05 / (60e-9 * elements + 20e-6 * len(shapes))))
    least = math.inf
    first_before = parameters[0].detach().clone()
    for _ in range(options.repetitions):
        begin = time.perf_counter()
        for _ in range(batch):
            with optimizer.sampled_params(train=True):
                for parameter, gradient in zip(parameters, gradients):
                    parameter.grad = gradient
            optimizer.step()
        least = min(least, (time.perf_counter() - begin) / batch)

    moved = parameters[0].detach() - first_before
    if not bool(torch.isfinite(moved).all()) or not bool((moved != 0).any()):
        raise SystemExit("wrong result: the parameters did not move, or are not finite")
    result = {
        "model": options.model,
        "contender": "ivon_opt",
        "threads": options.threads,
        "elements": elements,
        "ns_per_parameter": least * 1e9 / elements,
        "libtorch": torch.__version__.split("+")[0],
        "ivon_opt": importlib.metadata.version("ivon-opt"),
    }
    with open(options.out, "w", encoding="utf-8") as file:
        json.dump(result, file)


if __name__ == "__main__":
    main()
