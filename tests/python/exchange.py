# SPDX-License-Identifier: Apache-2.0
"""What the scripts share that exchange models with the C++ programs of tests/examples."""

import os
import subprocess
import sys

import torch


def declare_operators_of_torchvision():
    """Lets a torchvision without its own operators be imported, for models that do not use them."""
    for name in ("nms", "qnms"):
        try:
            torch.library.define("torchvision::" + name, "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        except RuntimeError:
            pass  # declared already


def run_test(name, folder):
    """Runs the disabled test `name` (SUITE.TEST) of the program sys.argv[1], which finds its files in `folder`, in a
    process of its own, and returns what it printed."""
    suite, test = name.split(".")
    done = subprocess.run(
        [sys.argv[1], f"--gtest_filter={suite}.DISABLED_{test}", "--gtest_also_run_disabled_tests"],
        env=dict(os.environ, IVON_EXCHANGE_FOLDER=folder), capture_output=True, text=True)
    assert done.returncode == 0 and "[  PASSED  ] 1 test" in done.stdout, done.stdout + done.stderr
    return done.stdout


def ivon_iteration(parameters, noise, backward):
    """One iteration of IVON with one sample, by its formulas (docs/algorithm.md), as the C++ side makes it: lr 0.1,
    ess 1000, and the defaults of IVONOptions otherwise.

    parameters: a dictionary from names to the parameters at the mean, float64; they hold the sample afterwards.
    noise: the sample minus the mean. backward: computes the gradients.
    Returns the initial Hessian, and dictionaries of the Hessians, momenta and means after the iteration.
    """
    lr, ess, hess_init, beta1, beta2, delta = 0.1, 1000.0, 1.0, 0.9, 0.99999, 1e-4
    before = {n: p.detach().clone() for n, p in parameters.items()}
    with torch.no_grad():
        for name, p in parameters.items():
            p += noise[name]
    spread = torch.cat([noise[n].flatten() for n in before]).std() * (ess * (hess_init + delta)) ** 0.5
    assert abs(spread - 1) < 1e-2, spread
    backward()
    hess, momentum, means = {}, {}, {}
    rho = 1 - beta2
    for name, p in parameters.items():
        estimate = ess * (hess_init + delta) * noise[name] * p.grad
        momentum[name] = (1 - beta1) * p.grad
        hess[name] = (beta2 * hess_init + rho * estimate
                      + 0.5 * rho**2 * (hess_init - estimate) ** 2 / (hess_init + delta))
        direction = (momentum[name] / (1 - beta1) + delta * before[name]) / (hess[name] + delta)
        means[name] = before[name] - lr * (hess_init + delta) * direction
    return hess_init, hess, momentum, means
