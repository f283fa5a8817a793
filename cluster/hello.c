#include "cluster/hello.h"

#include <mpi.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"

int fm_hello_main(const char *path)
{
    int rank, local_rank, mine[2] = {1, 0}, all[2] = {0, 0}, rc = 0;
    char line[64];
    fm_err err = FM_ERR_INIT;
    MPI_Comm node;

    MPI_Init(NULL, NULL);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
    MPI_Comm_rank(node, &local_rank);
    mine[1] = local_rank == 0;
    MPI_Reduce(mine, all, 2, MPI_INT, MPI_SUM, 0, MPI_COMM_WORLD);
    if (rank == 0) {
        snprintf(line, sizeof line, "ranks %d hosts %d\n", all[0], all[1]);
        rc = fm_file_write(path, line, strlen(line), &err);
        if (rc != 0)
            fprintf(stderr, "facemill: %s\n", err.text);
    }
    MPI_Comm_free(&node);
    MPI_Finalize();
    return rc == 0 ? 0 : 4;
}
