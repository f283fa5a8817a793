# Makes the figures of expected_comparisons.tsv from its rows: AUCs and thresholds by expected_comparisons.R beside this
# file, McNemar's test and the difference in accuracy by statsmodels.
#     python3 tests/learn/expected_comparisons.py <tests/learn/expected_comparisons.tsv >new.tsv
# Comments and rows are kept.
import os
import subprocess
import sys

import numpy as np
import statsmodels.api as sm
from statsmodels.stats.contingency_tables import mcnemar


def by_r(rows):
    table = "label\tgroup\ta\tb\n" + "".join("\t".join(r) + "\n" for r in rows)
    script = os.path.join(os.path.dirname(sys.argv[0]), "expected_comparisons.R")
    return subprocess.run(["Rscript", script], input=table, capture_output=True, text=True, check=True).stdout


def calls(rows):
    label, group = (np.array([int(r[k]) for r in rows]) for k in (0, 1))
    a, b = ((np.array([float(r[k]) for r in rows]) > 0.5) == label for k in (2, 3))
    return group, a, b


def by_statsmodels(rows):
    group, a, b = calls(rows)
    table = np.array([[np.sum(a & b), np.sum(a & ~b)], [np.sum(~a & b), np.sum(~a & ~b)]])
    difference = a.astype(float) - b
    fit = sm.OLS(difference, np.ones(len(a))).fit(cov_type="cluster", cov_kwds={"groups": group})
    one_only = table[0, 1] + table[1, 0]
    corrected = mcnemar(table, exact=False, correction=True)
    # statsmodels corrects also where both counts are equal and the gap would turn negative: 0 is meant there.
    equal = table[0, 1] == table[1, 0]
    return {
        "both": table[0, 0], "only_a": table[0, 1], "only_b": table[1, 0], "neither": table[1, 1],
        "exact_p": mcnemar(table, exact=True).pvalue if one_only else 1.0,
        "chi2": 0.0 if one_only and equal else corrected.statistic if one_only else np.nan,
        "chi2_p": 1.0 if one_only and equal else corrected.pvalue if one_only else np.nan,
        "se_accuracy": fit.bse[0], "low_accuracy": fit.conf_int()[0][0], "high_accuracy": fit.conf_int()[0][1],
    }


def close(rows):
    if rows:
        print(by_r(rows), end="")
        for name, value in by_statsmodels(rows).items():
            print(name, repr(float(value)), sep="\t")
        print("end")


rows = []
for line in sys.stdin:
    word = line.rstrip("\n").split("\t")
    if word[0] == "case":
        close(rows)
        rows = []
    if word[0] in ("case", "row") or line[0] == "#":
        print(line, end="")
    if word[0] == "row":
        rows.append(word[1:])
close(rows)
