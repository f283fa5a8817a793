# Figures of one case for expected_comparisons.py: a table of label, group, a, b from standard input, one "name<TAB>value"
# a line to standard output.  AUCs, DeLong and thresholds are pROC's.  Where groups have several rows, Obuchowski's
# variance is written out from its definition (1997, equations 2 to 4), with the kernel's whole matrix.
suppressMessages(library(pROC))
x <- read.delim(file("stdin"))
say <- function(name, value) cat(name, "\t", sprintf("%.17g", as.numeric(value)), "\n", sep = "")
curve <- function(score) suppressWarnings(roc(x$label, score, levels = c(0, 1), direction = "<", quiet = TRUE))

kernel <- function(score) outer(score[x$label == 1], score[x$label == 0], function(p, n) (p > n) + (p == n) / 2)
parts <- function(score) {
    k <- kernel(score)
    group <- sort(unique(x$group))
    at <- function(v, of) vapply(group, function(g) sum(v[of == g]), 0)
    list(auc = mean(k),
         positive = at(rowMeans(k) - mean(k), x$group[x$label == 1]),
         negative = at(colMeans(k) - mean(k), x$group[x$label == 0]))
}
clustered <- function(positive, negative) {
    with1 <- length(unique(x$group[x$label == 1])); with0 <- length(unique(x$group[x$label == 0]))
    all <- length(unique(x$group)); m <- sum(x$label == 1); n <- sum(x$label == 0)
    s10 <- with1 / ((with1 - 1) * m) * sum(positive^2)
    s01 <- with0 / ((with0 - 1) * n) * sum(negative^2)
    s11 <- all / (all - 1) * sum(positive * negative)
    s10 / m + s01 / n + 2 * s11 / (m * n)
}

a <- curve(x$a); b <- curve(x$b)
if (anyDuplicated(x$group)) {
    pa <- parts(x$a); pb <- parts(x$b)
    va <- clustered(pa$positive, pa$negative)
    vd <- clustered(pa$positive - pb$positive, pa$negative - pb$negative)
    ci <- pa$auc + c(-1, 1) * qnorm(0.975) * sqrt(va)
    z <- (pa$auc - pb$auc) / sqrt(vd); p <- 2 * pnorm(-abs(z))
} else {
    va <- var(a, method = "delong")
    ci <- suppressWarnings(ci.auc(a, method = "delong"))[c(1, 3)]
    test <- suppressWarnings(roc.test(a, b, method = "delong", paired = TRUE))
    z <- test$statistic; p <- test$p.value
    vd <- va + var(b, method = "delong") - 2 * cov(a, b, method = "delong")
}
say("auc_a", auc(a)); say("auc_b", auc(b)); say("se_a", sqrt(va))
say("low_a", max(ci[1], 0)); say("high_a", min(ci[2], 1))
say("se_difference", sqrt(vd))
say("z", if (vd > 1e-20) z else NaN); say("p", if (vd > 1e-20) p else NaN)

best <- coords(a, "best", best.method = "youden", ret = c("threshold", "sensitivity", "specificity"), transpose = FALSE)
best <- best[which.min(best$threshold), ]
say("youden", max(best$threshold, 0)); say("youden_sensitivity", best$sensitivity)
say("youden_specificity", best$specificity)
every <- coords(a, "all", ret = c("threshold", "sensitivity", "specificity"), transpose = FALSE)
every <- every[every$sensitivity >= 0.9 - 1e-12, ]
fixed <- every[which.max(every$threshold), ]
say("fixed", max(fixed$threshold, 0)); say("fixed_sensitivity", fixed$sensitivity)
say("fixed_specificity", fixed$specificity)
