/* .npy files: there and back, as NumPy writes them, and damaged. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/npy.h"
#include "tests/check.h"

static const float numbers[6] = {1, -2, 3.5f, 0, 1e-9f, 7};

static void arrays_survive_the_way_there_and_back(void)
{
    fm_buf b = FM_BUF_INIT;
    fm_npy a;
    fm_err err = FM_ERR_INIT;

    for (int rank = 0; rank <= FM_NPY_RANK; rank++) {
        const int64_t dims[FM_NPY_RANK] = {rank > 0 ? 2 : 1, rank > 1 ? 3 : 1, 1, 1, 1, 1, 1, 1};
        size_t n = rank == 0 ? 1 : rank == 1 ? 2 : 6;

        b.size = 0;
        fm_npy_write(FM_NPY_F32, rank, dims, numbers, &b);
        CHECK_INT((b.size - n * 4) % 64, 0);
        REQUIRE(fm_npy_is(b.data, b.size) && fm_npy_read(b.data, b.size, "x", &a, &err) == 0);
        CHECK(a.type == FM_NPY_F32 && a.rank == rank && a.count == n);
        CHECK(memcmp(a.dims, dims, (size_t)rank * sizeof *dims) == 0 && memcmp(a.data, numbers, n * 4) == 0);
    }
    fm_buf_fini(&b);
}

static fm_buf by_hand(uint8_t major, const char *header, size_t data)
{
    fm_buf b = FM_BUF_INIT;

    fm_buf_put(&b, "\x93NUMPY", 6);
    fm_buf_u8(&b, major);
    fm_buf_u8(&b, 0);
    if (major == 1)
        fm_buf_u16(&b, (uint16_t)strlen(header));
    else
        fm_buf_u32(&b, (uint32_t)strlen(header));
    fm_buf_put(&b, header, strlen(header));
    for (size_t i = 0; i < data; i++)
        fm_buf_u8(&b, (uint8_t)i);
    return b;
}

static void headers_are_read_or_refused(void)
{
    static const struct {
        uint8_t major;
        const char *header;
        size_t data;
        int rc;
    } cases[] = {{1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n", 24, 0},
                 {2, "{'shape': (3,), 'fortran_order': False, 'descr': '<i8'}\n", 24, 0},
                 {1, "{'descr': '<f4', 'fortran_order': False, 'shape': (), }", 4, 0},
                 {3, "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", 4, -EBADMSG},
                 {1, "{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }", 8, -ENOTSUP},
                 {1, "{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }", 4, -ENOTSUP},
                 {1, "{'descr': '<f4', 'fortran_order': True, 'shape': (1,), }", 4, -ENOTSUP},
                 {1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", 4, -EBADMSG},
                 {1, "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", 4, -EBADMSG},
                 {1, "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }", 0, -EBADMSG},
                 {1, "{'descr': '<f4', 'fortran_order': False, 'shape': (1, ", 4, -EBADMSG},
                 {1, "", 4, -EBADMSG}};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fm_buf b = by_hand(cases[i].major, cases[i].header, cases[i].data);
        fm_err err = FM_ERR_INIT;
        fm_npy a;
        int rc = fm_npy_read(b.data, b.size, "x.npy", &a, &err);

        if (rc != cases[i].rc || (rc && !strstr(err.text, "x.npy")))
            check_failed(__FILE__, __LINE__, "%s: %d \"%s\", expected %d", cases[i].header, rc, err.text, cases[i].rc);
        fm_buf_fini(&b);
    }
}

static void cut_files_are_refused(void)
{
    fm_buf b = FM_BUF_INIT;
    fm_npy a;

    fm_npy_write(FM_NPY_F32, 2, (const int64_t[]){2, 3}, numbers, &b);
    for (size_t n = 0; n < b.size; n++) {
        uint8_t *copy = malloc(n ? n : 1);

        REQUIRE(copy != NULL);
        memcpy(copy, b.data, n);
        CHECK_INT(fm_npy_read(copy, n, "x", &a, NULL), -EBADMSG);
        free(copy);
    }
    fm_buf_fini(&b);
}

CHECK_MAIN(CHECK_CASE(arrays_survive_the_way_there_and_back), CHECK_CASE(headers_are_read_or_refused),
           CHECK_CASE(cut_files_are_refused))
