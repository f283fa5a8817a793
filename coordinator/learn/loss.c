/* Losses in float, written so that the compiler makes vector code of them: no
 * branches, no calls.  The exponential and the logarithm are series of our own,
 * because the C library's are calls and differ between machines; each is good to
 * some 1e-7 of its value, which is what the float scores carry. */
#include "coordinator/learn/loss.h"

#include <stdint.h>
#include <string.h>

/* exp(-a), a >= 0: 2^k times a polynomial over half a binary digit either way. */
static inline float exp_minus(float a)
{
    const float magic = 12582912.0f;    /* 1.5 * 2^23: adding it rounds to a whole number */
    float v = a < 87.0f ? -a : -87.0f, k = (v * 1.44269504f + magic) - magic;
    float f = (v - k * 0.693359375f) + k * 2.12194440e-4f, scale;
    float p = 1.0f + f * (1.0f + f * (0.5f + f * (1.6666667e-1f + f * (4.1666667e-2f + f * (8.3333333e-3f +
              f * 1.3888889e-3f)))));
    uint32_t bits = (uint32_t)((int32_t)k + 127) << 23;

    memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

/* log(1 + e), e in [0, 1]: 2 atanh(e / (2 + e)). */
static inline float log_1_plus(float e)
{
    float s = e / (2.0f + e), q = s * s;

    return 2.0f * s * (1.0f + q * (0.33333333f + q * (0.2f + q * (0.14285714f + q * (0.11111111f + q * (0.09090909f +
           q * 0.07692308f))))));
}

static void logistic(const float *restrict z, const float *restrict y, const float *restrict cost, size_t n,
                     float *restrict slope, float *restrict value)
{
    for (size_t i = 0; i < n; i++) {
        float m = y[i] * z[i], a = m < 0.0f ? -m : m, e = exp_minus(a);
        float wrong = (m < 0.0f ? 1.0f : e) / (1.0f + e);     /* probability of the other class */

        value[i] = cost[i] * (log_1_plus(e) + (m < 0.0f ? a : 0.0f));
        slope[i] = -cost[i] * y[i] * wrong;
    }
}

static void squared_hinge(const float *restrict z, const float *restrict y, const float *restrict cost, size_t n,
                          float *restrict slope, float *restrict value)
{
    for (size_t i = 0; i < n; i++) {
        float gap = 1.0f - y[i] * z[i], open = gap > 0.0f ? gap : 0.0f;

        value[i] = cost[i] * open * open;
        slope[i] = -2.0f * cost[i] * y[i] * open;
    }
}

double fm_loss_run(fm_loss loss, const float *z, const float *y, const float *cost, size_t n, float *slope)
{
    float value[FM_LOSS_ROWS];
    double part[8] = {0};

    if (loss == FM_LOSS_LOGISTIC)
        logistic(z, y, cost, n, slope, value);
    else
        squared_hinge(z, y, cost, n, slope, value);
    for (size_t i = 0; i < n; i++)
        part[i % 8] += (double)value[i];
    return ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]));
}

void fm_loss_curve(fm_loss loss, const float *z, const float *y, const float *cost, size_t n, float *curve)
{
    for (size_t i = 0; loss == FM_LOSS_LOGISTIC && i < n; i++) {
        float e = exp_minus(z[i] < 0.0f ? -z[i] : z[i]);

        curve[i] = cost[i] * e / ((1.0f + e) * (1.0f + e));
    }
    for (size_t i = 0; loss == FM_LOSS_SQUARED_HINGE && i < n; i++)
        curve[i] = y[i] * z[i] < 1.0f ? 2.0f * cost[i] : 0.0f;
}
