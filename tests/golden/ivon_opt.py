#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Records golden trajectories of ivon-opt: writes ivon_opt.json beside this file.

ivon-opt is the IVON authors' own package (PyPI, GPL-3.0).  It is run here and its numbers are recorded;
none of its code is in this project.  What is recorded of every step: the weights theta that each
sample showed, the gradient taken at them, and the mean, Hessian and momentum after the step.  A test can
then inject the same theta and gradient into another implementation and compare the three state tensors.

The gradients are those of a real problem: the mean cross-entropy of a classifier on minibatches of Fisher's
iris data (150 examples, standardised), by torch autograd in the parameters' own dtype.

Usage: python ivon_opt.py [--check]      (--check: regenerate, compare with the committed file, write nothing)
"""

import argparse
import importlib.metadata
import json
import pathlib
import sys

import ivon
import numpy as np
import sklearn
import sklearn.datasets
import torch

HERE = pathlib.Path(__file__).resolve().parent
IVON_OPT_VERSION = "0.1.3"
BATCH = 30
SEED = 20240227


def iris(dtype):
    """Features [150, 4] standardised, labels [150], in a fixed shuffled order."""
    data = sklearn.datasets.load_iris()
    x = (data.data - data.data.mean(0)) / data.data.std(0)
    order = np.random.RandomState(SEED).permutation(len(x))
    return torch.tensor(x[order], dtype=dtype), torch.tensor(data.target[order])


def logistic(dtype):
    """Softmax regression with a 0-dimensional log-scale: 16 weights."""
    generator = torch.Generator().manual_seed(SEED)
    params = {
        "weight": 0.1 * torch.randn(3, 4, dtype=dtype, generator=generator),
        "bias": torch.zeros(3, dtype=dtype),
        "log_scale": torch.tensor(0.25, dtype=dtype),  # 0-dimensional
    }

    def forward(p, x):
        return p["log_scale"].exp() * (x @ p["weight"].T + p["bias"])

    return params, forward


def mlp(dtype):
    """4-4-3 tanh network with a 0-dimensional log-scale: 36 weights."""
    generator = torch.Generator().manual_seed(SEED + 1)
    params = {
        "hidden.weight": 0.5 * torch.randn(4, 4, dtype=dtype, generator=generator),
        "output.weight": 0.5 * torch.randn(3, 4, dtype=dtype, generator=generator),
        "hidden.bias": torch.zeros(4, dtype=dtype),
        "output.bias": torch.zeros(3, dtype=dtype),
        "log_scale": torch.tensor(-0.5, dtype=dtype),
    }

    def forward(p, x):
        hidden = torch.tanh(x @ p["hidden.weight"].T + p["hidden.bias"])
        return p["log_scale"].exp() * (hidden @ p["output.weight"].T + p["output.bias"])

    return params, forward


def case(name, *, problem=logistic, dtype="float64", steps=12, samples=1, groups=None, lrs=None, **options):
    """options: ivon-opt's constructor; groups: [(parameter names, own options)]; lrs: {step: lr of every group}."""
    return dict(name=name, problem=problem, dtype=dtype, steps=steps, samples=samples, groups=groups,
                lrs=lrs or {}, options={"lr": 0.2, "ess": 150.0, **options})


WEIGHTS_AND_BIASES = [
    (["hidden.weight", "output.weight"], {}),
    (["hidden.bias", "output.bias", "log_scale"],
     dict(lr=0.05, ess=1000.0, hess_init=0.25, beta1=0.8, beta2=0.97, weight_decay=0.0, clip_radius=0.3)),
]
FAST = dict(beta2=0.95)  # the Hessian moves visibly within a dozen steps


