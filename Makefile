# facemill: one program and its tests.  `make help` says what there is.
#
#   CC=clang            another compiler (mpicc is told to use it too)
#   SAN=address,undefined   sanitizers (or SAN=thread)     MODE=debug   no optimisation, more checks
#   V=1                 show the commands
# Each combination builds into a folder of its own.

CC      := $(if $(filter default,$(origin CC)),gcc,$(CC))
MPICC   ?= mpicc
PREFIX  ?= /usr/local
DESTDIR ?=
MODE    ?= release
SAN     ?=
V       ?=

comma   := ,
VARIANT := $(MODE)$(if $(filter-out gcc,$(CC)),-$(notdir $(CC)))$(if $(SAN),-$(subst $(comma),-,$(SAN)))
B       := build/$(VARIANT)
Q       := $(if $(V),,@)
export OMPI_CC := $(CC)
export MPICH_CC := $(CC)

PACKAGES := libsodium lmdb libzmq openblas libpng zlib libjpeg jansson yaml-0.1
PKG_CFLAGS := $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
PKG_LIBS := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null)
VERSION := 0.1.0

OPTIMISE := $(if $(filter debug,$(MODE)),-O1 -DFM_DEBUG,-O3)
# No contraction: a product and a sum are fused where the source says so, never
# by the compiler's choice, so that gcc, clang and every -O level agree.
CFLAGS  := -std=c11 -D_XOPEN_SOURCE=700 -DFM_VERSION='"$(VERSION)"' $(OPTIMISE) -g -ffp-contract=off \
           -fno-math-errno -Wall -Wextra -Werror -Wstrict-prototypes -Wmissing-prototypes -Wshadow \
           -I. $(PKG_CFLAGS) $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer)
LDFLAGS := $(if $(SAN),-fsanitize=$(SAN))
LDLIBS  := $(PKG_LIBS) -lpthread -lm
AVX2    := -mavx2 -mfma -mf16c
AVX512  := -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mavx2 -mf16c -mprefer-vector-width=512

LIB_SRC  := $(filter-out jobs/main.c,$(wildcard base/*.c proto/*.c storage/*.c worker/*.c worker/*/*.c \
              coordinator/*.c coordinator/*/*.c cluster/*.c jobs/*.c jobs/*/*.c))
