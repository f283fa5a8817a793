#include "worker/chip_points.h"

#include <errno.h>
#include <math.h>

#include "worker/face/chip.h"

/* The chip's transform undone. */
int fm_chip_points(const fm_photo_face *face, int size, double padding, double (*out)[2], fm_err *err)
{
    fm_point p[FM_POINTS_MAX];
    fm_similarity t;
    double det;
    int rc;

    for (int i = 0; i < face->n_points; i++)
        p[i] = (fm_point){face->points[i][0], face->points[i][1]};
    if ((rc = fm_chip_transform(p, face->n_points, size, padding, &t, err)) != 0)
        return rc;
    det = t.m[0][0] * t.m[1][1] - t.m[0][1] * t.m[1][0];
    if (!(fabs(det) > 1e-12))
        return fm_fail(err, -EINVAL, "landmarks that lie on one point");
    for (int i = 0; i < face->n_points; i++) {
        double x = p[i].x - t.t[0], y = p[i].y - t.t[1];

        out[i][0] = (t.m[1][1] * x - t.m[0][1] * y) / det;
        out[i][1] = (t.m[0][0] * y - t.m[1][0] * x) / det;
    }
    return 0;
}