def cases():
    both = ("price", "gradsq")
    out = []
    for approx in both:
        tag = dict(hess_approx=approx)
        out += [
            case(f"{approx}_defaults", steps=10, **tag),
            case(f"{approx}_fast_hessian", steps=20, **FAST, **tag),
            case(f"{approx}_samples3", steps=8, samples=3, mc_samples=3, **FAST, **tag),
            case(f"{approx}_two_groups", problem=mlp, groups=WEIGHTS_AND_BIASES, **FAST, **tag),
            case(f"{approx}_no_debias", steps=8, debias=False, **FAST, **tag),
            case(f"{approx}_no_rescale_lr", steps=8, rescale_lr=False, hess_init=0.3, **FAST, **tag),
            case(f"{approx}_clip_radius", clip_radius=0.2 if approx == "price" else 0.03, **FAST, **tag),
            case(f"{approx}_float32", dtype="float32", steps=20, **FAST, **tag),
            case(f"{approx}_float32_two_groups", problem=mlp, dtype="float32", samples=2, mc_samples=2,
                 groups=WEIGHTS_AND_BIASES, **FAST, **tag),
        ]
    out += [
        case("price_lr_schedule", lrs={3: 0.1, 6: 0.02, 9: 0.0}, **FAST),
        case("price_ess_large", ess=6e4, **FAST),
        case("price_hess_init_small", hess_init=0.01, **FAST),
        case("price_beta1_zero", steps=8, beta1=0.0, **FAST),
        case("price_beta1_large", beta1=0.99, **FAST),
        case("price_beta2_zero", steps=8, beta2=0.0, weight_decay=0.1, ess=1e4),
        case("price_beta2_one", steps=8, beta2=1.0),
        case("price_weight_decay_large", weight_decay=0.5, **FAST),
        case("price_weight_decay_zero", weight_decay=0.0, **FAST),
        case("price_closure_samples4", steps=8, samples=4, mc_samples=4, problem=mlp, lrs="closure", **FAST),
        case("price_float32_defaults", dtype="float32", steps=10),
        case("price_float32_paper_cifar", dtype="float32", problem=mlp, ess=5e4, hess_init=0.5, weight_decay=2e-4),
    ]
    return out


def numbers(tensor):
    """Row-major list whose decimal form reads back to the same bits (as double, rounded once for float32)."""
    flat = tensor.detach().reshape(-1)
    if flat.dtype == torch.float32:
        return [float(f"{x:.9g}") for x in flat.tolist()]
    return flat.tolist()


def per_param(optimizer, key):
    """ivon-opt keeps one flat tensor per group under param_groups[i][key]: cut it into parameters."""
    out = []
    for group in optimizer.param_groups:
        flat, at = group[key], 0
        for p in group["params"]:
            out.append(numbers(flat[at:at + p.numel()]))
            at += p.numel()
        assert at == flat.numel()
    return out


def record(spec):
    dtype = getattr(torch, spec["dtype"])
    torch.set_default_dtype(dtype)  # ivon-opt rounds hess_init to the default dtype, whatever the parameters have
    x, y = iris(dtype)
    init, forward = spec["problem"](dtype)
    tensors = {name: torch.nn.Parameter(value.clone()) for name, value in init.items()}
    layout = spec["groups"] or [(list(tensors), {})]
    optimizer = ivon.IVON([dict(params=[tensors[n] for n in names], **own) for names, own in layout],
                          **spec["options"])
    order = [tensors[n] for names, _ in layout for n in names]
    assert len(order) == len(tensors)

    torch.manual_seed(SEED)  # ivon-opt draws from the default generator
    batches, steps = 0, []
    for t in range(spec["steps"]):
        if spec["lrs"] != "closure" and t in spec["lrs"]:
            for group in optimizer.param_groups:
                group["lr"] = spec["lrs"][t]
        lr = [group["lr"] for group in optimizer.param_groups]
        samples = []

        def take_sample():
            nonlocal batches
            at = [(batches * BATCH + i) % len(x) for i in range(BATCH)]
            batches += 1
            with optimizer.sampled_params(train=True):
                optimizer.zero_grad()  # inside: ivon-opt would otherwise see the sum over samples
                loss = torch.nn.functional.cross_entropy(forward(tensors, x[at]), y[at])
                loss.backward()
                samples.append(dict(theta=[numbers(p) for p in order], grad=[numbers(p.grad) for p in order]))
            return loss

        if spec["lrs"] == "closure":
            optimizer.step(take_sample)
        else:
            for _ in range(spec["samples"]):
                take_sample()
            optimizer.step()
        assert len(samples) == spec["samples"]
        steps.append(dict(lr=lr, samples=samples, mean=[numbers(p) for p in order],
                          hess=per_param(optimizer, "hess"), momentum=per_param(optimizer, "momentum")))

    options = dict(spec["options"])
    estimator = options.pop("hess_approx", "price")
    return dict(name=spec["name"], estimator=estimator, dtype=spec["dtype"], options=options,
                groups=[dict(options=own, params=[dict(name=n, shape=list(init[n].shape), init=numbers(init[n]))
                                                  for n in names]) for names, own in layout],
                steps=steps)


