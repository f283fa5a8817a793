# Makes the figures of expected_metrics.tsv from its rows, with scikit-learn:
#     python3 tests/learn/expected_metrics.py <tests/learn/expected_metrics.tsv >new.tsv
# Comments and rows are kept; what stands between a case's rows and the next case is made anew.
import sys
import warnings

import numpy as np
import sklearn.metrics as m

PREVALENCE = 0.05
BINS = 15
warnings.filterwarnings("ignore")


def or_nan(f, defined):
    return f() if defined else float("nan")


def mean_defined(values):
    values = [v for v in values if not np.isnan(v)]
    return float(np.mean(values)) if values else float("nan")


def one_against_rest(y, called, p, c):
    """Figures of class c against the others."""
    tn, fp, fn, tp = m.confusion_matrix(y == c, called == c, labels=[False, True]).ravel()
    part = lambda a, b: a / b if b else float("nan")
    return {
        "auc": or_nan(lambda: m.roc_auc_score(y == c, p[:, c]), 0 < np.sum(y == c) < len(y)),
        "average_precision": or_nan(lambda: m.average_precision_score(y == c, p[:, c]), np.any(y == c)),
        "sensitivity": m.recall_score(y == c, called == c, zero_division=np.nan),
        "specificity": part(tn, tn + fp),
        "ppv": m.precision_score(y == c, called == c, zero_division=np.nan),
        "npv": part(tn, tn + fn),
        "f1": m.f1_score(y == c, called == c, zero_division=np.nan),
    }


def ece(y, called, p):
    confidence, right = p[np.arange(len(y)), called], called == y
    bins = np.clip(np.ceil(confidence * BINS) - 1, 0, BINS - 1)
    return sum(abs(np.sum(confidence[bins == b]) - np.sum(right[bins == b])) for b in range(BINS)) / len(y)


def top_k(y, p, k):
    """scikit-learn lets the highest of tied classes win: classes are numbered from the other end."""
    n = p.shape[1]
    return m.top_k_accuracy_score(n - 1 - y, p[:, ::-1], k=k, labels=np.arange(n))


def at_prevalence(v):
    """A population of 1 in which the share PREVALENCE is positive, and what is called of it."""
    tp, fn = PREVALENCE * v["sensitivity"], PREVALENCE * (1 - v["sensitivity"])
    tn, fp = (1 - PREVALENCE) * v["specificity"], (1 - PREVALENCE) * (1 - v["specificity"])
    part = lambda a, b: a / b if b else float("nan")
    return {"ppv_at_prevalence": part(tp, tp + fp), "npv_at_prevalence": part(tn, tn + fn)}


def figures(y, p):
    classes, called = p.shape[1], np.argmax(p, axis=1)
    per_class = [one_against_rest(y, called, p, c) for c in ([1] if classes == 2 else range(classes))]
    k = {2: 0, 5: 2, 7: 5}[classes]     # as the test asks; 5 of 7 by default
    v = {name: mean_defined([c[name] for c in per_class]) for name in per_class[0]}
    v.update(at_prevalence(v) if classes == 2 else dict.fromkeys(["ppv_at_prevalence", "npv_at_prevalence"], np.nan))
    v["accuracy"] = m.accuracy_score(y, called)
    v["balanced_accuracy"] = m.balanced_accuracy_score(y, called)
    v["mcc"] = or_nan(lambda: m.matthews_corrcoef(y, called), len(set(y)) > 1 and len(set(called)) > 1)
    v["top_k_accuracy"] = or_nan(lambda: top_k(y, p, k), k)
    v["brier"] = float(np.mean((p[:, 1] - y) ** 2)) if classes == 2 else \
        m.brier_score_loss(y, p, labels=np.arange(classes), scale_by_half=False)
    v["log_loss"] = m.log_loss(y, p, labels=np.arange(classes))
    v["ece"] = ece(y, called, p)
    return m.confusion_matrix(y, called, labels=np.arange(classes)), v


def close(y, p):
    if y:
        confusion, v = figures(np.array(y), np.array(p))
        print("confusion", *confusion.ravel(), sep="\t")
        for name in v:
            print(name, repr(float(v[name])), sep="\t")


y, p = [], []
for line in sys.stdin:
    word = line.rstrip("\n").split("\t")
    if word[0] == "case":
        close(y, p)
        y, p = [], []
    if word[0] in ("case", "row") or line[0] == "#":
        print(line, end="")
    if word[0] == "row":
        y.append(int(word[1]))
        p.append([float(w) for w in word[2:]])
close(y, p)
