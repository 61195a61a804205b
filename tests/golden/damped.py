#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Records trajectories of the damped Hessian (docs/algorithm.md, "Damping"): writes damped.json beside this file.

The formulas are written here a second time, element by element in Python's float64 and without the library. Every
step records the weights theta of its sample, the gradient, and the mean, Hessian and momentum after the step.

Usage: python damped.py [--check]      (--check: compare with the committed file, write nothing)
"""

import argparse
import json
import math
import pathlib
import random

HERE = pathlib.Path(__file__).resolve().parent
ELEMENTS, STEPS = 7, 25

# The options of each trajectory, by the names of IVONOptions.
RECORDS = {
    "adamw": dict(lr=1e-2, ess=1e4, damping=200.0, decoupled_weight_decay=0.1, hess_init=3.0),
    "curved": dict(lr=3e-2, ess=1e3, damping=2.0, beta2=0.9, weight_decay=0.01, hess_init=0.5, clip_radius=0.4),
    "noise_max": dict(lr=1e-2, ess=50.0, damping=3.0, beta2=0.99, hess_init=1.0, noise_max=0.1, hess_clip=2.0),
    "no_debias": dict(lr=1e-2, ess=1e3, damping=5.0, beta2=0.95, hess_init=0.2, debias=False, eps=0.5),
}
DEFAULTS = dict(beta1=0.9, beta2=0.999, weight_decay=0.0, decoupled_weight_decay=0.0, clip_radius=math.inf,
                noise_max=math.inf, hess_clip=math.inf, debias=True, eps=1e-8)


def precision(h, o):
    """The precision of a weight's posterior: bounded from below, so that the noise is at most noise_max."""
    return max(o["ess"] * (h + o["weight_decay"]), 1 / o["noise_max"] ** 2)


def step(m, h, g, theta, gradient, t, o):
    """One update of one element."""
    rate = 1 - o["beta2"]
    if o["debias"]:
        rate /= 1 - o["beta2"] ** t
    hessian_estimate = precision(h, o) * (theta - m) * gradient
    smallest = o["damping"] * o["eps"]
    h = max(h, smallest)
    mean_square = (1 - rate) * h ** 2 + rate * (o["damping"] * gradient) ** 2
    clipped = min(max(hessian_estimate, -o["hess_clip"] * h), o["hess_clip"] * h)
    curvature = (1 - o["beta2"]) * h * clipped
    curvature = min(max(curvature, -0.75 * mean_square), 3 * mean_square)
    new_h = max(math.sqrt(mean_square + curvature), smallest)
    new_g = o["beta1"] * g + (1 - o["beta1"]) * gradient
    unbiased = new_g / (1 - o["beta1"] ** t) if o["debias"] else new_g
    direction = (unbiased + o["weight_decay"] * m) / (new_h + o["weight_decay"])
    direction = min(max(direction, -o["clip_radius"]), o["clip_radius"])
    new_m = m - o["lr"] * o["decoupled_weight_decay"] * m - o["lr"] * o["damping"] * direction
    return new_m, new_h, new_g


def trajectory(options, generator):
    o = {**DEFAULTS, **options}
    m = [generator.gauss(0, 1) for _ in range(ELEMENTS)]
    h = [o["hess_init"]] * ELEMENTS
    g = [0.0] * ELEMENTS
    scale = [10 ** generator.uniform(-3, 0) for _ in range(ELEMENTS)]
    record = {"options": options, "init": list(m), "steps": []}
    for t in range(1, STEPS + 1):
        theta = [m[i] + generator.gauss(0, 1) / math.sqrt(precision(h[i], o)) for i in range(ELEMENTS)]
        gradient = [scale[i] * (theta[i] - 0.3 + generator.gauss(0, 1)) for i in range(ELEMENTS)]
        # An element without a gradient for a while, and one with a sudden large one.
        if t < 10:
            gradient[0] = 0.0
        if t == 15:
            gradient[1] *= 1000
        for i in range(ELEMENTS):
            m[i], h[i], g[i] = step(m[i], h[i], g[i], theta[i], gradient[i], t, o)
        record["steps"].append({"theta": theta, "gradient": gradient, "mean": list(m), "hess": list(h),
                                "momentum": list(g)})
    return record


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    generator = random.Random(20261126)
    records = {name: trajectory(options, generator) for name, options in RECORDS.items()}
    text = json.dumps(records, indent=None, separators=(",", ":")) + "\n"
    path = HERE / "damped.json"
    if arguments.check:
        if path.read_text(encoding="utf-8") != text:
            raise SystemExit("damped.json is not what this script makes")
        print("damped.json is what this script makes")
    else:
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