def check_cases_bite(recorded):
    """A case that equals another case tests nothing: every option must change the trajectory."""
    by_name = {c["name"]: c for c in recorded}

    def last(name):
        step = by_name[name]["steps"][7]
        return np.concatenate([np.ravel(v) for k in ("mean", "hess", "momentum") for v in step[k]])

    for name, c in by_name.items():
        values = last(name)
        assert np.isfinite(values).all(), name
        other = f"{c['estimator']}_fast_hessian"
        base = last(other)
        if len(values) == len(base) and name != other and c["dtype"] == "float64":
            assert np.abs(values - base).max() > 1e-6, f"{name} does not differ from {other}"
        hess = np.array([v for s in c["steps"] for p in s["hess"] for v in p])
        assert name == "price_beta2_one" or np.ptp(hess) > 1e-6, f"{name}: the Hessian does not move"


def encode(recorded):
    """One case per few lines: readable diffs, small file."""
    versions = {"ivon-opt": IVON_OPT_VERSION, "torch": torch.__version__.split("+")[0], "numpy": np.__version__,
                "scikit-learn": sklearn.__version__, "python": ".".join(map(str, sys.version_info[:3]))}
    compact = dict(separators=(",", ":"), allow_nan=False)
    lines = ['{"format":1,', '"generator":"tests/golden/ivon_opt.py",', f'"versions":{json.dumps(versions)},',
             '"cases":[']
    for i, c in enumerate(recorded):
        head = {k: v for k, v in c.items() if k != "steps"}
        steps = ",\n".join(json.dumps(s, **compact) for s in c["steps"])
        lines.append(json.dumps(head, **compact)[:-1] + ',"steps":[\n' + steps + "]}" + ("," if i + 1 < len(recorded) else ""))
    return "\n".join(lines) + "\n]}\n"


def differs(a, b, path=""):
    """The first place where two recordings differ by more than rounding, or None."""
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return next((d for k in a if (d := differs(a[k], b[k], f"{path}/{k}"))), None)
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return next((d for i, (u, v) in enumerate(zip(a, b)) if (d := differs(u, v, f"{path}/{i}"))), None)
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return None if abs(a - b) <= 1e-4 * abs(b) + 1e-5 else f"{path}: {a} against {b}"
    return None if a == b else f"{path}: {a!r} against {b!r}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the committed file, write nothing")
    check = parser.parse_args().check
    installed = importlib.metadata.version("ivon-opt")
    assert installed == IVON_OPT_VERSION, f"needs ivon-opt {IVON_OPT_VERSION}, found {installed}"
    torch.set_num_threads(1)

    recorded = [record(spec) for spec in cases()]
    check_cases_bite(recorded)
    path = HERE / "ivon_opt.json"
    if check:
        found = differs(json.loads(path.read_text())["cases"], json.loads(encode(recorded))["cases"])
        if found:
            sys.exit(f"{path.name} differs at {found}")
        print(f"{path.name}: {len(recorded)} cases as committed")
    else:
        path.write_text(encode(recorded))
        print(f"{path.name}: {len(recorded)} cases, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
