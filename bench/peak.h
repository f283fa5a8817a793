/* What one core of this machine can do at most. */
#ifndef FM_BENCH_PEAK_H
#define FM_BENCH_PEAK_H

/* Multiplications and additions a second, f32, from registers alone. */
double peak_flops(void);
/* Bytes a second read from memory, one after another. */
double peak_bytes(void);
/* Processor time, in seconds: what others run on the same core does not count. */
double peak_seconds(void);

#endif
