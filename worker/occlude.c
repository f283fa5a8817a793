#include "worker/occlude.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#define FADE 0.25       /* of a cell, to either side of a patch's edge */

/* Along one axis: cell `at` of the grid, and the middle of pixel i. */
static double share_along(int side, uint32_t grid, uint32_t at, int i)
{
    double cell = (double)side / grid, away = fabs(i + 0.5 - (at + 0.5) * cell) / cell;
    double t = (1 + FADE - away) / (2 * FADE);

    return t < 0 ? 0 : t > 1 ? 1 : t;
}

double fm_occlude_share(int side, uint32_t grid, uint32_t cell, int x, int y)
{
    return share_along(side, grid, cell % grid, x) * share_along(side, grid, cell / grid, y);
}

static void mean_colour(const uint8_t *chip, size_t pixels, double out[3])
{
    uint64_t sum[3] = {0, 0, 0};

    for (size_t i = 0; i < 3 * pixels; i++)
        sum[i % 3] += chip[i];
    for (int c = 0; c < 3; c++)
        out[c] = (double)sum[c] / (double)pixels;
}

void fm_occlude(const uint8_t *chip, int side, uint32_t grid, uint32_t cell, uint8_t *out)
{
    size_t pixels = (size_t)side * (size_t)side;
    double colour[3];

    mean_colour(chip, pixels, colour);
    memcpy(out, chip, 3 * pixels);
    for (int y = 0; y < side; y++) {
        double down = share_along(side, grid, cell / grid, y);

        for (int x = 0; down > 0 && x < side; x++) {
            double share = down * share_along(side, grid, cell % grid, x);
            uint8_t *to = out + 3 * ((size_t)y * (size_t)side + (size_t)x);

            for (int c = 0; share > 0 && c < 3; c++)
                to[c] = (uint8_t)(to[c] + share * (colour[c] - to[c]) + 0.5);
        }
    }
}
