# SPDX-License-Identifier: Apache-2.0
"""Golden values for tests/metrics_test.cpp and tests/schedulers_test.cpp.

Writes metrics.json and schedulers.json beside this file, versions inside:

    pip install torch==2.13.0 torchmetrics==1.9.0 scikit-learn==1.9.1
    python make_golden.py

metrics.json: class probabilities on half of scikit-learn's digits (real images, bundled with
scikit-learn) from three classifiers (regularised: hardly confident; logistic regression; a network
that saturates: float32 confidences of exactly 1), and a hand-made set with ties, zeros and
confidences on bin edges. Figures from torchmetrics (ECE) and scikit-learn (the others).

torchmetrics puts a confidence of exactly 1.0 into a bin of its own; ours belongs into the last one.
The figures for such sets are computed with 1.0 replaced by the float32 below it (off by 6e-8).

schedulers.json: learning rates from torch.optim.lr_scheduler, warm-up by LinearLR, decay by
CosineAnnealingLR or LinearLR, joined by SequentialLR.
"""
import json
import pathlib
import sys
import warnings

import numpy as np
import sklearn
import torch
import torchmetrics
from sklearn.calibration import calibration_curve
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss
from sklearn.neural_network import MLPClassifier
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR
from torchmetrics.functional.classification import multiclass_calibration_error

HERE = pathlib.Path(__file__).parent
VERSIONS = {
    "python": sys.version.split()[0],
    "torch": torch.__version__,
    "torchmetrics": torchmetrics.__version__,
    "scikit-learn": sklearn.__version__,
    "numpy": np.__version__,
}
def figures(probs, targets):
    """probs: float32 [N, C]; every figure that metrics.hpp computes, from other people's code."""
    classes = np.arange(probs.shape[1])
    wide = probs.astype(np.float64)
    wide /= wide.sum(1, keepdims=True)  # log_loss and brier_score_loss want sums of 1 in float64
    of_target = torch.tensor(wide)[torch.arange(len(targets)), torch.tensor(targets)]
    out = {
        "accuracy": accuracy_score(targets, probs.argmax(1)),
        "brier": brier_score_loss(targets, wide, labels=classes, scale_by_half=False),
        # Clamped as metrics.hpp specifies; scikit-learn's log_loss has no choice of the bound.
        "nll": -of_target.clamp_min(torch.finfo(torch.float32).tiny).log().mean().item(),
    }
    if of_target.min() > 1e-15:  # log_loss clips at the epsilon of float64: same value above it
        out["nll"] = log_loss(targets, wide, labels=classes)
    below_one = np.nextafter(np.float32(1), np.float32(0))
    clipped = np.minimum(probs, below_one)
    confidence = clipped.max(1).astype(np.float64)
    correct = probs.argmax(1) == targets
    for bins in (1, 10, 15, 20):
        out[f"ece_{bins}"] = multiclass_calibration_error(
            torch.tensor(clipped), torch.tensor(targets), num_classes=len(classes), n_bins=bins,
            norm="l1").item()
        # calibration_curve closes bins on the right: only comparable with no confidence on an edge.
        edges = np.arange(bins + 1) / bins
        if np.abs(confidence[:, None] - edges[None, 1:-1]).min(initial=1) > 1e-9:
            accuracy, mean_confidence = calibration_curve(correct, confidence, n_bins=bins)
            out[f"curve_{bins}"] = {
                "accuracy": accuracy.tolist(),
                "confidence": mean_confidence.tolist(),
                "count": [int(c) for c in np.histogram(confidence, edges)[0] if c > 0],
            }
    return out


def case(name, probs, targets):
    probs = np.asarray(probs, dtype=np.float32)
    targets = np.asarray(targets, dtype=np.int64)
    return {
        "name": name,
        "probs": [[float(np.format_float_scientific(p)) for p in row] for row in probs],
        "targets": targets.tolist(),
        "figures": figures(probs, targets),
        "exact_ones": int((probs.max(1) == 1).sum()),
    }


def metric_cases():
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    x, y = x[order] / 16.0, y[order]
    train, test = slice(0, 300), slice(300, 500)
    models = {
        "digits, strongly regularised": LogisticRegression(C=1e-2, max_iter=1000),
        "digits, logistic regression": LogisticRegression(max_iter=1000),
        "digits, saturated network": MLPClassifier((64,), alpha=0, max_iter=3000, random_state=0,
                                                   learning_rate_init=1e-2, tol=0,
                                                   n_iter_no_change=3000),
    }
    for name, model in models.items():
        scale = 3.0 if "saturated" in name else 1.0  # sharpened logits: confidences of exactly 1
        model.fit(x[train], y[train])
        logits = torch.log(torch.tensor(model.predict_proba(x[test])).clamp_min(1e-300)) * scale
        yield case(name, torch.softmax(logits.float(), 1).numpy(), y[test])
    # Ties, zeros, exact ones, confidences on the edges 0.5, 0.6, 0.8 of 10 and 20 bins.
    yield case("hand-made",
               [[0.5, 0.5, 0], [0.25, 0.375, 0.375], [1, 0, 0], [0, 1, 0], [0.6, 0.2, 0.2],
                [0.1, 0.8, 0.1], [0.8, 0.125, 0.075], [0.3, 0.3, 0.4], [0.05, 0.05, 0.9]],
               [1, 1, 0, 2, 0, 1, 2, 2, 2])


def rates(decay, warmup, total, final, bases):
    optimizer = torch.optim.SGD(
        [{"params": [torch.zeros(1, requires_grad=True)], "lr": lr} for lr in bases])
    ramp = LinearLR(optimizer, 1 / warmup, 1.0, warmup - 1) if warmup > 0 else None
    if decay == "cosine":
        assert len(bases) == 1 or final == 0  # eta_min is one number for all groups
        after = CosineAnnealingLR(optimizer, total - warmup, eta_min=final * bases[0])
    else:
        after = LinearLR(optimizer, 1.0, final, total - warmup)
    scheduler = SequentialLR(optimizer, [ramp, after], [warmup]) if ramp else after
    out = []
    for _ in range(total + 1):
        out.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    return out


def scheduler_cases():
    for decay in ("cosine", "linear"):
        for warmup, total, final, bases in ((0, 12, 0.0, [0.1]), (5, 30, 0.1, [0.2]),
                                            (2, 9, 0.0, [0.1, 3.0]), (10, 50, 1.0, [2.5])):
            yield {"decay": decay, "warmup_steps": warmup, "total_steps": total,
                   "final_factor": final, "base_lrs": bases,
                   "lrs": rates(decay, warmup, total, final, bases)}


def write(name, cases):
    with open(HERE / name, "w") as f:
        json.dump({"versions": VERSIONS, "cases": list(cases)}, f, separators=(",", ":"))
        f.write("\n")


if __name__ == "__main__":
    torch.manual_seed(0)
    warnings.simplefilter("ignore")
    write("metrics.json", metric_cases())
    write("schedulers.json", scheduler_cases())
