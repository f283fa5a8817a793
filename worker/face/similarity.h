/* The similarity transform that best maps one point set to another, in the
 * least-squares sense (Umeyama 1991, "Least-squares estimation of
 * transformation parameters between two point patterns", eqs. 34 to 43). */
#ifndef FM_WORKER_FACE_SIMILARITY_H
#define FM_WORKER_FACE_SIMILARITY_H

typedef struct {
    double m[2][2];     /* scale times rotation */
    double t[2];        /* translation: to = m * from + t */
} fm_similarity;

/* from, to: [n][2] x, y.  n >= 2; points that all coincide give scale 1 and no rotation. */
void fm_similarity_find(const double (*from)[2], const double (*to)[2], int n, fm_similarity *out);

/* The linear part alone, for shapes f32 [n][2]. */
void fm_similarity_between(const float *from, const float *to, int n, double m[2][2]);

#endif
