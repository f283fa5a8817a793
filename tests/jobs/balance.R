# Makes expected_balance.tsv with MatchIt 4.5.1 (R 4.2.2):  Rscript tests/jobs/balance.R > tests/jobs/expected_balance.tsv
# People come from a generator that any language has; three matchings of them and what MatchIt's summary says of each.
library(MatchIt)
x <- 12345
draw <- function(n) { x <<- (x * 69069 + 1) %% 2^32; floor(x / 65536) %% n }
people <- data.frame(treat = integer(), female = integer(), age = numeric())
for (i in 1:240) {
    treat <- as.integer(i <= 60)
    female <- as.integer(draw(100) < if (treat) 62 else 45)
    age <- if (treat) 30 + draw(100) / 2 else 18 + draw(130) / 2
    people[i, ] <- list(treat, female, age)
}
people$band <- cut(people$age, c(0, 40, 60, 120), right = FALSE)
say <- function(...) cat(paste(c(...), collapse = "\t"), "\n", sep = "")
f <- function(v) sprintf("%.17g", v)
for (i in seq_len(nrow(people)))
    say("person", people$treat[i], people$female[i], f(people$age[i]))
tell <- function(name, m) {
    mm <- m$match.matrix
    for (r in rownames(mm)) for (c in mm[r, ]) if (!is.na(c))
        say("pair", name, as.integer(r) - 1, as.integer(c) - 1)
    s <- summary(m, standardize = TRUE, addlvariables = ~ age + factor(female), data = people)
    rows <- c(age = "age", female = "factor(female)1", male = "factor(female)0")
    for (v in names(rows)) {
        say("all", name, v, f(s$sum.all[rows[v], 1:6]))
        say("matched", name, v, f(s$sum.matched[rows[v], 1:7]))
    }
    say("size", name, f(s$nn["Matched (ESS)", "Control"]), s$nn["Matched", ])
}
go <- function(...) suppressWarnings(matchit(treat ~ age, data = people, method = "nearest", distance = people$age,
                                             exact = ~ female + band, ...))
tell("one", go())
tell("two", go(ratio = 2, caliper = 3, std.caliper = FALSE))
tell("shared", go(ratio = 2, replace = TRUE))