LIB_OBJ  := $(LIB_SRC:%.c=$B/%.o)
TEST_SRC := $(wildcard tests/*/test_*.c)
TEST_BIN := $(TEST_SRC:%.c=$B/%)
HEADERS  := $(wildcard */*.h */*/*.h)

.PHONY: all tests check check-unit check-system check-peers check-valgrind soak demo bench bench-networks fuzz lint install clean help
.DELETE_ON_ERROR:
.SECONDARY:

all: $B/facemill  ## build the program (default)

$B/facemill: $B/jobs/main.o $B/libfacemill.a
	@echo "  LINK  $@"
	$Q$(MPICC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$B/libfacemill.a: $(LIB_OBJ)
	$Qrm -f $@ && ar rcs $@ $^

$B/cluster/%.o: cluster/%.c
	@echo "  MPICC $<"
	$Qmkdir -p $(@D) && $(MPICC) $(CFLAGS) -MMD -MP -c -o $@ $<

$B/tests/cluster/%.o: tests/cluster/%.c
	@echo "  MPICC $<"
	$Qmkdir -p $(@D) && $(MPICC) $(CFLAGS) -MMD -MP -c -o $@ $<

$B/%_avx2.o: %_avx2.c
	@echo "  CC    $<"
	$Qmkdir -p $(@D) && $(CC) $(CFLAGS) $(AVX2) -MMD -MP -c -o $@ $<

$B/%_avx512.o: %_avx512.c
	@echo "  CC    $<"
	$Qmkdir -p $(@D) && $(CC) $(CFLAGS) $(AVX512) -MMD -MP -c -o $@ $<

$B/%.o: %.c
	@echo "  CC    $<"
	$Qmkdir -p $(@D) && $(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

$B/tests/%: $B/tests/%.o $B/tests/check.o $B/tests/oracle.o $B/tests/pictures.o $B/tests/onnx_models.o $B/libfacemill.a
	@echo "  LINK  $@"
	$Q$(MPICC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LDLIBS)

$B/tests/image/test_memory $B/tests/jobs/test_memory $B/tests/learn/test_memory $B/tests/jobs/test_cohort_memory: $B/tests/alloc.o
$B/tests/learn/test_linear: LDLIBS += -llinear
$B/tests/coordinator/test_build $B/tests/coordinator/test_quarantine $B/tests/coordinator/test_repair $B/tests/coordinator/test_hostile: $B/tests/coordinator/crew.o $B/tests/coordinator/bench.o
$B/tests/coordinator/test_conversation $B/tests/coordinator/test_conversation_records $B/tests/coordinator/test_conversation_random: $B/tests/coordinator/talk.o
$B/tests/coordinator/test_simulation: $B/tests/coordinator/memory.o $B/tests/coordinator/simulated.o

TEST_TOOLS := $B/tests/json $B/tests/failing.so $B/tests/onnx_file $B/tests/mark
SYSTEM_TESTS := $(wildcard tests/system/test_*.sh)
SYSTEM_ENV = FACEMILL=$(CURDIR)/$B/facemill JSON=$(CURDIR)/$B/tests/json BUILD=$(CURDIR)/$B

tests: $(TEST_BIN) $(TEST_TOOLS)

check: $B/facemill tests lint  ## the whole test suite; closes with one line of counts
	@$(SYSTEM_ENV) sh tests/run $(TEST_BIN) $(SYSTEM_TESTS)

check-unit: $(TEST_BIN)  ## unit tests only; ONLY=worker/image for one folder
	@sh tests/run $(filter $B/tests/$(ONLY)%,$(TEST_BIN))

check-system: $B/facemill $(TEST_TOOLS)  ## system tests only; ONLY=name for one
	@$(SYSTEM_ENV) sh tests/run $(wildcard tests/system/test_*$(ONLY)*.sh)

check-peers: $B/tests/peers/cases  ## the network runtime beside onnx and onnxruntime from PyPI; NETWORKS=no for the short half, EXPORTED=yes for torchvision's and timm's exports
	@sh tests/peers/run $B/tests/peers/cases

# What reads keys and bytes, because sanitizers do not see bytes that were never written; not clang's build, whose
# debug information an older valgrind cannot read.
VALGRIND_TESTS := base/test_base proto/test_message proto/test_encoding storage/test_record storage/test_vault

check-valgrind: $(VALGRIND_TESTS:%=$B/tests/%)  ## five small unit tests under valgrind (needs it, and gcc's build)
	@for t in $^; do echo "valgrind $$t"; valgrind -q --error-exitcode=9 --leak-check=full $$t >/dev/null || exit 1; done

# Kills of a segment's writer, of whole runs, histories of the simulator, failing calls,
# sizes of a disk.
SOAK = VERBOSE=1 SEED=$$(date +%s) KILLS=500 WRITER_KILLS=10000 SEEDS=1000000 POINTS=all SIZES=100 CONNECTIONS=100000

soak: $B/facemill $(TEST_TOOLS) $B/tests/storage/test_segment $B/tests/storage/test_verify $B/tests/coordinator/test_simulation $B/tests/coordinator/test_hostile  ## kills by the thousand; takes hours
	@$(SOAK) $(SYSTEM_ENV) sh tests/run $B/tests/storage/test_segment $B/tests/storage/test_verify $B/tests/coordinator/test_simulation $B/tests/coordinator/test_hostile \
	    tests/system/test_kill.sh tests/system/test_failing_calls.sh tests/system/test_full_disk.sh

$B/tests/onnx_file: $B/tests/onnx_file.o $B/tests/onnx_models.o $B/libfacemill.a
	$Q$(MPICC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$B/tests/mark: $B/tests/mark.o $B/libfacemill.a
	$Q$(MPICC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$B/tests/json: $B/tests/json.o
	$Q$(CC) $(LDFLAGS) -o $@ $^ -ljansson

$B/tests/failing.so: tests/failing.c
	$Qmkdir -p $(@D) && $(CC) -std=c11 -O1 -Wall -Wextra -Werror -shared -fPIC -o $@ $< -ldl

# Leaves the generated faces where they are: run again, the study does only what is missing.
demo: $B/facemill  ## a whole study on generated faces
	@[ -f build/demo/study.yaml ] || { rm -rf build/demo; $B/facemill synth --out build/demo --cases 150 --controls 200; }
	@$B/facemill run build/demo/study.yaml

# Fuzzers: their own variant with clang, each started from seeds that a program makes.
FUZZERS := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_SECONDS ?= 10
FUZZ_VARIANT := SAN=address,undefined,fuzzer-no-link CC=clang

fuzz:  ## fuzz the codecs (needs clang), each FUZZ_SECONDS=10 long; ONLY=decode for one
	+$Q$(MAKE) --no-print-directory $(FUZZ_VARIANT) $(addprefix fuzz-,$(filter $(ONLY)%,$(FUZZERS)))

fuzz-%: $B/tests/fuzz/fuzz_% $B/tests/fuzz/seeds
	$Q$B/tests/fuzz/seeds $B/corpus && mkdir -p $B/corpus/$*
	$Qcd $B/corpus && ../tests/fuzz/fuzz_$* -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=1024 -max_len=16384 \
	    -print_final_stats=1 -verbosity=0 -artifact_prefix=$*- $* >$*.log 2>&1 || { cat $*.log; exit 1; }
	@echo "fuzz $*: $$(sed -n 's/^stat::number_of_executed_units: *//p' $B/corpus/$*.log) inputs, no finding"

$B/tests/fuzz/fuzz_%: $B/tests/fuzz/fuzz_%.o $B/libfacemill.a
	@echo "  LINK  $@"
	$Q$(MPICC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LDLIBS)

lint: $(HEADERS:%.h=$B/headers/%.ok) $B/libfacemill.a  ## layers, headers that compile alone, names that are not unique
	@sh tests/lint $B/libfacemill.a

$B/headers/%.ok: %.h
	$Qmkdir -p $(@D) && $(MPICC) $(CFLAGS) -x c -c -o /dev/null -include $< /dev/null && touch $@

# Peers are built for this very processor, so that they are compared at their best, and so is what measures its peak.
$B/bench/dlib_peer.o: bench/dlib_peer.cpp bench/dlib_peer.h
	@echo "  CXX   $<"
	$Qsh bench/peers dlib && mkdir -p $(@D) && $(CXX) -std=c++14 -O3 -march=native -DNDEBUG -I. -c -o $@ $<

$B/bench/peak.o: CFLAGS += -march=native -ffp-contract=fast

$B/bench/bench: $(addprefix $B/bench/,bench.o inputs.o rounds.o peak.o python_peer.o dlib_peer.o) $B/libfacemill.a
	@echo "  LINK  $@"
	$Q$(CXX) $(LDFLAGS) -o $@ $^ -ldlib -lblas -llapack $(LDLIBS)

bench: $B/bench/bench  ## speed beside dlib, ONNX Runtime, face_recognition, by turns on one core; BENCH="--json --rounds 9 --only encoder"
	@sh bench/peers python build/bench/venv
	@OPENBLAS_NUM_THREADS=1 $B/bench/bench $(BENCH)

$B/bench/match: $B/bench/match.o $B/libfacemill.a
	@echo "  LINK  $@"
	$Q$(MPICC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

bench-match: $B/bench/match  ## processor time and memory of matching 100,000 cases with 1,000,000 controls
	@$B/bench/match $(BENCH)

$B/bench/evaluate: $B/bench/evaluate.o $B/libfacemill.a
	@echo "  LINK  $@"
	$Q$(MPICC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LDLIBS)

bench-evaluate: $B/bench/evaluate $B/facemill  ## wall time of the stage evaluate on 16,248 faces; BENCH="2 svm": on two ranks, svm alone
	@$B/bench/evaluate $B/facemill $(BENCH)

$B/bench/storage: $B/bench/storage.o $B/libfacemill.a
	@echo "  LINK  $@"
	$Q$(MPICC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

bench-storage: $B/bench/storage $B/facemill  ## what hashing and encryption cost of a build; BENCH="400 7": photographs, rounds
	@$B/bench/storage $B/facemill $(BENCH)

$B/bench/network_timer: $B/bench/network_timer.o $B/libfacemill.a
	@echo "  LINK  $@"
	$Q$(MPICC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$B/bench/scale.o: bench/scale.c
	@echo "  MPICC $<"
	$Qmkdir -p $(@D) && $(MPICC) $(CFLAGS) -MMD -MP -c -o $@ $<

$B/bench/scale: $B/bench/scale.o $B/libfacemill.a
	@echo "  LINK  $@"
	$Q$(MPICC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$B/bench/restart: $B/bench/restart.o $B/libfacemill.a
	@echo "  LINK  $@"
	$Q$(MPICC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# In memory, so that the coordinator is measured and not the disk: SCALE_DIR=/some/disk for that.
SCALE := 1000000 1000
RESTART := 1000000
SCALING := 2000
SCALE_DIR ?= /dev/shm/facemill-scale

bench-scale: $B/bench/scale  ## one coordinator and 1,000 workers that only talk; codes gathered; SCALE="10000000 1000"
	@$B/bench/scale coordinator $(SCALE) 64 $(SCALE_DIR)
	@$B/bench/scale coordinator 200000 1000 1 $(SCALE_DIR)
	@mpirun --oversubscribe --bind-to none -n 2 $B/bench/scale gather 1000000

bench-restart: $B/bench/restart  ## what a restart takes when everything is done, by stages; RESTART=10000000 photographs
	@$B/bench/restart $(RESTART) $(SCALE_DIR)

bench-scaling: $B/facemill  ## strong and weak scaling of a build on 1, 2 and 4 ranks; SCALING=100: so many photographs
	@sh bench/scaling $(CURDIR)/$B/facemill $(SCALING)

bench-networks: $B/bench/network_timer check-peers  ## speed of whole networks beside onnxruntime, one thread each
	@build/peers/venv/bin/python bench/networks.py $< build/peers/networks resnet50 mobilenet_v2 $(BENCH)

install: $B/facemill  ## install under $(DESTDIR)$(PREFIX)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/facemill/models
	install -m 755 $B/facemill $(DESTDIR)$(PREFIX)/bin/facemill
	install -m 644 models/README.md $(wildcard models/*.f32 models/*.onnx models/*.txt models/*.tsv) $(DESTDIR)$(PREFIX)/share/facemill/models/
	install -d $(DESTDIR)$(PREFIX)/share/facemill/modulefiles/facemill
	sed 's|@PREFIX@|$(abspath $(PREFIX))|; s|@VERSION@|$(VERSION)|' cluster/modulefile \
	    >$(DESTDIR)$(PREFIX)/share/facemill/modulefiles/facemill/$(VERSION)

clean:  ## remove everything that was built
	rm -rf build

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-20s %s\n", $$1, $$2}'

-include $(wildcard $(patsubst %,$B/%/*.d,. * */*))
