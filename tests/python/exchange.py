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
