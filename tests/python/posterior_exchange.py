#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Exchanges posterior files between C++ and Python, with the code of docs/posterior.md and ivon-opt.

Usage: posterior_exchange.py PROGRAM DOCUMENT
PROGRAM is posterior_tests, whose disabled tests PosteriorExchange.* are the C++ side, and DOCUMENT is docs/posterior.md.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import warnings

try:
    warnings.simplefilter("ignore")
    import torch
    import ivon  # the package ivon-opt
except ImportError as error:
    print(f"skipped: {error}; tests/run.sh installs ivon-opt")
    sys.exit(0)


def cpp(name, folder):
    """Runs one test of PROGRAM in a process of its own."""
    done = subprocess.run(
        [sys.argv[1], f"--gtest_filter=PosteriorExchange.DISABLED_{name}", "--gtest_also_run_disabled_tests"],
        env=dict(os.environ, IVON_EXCHANGE_FOLDER=folder), capture_output=True, text=True)
    assert done.returncode == 0 and "[  PASSED  ] 1 test" in done.stdout, done.stdout + done.stderr


def documented_functions():
    with open(sys.argv[2], encoding="utf-8") as document:
        code = re.search(r"```python\n(.*?)```", document.read(), re.DOTALL).group(1)
    functions = {}
    exec(code, functions)
    for name in ("save_posterior", "load_posterior"):
        body = re.search(rf"def {name}.*?(?=\ndef |\Z)", code, re.DOTALL).group(0)
        assert len(body.strip().splitlines()) <= 15, f"{name} has more than fifteen lines"
    return functions


def python_reads_what_cpp_wrote(folder):
    cpp("Writes", folder)
    q = torch.load(f"{folder}/cpp.pt", weights_only=True)
    assert q["format"] == "ivon.Posterior" and q["version"] == 1 and q["ess"] == 12.5
    assert q["left_out"] == ["frozen"]
    assert list(q["mean"]) == ["a.weight", "b"]
    assert torch.equal(q["mean"]["a.weight"], torch.arange(6.0).view(2, 3) / 8)
    assert torch.equal(q["precision"]["a.weight"], torch.arange(6.0).view(2, 3) + 1)
    assert q["mean"]["b"].dtype == torch.float64 and q["prior_precision"]["b"].item() == 0.5
    assert list(q["prior_mean"]) == ["b"]


def trained_with_ivon_opt():
    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
    optimizer = ivon.IVON(model.parameters(), lr=0.1, ess=50.0, weight_decay=1e-2, hess_init=0.5, beta2=0.9)
    x, y = torch.randn(50, 4), torch.randn(50, 2)
    for _ in range(30):
        with optimizer.sampled_params(train=True):
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(model(x), y).backward()
        optimizer.step()
    return model, optimizer, x


def cpp_samples_what_python_trained(folder, functions):
    model, optimizer, x = trained_with_ivon_opt()
    functions["save_posterior"](model, optimizer, f"{folder}/python.pt")
    torch.jit.script(model).save(f"{folder}/module.pt")
    torch.save(x, f"{folder}/x.pt")
    cpp("SamplesATorchScriptModule", folder)
    with open(f"{folder}/moments.json", encoding="utf-8") as file:
        found = json.load(file)

    q = torch.load(f"{folder}/python.pt", weights_only=True)
    count = found["samples"]
    outputs = []
    with torch.no_grad():
        for _ in range(count):
            sample = {n: torch.normal(q["mean"][n], q["precision"][n].rsqrt()) for n in q["mean"]}
            outputs.append(torch.func.functional_call(model, sample, (x[:5],)).double())
    outputs = torch.stack(outputs)
    mean, variance = outputs.mean(0).flatten(), outputs.var(0).flatten()
    error = (2 * variance / count).sqrt()  # both sides are estimates
    difference = (torch.tensor(found["mean"], dtype=torch.float64) - mean).abs()
    assert (difference <= 4.5 * error).all(), (difference / error).max()
    ratio = torch.tensor(found["variance"], dtype=torch.float64) / variance
    kurtosis = ((outputs - outputs.mean(0)) ** 4).mean(0).flatten() / variance ** 2
    assert ((ratio - 1).abs() <= 4.5 * (2 * (kurtosis - 1) / count).sqrt()).all(), ratio

    # And back: C++ has written the posterior again, and ivon-opt goes on from it.
    again = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
    resumed = ivon.IVON(again.parameters(), lr=0.1, ess=50.0, weight_decay=1e-2)
    functions["load_posterior"](again, resumed, f"{folder}/back.pt")
    for a, b in zip(model.parameters(), again.parameters()):
        assert torch.equal(a, b)
    ours, theirs = resumed.param_groups[0]["hess"], optimizer.param_groups[0]["hess"]
    assert (ours - theirs).abs().max() <= 1e-6 * theirs.abs().max()


def main():
    functions = documented_functions()
    with tempfile.TemporaryDirectory() as folder:
        python_reads_what_cpp_wrote(folder)
        cpp_samples_what_python_trained(folder, functions)
    print("posteriors are exchanged with Python")


if __name__ == "__main__":
    main()
