#include "worker/plant.h"

#include <math.h>
#include <stddef.h>

/* In parts of the chip's side. */
#define EYE_LEFT 0.313
#define EYE_RIGHT 0.670
#define EYE_Y 0.307
#define EYE_SIGMA (18.0 / 150)
#define TINT_SIGMA (45.0 / 150)

static const struct { const char *name, *unit; } effects[FM_PLANT_COUNT] = {
    [FM_PLANT_WARP] = {"warp", "pixels"},
    [FM_PLANT_TINT] = {"tint", "levels"},
};

const char *fm_plant_name(int effect)
{
    return effects[effect].name;
}

const char *fm_plant_unit(int effect)
{
    return effects[effect].unit;
}

static double bell(double dx, double dy, double sigma)
{
    return exp(-(dx * dx + dy * dy) / (2 * sigma * sigma));
}

static uint8_t level(double v)
{
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v + 0.5);
}

static void warp(double size, const uint8_t *chip, int side, int x, int y, uint8_t *out)
{
    double u = (x + 0.5) / side, v = (y + 0.5) / side;
    double shift = size * side / 150 * (bell(u - EYE_RIGHT, v - EYE_Y, EYE_SIGMA) - bell(u - EYE_LEFT, v - EYE_Y, EYE_SIGMA));
    double from = fmin(fmax(x - shift, 0), side - 1);
    int left = (int)from, right = left + 1 < side ? left + 1 : left;
    const uint8_t *row = chip + (size_t)y * (size_t)side * 3;

    for (int c = 0; c < 3; c++)
        out[c] = level(row[3 * left + c] + (from - left) * (row[3 * right + c] - row[3 * left + c]));
}

static void tint(double size, const uint8_t *chip, int side, int x, int y, uint8_t *out)
{
    const uint8_t *rgb = chip + ((size_t)y * (size_t)side + (size_t)x) * 3;
    double by = size * bell((x + 0.5) / side - 0.5, (y + 0.5) / side - 0.5, TINT_SIGMA);

    out[0] = level(rgb[0] + by);
    out[1] = rgb[1];
    out[2] = level(rgb[2] - by);
}

void fm_plant(fm_plant_effect effect, double size, const uint8_t *chip, int side, uint8_t *out)
{
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++, out += 3)
            (effect == FM_PLANT_WARP ? warp : tint)(size, chip, side, x, y, out);
}
