/* Patches that are hidden, and the parts of a face that they hide. */
#include "worker/occlude.h"

#include <stdlib.h>

#include "tests/check.h"
#include "worker/face/regions.h"

enum { SIDE = 150, GRID = 10 };

static void a_patch_hides_its_place_and_no_other(void)
{
    static uint8_t chip[SIDE * SIDE * 3], out[SIDE * SIDE * 3];
    const uint32_t cell = 4 * GRID + 6;     /* its middle is 97.5, 67.5 */

    for (size_t i = 0; i < sizeof chip; i++)
        chip[i] = i / 3 % 2 ? 200 : 100;
    fm_occlude(chip, SIDE, GRID, cell, out);
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) {
            double dx = fabs(x + 0.5 - 97.5), dy = fabs(y + 0.5 - 67.5), away = fmax(dx, dy);
            int was = chip[3 * (y * SIDE + x)], is = out[3 * (y * SIDE + x)];

            if (away < 11)
                CHECK_INT(is, 150);
            else if (away > 19)
                CHECK_INT(is, was);
            else
                CHECK(abs(is - 150) <= abs(was - 150));
        }
    CHECK_NEAR(fm_occlude_share(SIDE, GRID, cell, 97, 67), 1, 0);
    CHECK_NEAR(fm_occlude_share(SIDE, GRID, cell, 112, 67), 0.5, 0.1);      /* half on the patch's edge */
    CHECK_NEAR(fm_occlude_share(SIDE, GRID, cell, 5, 67), 0, 0);
}

/* A face of round figures. */
static void set_points(double p[68][2])
{
    for (int i = 0; i <= 16; i++) {
        double a = acos(-1.0) * i / 16;

        p[i][0] = 75 - 60 * cos(a);
        p[i][1] = 50 + 85 * sin(a);
    }
    for (int i = 0; i < 5; i++) {
        p[17 + i][0] = 28 + 8 * i;
        p[22 + i][0] = 90 + 8 * i;
        p[17 + i][1] = p[22 + i][1] = 38;
        p[31 + i][0] = 65 + 5 * i;
        p[31 + i][1] = 86;
    }
    for (int i = 0; i < 4; i++) {
        p[27 + i][0] = 75;
        p[27 + i][1] = 50 + 9 * i;
    }
    for (int i = 0; i < 6; i++)
        for (int side = 0; side < 2; side++) {
            p[36 + 6 * side + i][0] = 45 + 60 * side - 10 * cos(acos(-1.0) * i / 3);
            p[36 + 6 * side + i][1] = 52 - 4 * sin(acos(-1.0) * i / 3);
        }
    for (int i = 0; i < 20; i++) {
        p[48 + i][0] = 75 - 20 * cos(acos(-1.0) * i / 6);
        p[48 + i][1] = 105 - 7 * sin(acos(-1.0) * i / 6);
    }
}

static void parts_of_a_face_have_their_names(void)
{
    static const struct { int x, y; const char *name; } places[] = {
        {45, 52, "eyes"}, {105, 52, "eyes"}, {40, 38, "brows"}, {75, 30, "forehead"}, {75, 78, "nose"}, {75, 105, "mouth"},
        {75, 96, "mouth"}, {75, 125, "jaw"}, {35, 80, "cheeks"}, {115, 80, "cheeks"}, {2, 2, "background"}, {75, 147, "background"},
    };
    static uint8_t region[SIDE * SIDE];
    static double p[68][2];

    set_points(p);
    fm_regions_fill((const double (*)[2])p, SIDE, region);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        CHECK_STR(fm_region_name(region[places[i].y * SIDE + places[i].x]), places[i].name);
}

CHECK_MAIN(CHECK_CASE(a_patch_hides_its_place_and_no_other), CHECK_CASE(parts_of_a_face_have_their_names))
