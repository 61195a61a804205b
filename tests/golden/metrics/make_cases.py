# SPDX-License-Identifier: Apache-2.0
"""Golden values of 1,000 generated cases for tests/metrics*_test.cpp.

Writes cases.json beside this file, versions inside:

    pip install torch==2.13.0 torchmetrics==1.9.0 scikit-learn==1.9.1 scipy==1.17.1
    python make_cases.py

classification (400 cases): probabilities are integer counts over a prime total, so that ties are
exact and no confidence but 1 lies on a bin's edge. Top-k accuracy, ECE and classwise ECE are
torchmetrics's, accuracy and Brier score scikit-learn's; NLL and bins of equal mass are counted with
numpy. torchmetrics puts a confidence of exactly 1 into a bin of its own and computes in float32; it
gets the float32 below 1 instead (off by 6e-8). It leaves open which of two tied classes is among
the k best; it gets probabilities that fall by 1e-9 from class to class.

ranking (400 cases): scores with few digits, so that many are tied, and extreme ones. Figures from
scikit-learn, which takes no infinite scores: it gets the ranks of the scores. null where there is
only one class. The area under the risk-coverage curve is a sum of fractions, and for few examples
the mean over all orders of the tied examples.

regression (200 cases): log-densities from scipy, CRPS by numerical integration of its definition,
the root mean squared error from scikit-learn, intervals counted in Python.
"""
import fractions
import itertools
import json
import math
import pathlib
import random
import sys
import warnings

import numpy as np
import scipy
import sklearn
import torch
import torchmetrics
from scipy.integrate import quad
from scipy.stats import norm
from sklearn.metrics import (accuracy_score, average_precision_score, brier_score_loss,
                             roc_auc_score, roc_curve, root_mean_squared_error)
from torchmetrics.functional.classification import (binary_calibration_error, multiclass_accuracy,
                                                    multiclass_calibration_error)

HERE = pathlib.Path(__file__).parent
VERSIONS = {
    "python": sys.version.split()[0],
    "torch": torch.__version__,
    "torchmetrics": torchmetrics.__version__,
    "scikit-learn": sklearn.__version__,
    "scipy": scipy.__version__,
    "numpy": np.__version__,
}
random_numbers = random.Random(20240227)


