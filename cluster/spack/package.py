# A Spack recipe.  It builds from a source folder, nothing is downloaded:
#     spack repo create facemill-repo && mkdir -p facemill-repo/packages/facemill
#     cp cluster/spack/package.py facemill-repo/packages/facemill/ && spack repo add facemill-repo
#     spack dev-build facemill@0.1.0
# Model files come by ./setup --models DIR, or set FACEMILL_MODELS.
from spack.package import *


class Facemill(MakefilePackage):
    """Folders of face photographs to an evaluated study, on MPI, ZeroMQ and LMDB."""

    license("Apache-2.0")

    version("0.1.0")

    depends_on("c", type="build")
    depends_on("gmake", type="build")
    depends_on("pkgconfig", type="build")
    depends_on("mpi")
    depends_on("libsodium")
    depends_on("lmdb")
    depends_on("libzmq +libsodium")     # CURVE
    depends_on("openblas")
    depends_on("libpng")
    depends_on("zlib-api")
    depends_on("libjpeg-turbo")
    depends_on("jansson")
    depends_on("libyaml")

    def install(self, spec, prefix):
        make("install", "PREFIX=" + prefix, "MPICC=" + spec["mpi"].mpicc)
