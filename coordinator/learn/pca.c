/* Components are eigenvectors of the correlation matrix, d x d: cheaper than a
 * decomposition of the rows as long as codes are shorter than cohorts.  LAPACK
 * comes with OpenBLAS; power iteration would have to guess when it is done. */
#include "coordinator/learn/pca.h"

#include <cblas.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

/* Eigenvalues, ascending, and eigenvectors (columns, over a) of a symmetric matrix; LAPACK, in Fortran's convention. */
extern void dsyev_(const char *jobz, const char *uplo, const int *n, double *a, const int *lda, double *w, double *work,
                   const int *lwork, int *info);

/* Rows as the heads standardise them: (x - mean) / standard deviation. */
static void standardise(const float *x, size_t n, size_t d, double *z)
{
    for (size_t k = 0; k < d; k++) {
        double mean = 0, square = 0, scale;

        for (size_t i = 0; i < n; i++)
            mean += x[i * d + k];
        mean /= (double)n;
        for (size_t i = 0; i < n; i++)
            square += (x[i * d + k] - mean) * (x[i * d + k] - mean);
        scale = sqrt(square / (double)n);
        scale = scale > 1e-12 * (1 + fabs(mean)) ? 1 / scale : isfinite(scale) ? 0 : NAN;
        for (size_t i = 0; i < n; i++)
            z[i * d + k] = (x[i * d + k] - mean) * scale;
    }
}

/* Eigenvectors are known up to their sign. */
static void set_sign(double *v, size_t d)
{
    size_t largest = 0;

    for (size_t k = 1; k < d; k++)
        if (fabs(v[k]) > fabs(v[largest]))
            largest = k;
    if (v[largest] < 0)
        for (size_t k = 0; k < d; k++)
            v[k] = -v[k];
}

/* a is overwritten by eigenvectors, value by eigenvalues. */
static int decompose(double *a, size_t d, double *value, fm_err *err)
{
    int order = (int)d, room = 40 * order, info = 0;
    double *scratch = malloc((size_t)room * sizeof *scratch);

    if (!scratch)
        return fm_fail_nomem(err, "principal components", (size_t)room * sizeof *scratch);
    dsyev_("V", "U", &order, a, &order, value, scratch, &room, &info);
    free(scratch);
    return info ? fm_fail(err, -EDOM, "principal components: LAPACK's dsyev gave %d", info) : 0;
}

static int project(const double *z, size_t n, size_t d, double *a, double *value, double *xy, double explained[2],
                   fm_err *err)
{
    double total = 0;
    int rc;

    cblas_dsyrk(CblasColMajor, CblasUpper, CblasNoTrans, (int)d, (int)n, 1.0 / (double)n, z, (int)d, 0, a, (int)d);
    for (size_t k = 0; k < d; k++)
        total += a[k * d + k];
    if (!(total > 0))
        return fm_fail(err, -EDOM, "principal components: codes are all equal, or not finite");
    rc = decompose(a, d, value, err);
    if (rc != 0)
        return rc;
    for (size_t c = 0; c < 2; c++) {
        double *v = a + (d - 1 - c) * d;

        set_sign(v, d);
        explained[c] = fmax(value[d - 1 - c], 0) / total;
        cblas_dgemv(CblasRowMajor, CblasNoTrans, (int)n, (int)d, 1, z, (int)d, v, 1, 0, xy + c, 2);
    }
    return 0;
}

int fm_pca(const float *x, size_t n, size_t d, double *xy, double explained[2], fm_err *err)
{
    double *z, *a, *value;
    int rc;

    if (n < 3 || n > INT32_MAX || d < 2 || d > FM_PCA_MAX_COLUMNS)
        return fm_fail(err, -EINVAL, "principal components of %zu codes of %zu numbers cannot be made", n, d);
    z = malloc(n * d * sizeof *z);
    a = calloc(d * d, sizeof *a);
    value = malloc(d * sizeof *value);
    if (z && a && value) {
        standardise(x, n, d, z);
        rc = project(z, n, d, a, value, xy, explained, err);
    } else {
        rc = fm_fail_nomem(err, "principal components", (n * d + d * d) * sizeof *z);
    }
    free(z);
    free(a);
    free(value);
    return rc;
}