def counts(kind, classes, total):
    """Non-negative integers, one for each class, with the sum `total`."""
    if kind == "certain":
        hot = random_numbers.randrange(classes)
        return [total if c == hot else 0 for c in range(classes)]
    if kind == "uniform":
        return [total // classes + (c < total % classes) for c in range(classes)]
    cuts = sorted(random_numbers.randint(0, total) for _ in range(classes - 1))
    return [b - a for a, b in zip([0] + cuts, cuts + [total])]


def equal_mass(confidence, correct, bins):
    """Count, and L1, L2 and largest gap of bins that end at quantiles of the confidence."""
    ordered, n = np.sort(confidence), len(confidence)
    ends = [ordered[-(-i * n // bins) - 1] for i in range(1, bins)]
    bin_of = np.searchsorted(ends, confidence, side="left")
    count = [int((bin_of == b).sum()) for b in range(bins)]
    gaps = [abs(correct[bin_of == b].mean() - confidence[bin_of == b].mean()) if count[b] else 0.0
            for b in range(bins)]
    return {"count": count, "l1": np.average(gaps, weights=count),
            "l2": math.sqrt(np.average(np.square(gaps), weights=count)), "max": max(gaps)}


def classification_case(index):
    classes = random_numbers.randint(2, 10)
    n = random_numbers.choice([1, 2, 3]) if index % 5 == 0 else random_numbers.randint(1, 60)
    total = random_numbers.choice([23, 29, 997])
    kinds = ["any", "any", "any", "certain", "uniform"] if index % 4 else ["certain", "uniform"]
    rows = [counts(random_numbers.choice(kinds), classes, total) for _ in range(n)]
    probs = np.array(rows) / total
    targets = [row.index(max(row)) if random_numbers.random() < 0.6
               else random_numbers.randrange(classes) for row in rows]
    y, bins = np.array(targets), random_numbers.choice([1, 2, 5, 10, 15, 20])
    k = random_numbers.randint(1, classes)
    below_one = torch.tensor(np.minimum(probs, np.nextafter(np.float32(1), np.float32(0))))
    falling = torch.tensor(probs - 1e-9 * np.arange(classes))
    labels = torch.tensor(y)

    def ece(norm_name):
        return multiclass_calibration_error(below_one, labels, num_classes=classes, n_bins=bins,
                                            norm=norm_name).item()

    tiny = float(np.finfo(np.float32).tiny)
    return {
        "total": total, "counts": rows, "targets": targets, "bins": bins, "k": k,
        "accuracy": accuracy_score(y, probs.argmax(1)),
        "top_k": multiclass_accuracy(falling, labels, num_classes=classes, top_k=k,
                                     average="micro").item(),
        "nll": float(np.mean([-math.log(max(probs[i, t], tiny)) for i, t in enumerate(y)])),
        "brier": brier_score_loss(y, probs, labels=np.arange(classes), scale_by_half=False),
        "ece": {"l1": ece("l1"), "l2": ece("l2"), "max": ece("max")},
        "equal_mass": equal_mass(probs.max(1), probs.argmax(1) == y, bins),
        "classwise": float(np.mean([
            binary_calibration_error(below_one[:, c], (labels == c).long(), n_bins=bins,
                                     norm="l1").item() for c in range(classes)])),
    }


def risk_area(scores, correct):
    """Mean over k of the expected error rate among the k best, over all orders of ties."""
    n = len(scores)
    groups = [[not c for s, c in zip(scores, correct) if s == value]
              for value in sorted(set(scores), reverse=True)]
    area, errors, k = fractions.Fraction(0), fractions.Fraction(0), 0
    for group in groups:
        share = fractions.Fraction(sum(group), len(group))
        for _ in group:
            k, errors = k + 1, errors + share
            area += errors / k
    if math.prod(math.factorial(len(group)) for group in groups) <= 5040:
        orders = list(itertools.product(*(list(itertools.permutations(g)) for g in groups)))
        enumerated = fractions.Fraction(0)
        for order in orders:
            wrong = list(itertools.accumulate(itertools.chain(*order)))
            enumerated += sum(fractions.Fraction(w, i + 1) for i, w in enumerate(wrong))
        assert enumerated / len(orders) == area
    return float(area / n)


def ranking_case(index):
    n = random_numbers.choice([1, 2, 3]) if index % 8 == 0 else random_numbers.randint(1, 60)
    kind = ["digits3", "digits1", "equal", "extreme", "infinite", "digits1"][index % 6]
    extremes = [1e300, -1e300, 1e-300, -1e-300, 5e-324, 0.0, -0.0, 1.0]
    draw = {
        "digits3": lambda: round(random_numbers.gauss(0, 1), 3),
        "digits1": lambda: round(random_numbers.random(), 1),
        "equal": lambda: 0.25,
        "extreme": lambda: random_numbers.choice(extremes),
        "infinite": lambda: random_numbers.choice(extremes + [math.inf, -math.inf]),
    }[kind]
    scores = [draw() for _ in range(n)]
    share = random_numbers.choice([0.0, 0.1, 0.5, 0.5, 0.5, 0.9, 1.0])
    more = 0.3 if 0 < share < 1 else 0  # high scores are positive more often
    flags = [random_numbers.random() < share + (more if s > 0.5 else 0) for s in scores]
    ranks = np.unique(scores, return_inverse=True)[1]
    out = {"scores": ["inf" if s == math.inf else "-inf" if s == -math.inf else s for s in scores],
           "flags": [int(f) for f in flags], "auroc": None, "aupr": None, "fpr": None}
    if 0 < sum(flags) < n:
        fpr, tpr, _ = roc_curve(flags, ranks, drop_intermediate=False)
        out.update(auroc=roc_auc_score(flags, ranks), aupr=average_precision_score(flags, ranks),
                   fpr={str(level): fpr[np.argmax(tpr >= level)] for level in (0.5, 0.95, 1.0)})
    # The curve is counted from its definition.
    curve = []
    for value in sorted(set(scores), reverse=True):
        answered = [f for s, f in zip(scores, flags) if s >= value]
        curve.append([len(answered) / n, 1 - sum(answered) / len(answered)])
    out["curve"] = curve
    out["aurc"] = risk_area(scores, flags)
    out["coverage"] = {str(r): max([c for c, e in curve if e <= r + 1e-12], default=0.0)
                       for r in (0.0, 0.1, 0.25, 1.0)}
    return out


def crps(means, deviations, target):
    """The integral of (F(x) - [x >= target])^2 of an equally weighted mixture of Gaussians."""
    means, deviations = np.array(means), np.array(deviations)
    smooth = np.where(deviations > 0, deviations, 1.0)

    def distribution(x):
        return float(np.where(deviations > 0, norm.cdf((x - means) / smooth), x >= means).mean())

    points = {target}
    for m, d in zip(means, deviations):
        points.update(m + d * z for z in ((-12, -6, -3, -1, 0, 1, 3, 6, 12) if d > 0 else (0,)))
    points = sorted(points)
    area = 0.0
    for a, b in zip(points, points[1:]):
        above = 0.5 * (a + b) > target
        # The open interval: a jump at its upper end does not count.
        area += quad(lambda x: (distribution(x) - above) ** 2, a, np.nextafter(b, a), epsabs=1e-13,
                     epsrel=1e-11, limit=200)[0]
    return area


def regression_case(index):
    n = random_numbers.choice([1, 2]) if index % 5 == 0 else random_numbers.randint(3, 12)
    components = random_numbers.randint(1, 4)
    scale = random_numbers.choice([0.01, 1.0, 1000.0])

    def draws(low, high):
        return [float(f"{scale * random_numbers.uniform(low, high):.4g}") for _ in range(n)]

    targets, mean = draws(-3, 3), draws(-3, 3)
    if index % 3 == 0:
        mean[0] = targets[0]
    deviation = draws(0.01, 3)
    variance = [float(f"{d * d:.6g}") for d in deviation]
    means = [draws(-3, 3) for _ in range(components)]
    variances = [[0.0 if index % 4 == 0 and random_numbers.random() < 0.5 else
                  float(f"{d * d:.6g}") for d in draws(0.01, 3)] for _ in range(components)]
    bounds = [sorted(pair) for pair in zip(draws(-3, 3), draws(-3, 3))]
    for i in range(0, n, 4):
        bounds[i][i // 4 % 2] = targets[i]  # a target on a bound
        bounds[i].sort()
    return {
        "targets": targets, "mean": mean, "variance": variance, "means": means,
        "variances": variances, "lower": [b[0] for b in bounds], "upper": [b[1] for b in bounds],
        "rmse": root_mean_squared_error(targets, mean),
        "nll": -norm.logpdf(targets, mean, np.sqrt(variance)).mean(),
        "crps": np.mean([crps([m], [math.sqrt(v)], t) for m, v, t in zip(mean, variance, targets)]),
        "crps_mixture": np.mean([crps([row[i] for row in means],
                                      [math.sqrt(row[i]) for row in variances], t)
                                 for i, t in enumerate(targets)]),
        "coverage": sum(b[0] <= t <= b[1] for b, t in zip(bounds, targets)) / n,
        "width": math.fsum(b[1] - b[0] for b in bounds) / n,
    }


def plain(value):
    """Numbers of numpy as those of Python, with 15 significant digits."""
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if abs(value) < 1e-299 else float(f"{value:.15g}")
    return value


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    document = {"versions": VERSIONS,
                "classification": [classification_case(i) for i in range(400)],
                "ranking": [ranking_case(i) for i in range(400)],
                "regression": [regression_case(i) for i in range(200)]}
    with open(HERE / "cases.json", "w") as f:
        json.dump(plain(document), f, separators=(",", ":"))
        f.write("\n")
