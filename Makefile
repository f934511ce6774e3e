# One Makefile, not recursive: every rule is here.  A profile (release, debug,
# asan, tsan, fuzz) of a compiler builds into build/<compiler>-<profile>/.
#
#   make             build/rundlet           make check   unit and conform tests, in seconds
#   make run         build it and serve      make gate    what a change must pass
#   make test        every test there is     make fuzz    FUZZ_SECONDS for each parser
#   make install     PREFIX, DESTDIR         make bench   the figures in docs
#   make docs        docs/operations.md      make format  clang-format, in place
#   make screenshots  of the web page, into build/screenshots
#   make bench-growth  the same with ten million runs, in minutes and gigabytes
#   make bench-production  nodes with a bucket, PostgreSQL and Redis
#
#   make PROFILE=asan check                  make CC=clang check
ifeq ($(origin CC),default)
CC := gcc
endif
PROFILE      ?= release
OUT          := build/$(notdir $(firstword $(CC)))-$(PROFILE)
JOBS         ?= $(shell nproc 2>/dev/null || echo 2)
FUZZ_SECONDS ?= 15
GROWTH_RUNS  ?= 10000000
PREFIX       ?= /usr/local
LLHTTP       ?= /usr/share/llhttp
CLANG        := $(findstring clang,$(CC))

# --- flags ------------------------------------------------------------------

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion \
        -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wvla -Wundef \
        -Wpointer-arith -Wcast-align -Wcast-qual -Wwrite-strings -Wformat=2 \
        -Wimplicit-fallthrough -Wswitch-enum -Wdouble-promotion -Wnull-dereference \
        $(if $(CLANG),,-Wno-format-truncation) -Werror
# gcc's flow warnings see paths that only the instrumentation made.
GUESS := $(if $(CLANG),,-Wno-null-dereference -Wno-maybe-uninitialized -Wno-stringop-overflow)

HARDEN := -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection -fPIE \
          $(if $(filter x86_64,$(shell uname -m)),-fcf-protection)
SANE   := -fno-sanitize-recover=all -fno-omit-frame-pointer

OPT-release := -O2 -g $(HARDEN)
OPT-debug   := -Og -g3
OPT-asan    := -O1 -g -fsanitize=address,undefined $(SANE) $(GUESS)
OPT-tsan    := -O1 -g -fsanitize=thread $(SANE) $(GUESS)
OPT-fuzz    := -O1 -g -fsanitize=fuzzer-no-link,address,undefined $(SANE)

LINK-release := -pie -Wl,-z,relro,-z,now
LINK-asan    := -fsanitize=address,undefined
LINK-tsan    := -fsanitize=thread
LINK-fuzz    := -fsanitize=address,undefined

ifeq ($(OPT-$(PROFILE)),)
$(error no profile "$(PROFILE)": release, debug, asan, tsan or fuzz)
endif

INCLUDE := -Isrc -Itest -isystem /usr/share/include/llhttp -isystem /usr/include/postgresql
BASE    := -std=c17 -D_GNU_SOURCE -fno-common -pthread $(INCLUDE)
# `.incbin "docs/..."` names files from the root of the repository.
COMPILE  = $(CC) $(BASE) $(WARN) $(OPT-$(PROFILE)) -ffile-prefix-map=$(CURDIR)=. -Wa,-I. \
           $(CPPFLAGS) $(CFLAGS)
# Small libraries are linked in where their archives are there: fewer to start with.
archive_or = $(shell echo 'int main(void) { return 0; }' | $(CC) -x c - -o /dev/null -l:$(1) \
             2>/dev/null && echo -l:$(1) || echo $(2))
UV      := $(call archive_or,libuv_a.a,-luv)
HIREDIS := $(call archive_or,libhiredis.a,-lhiredis)
LIBS    := $(UV) $(HIREDIS) -lsqlite3 -lzstd -lz -lxxhash -lutf8proc -lpcre2-8 -lm -ldl
# What measures a database by itself; --as-needed leaves it out elsewhere.
BENCH_LIBS := -lpq
LINK     = $(CC) -pthread $(LINK-$(PROFILE)) -Wl,--as-needed $(LDFLAGS)

# --- files ------------------------------------------------------------------

SRC     := $(sort $(wildcard src/*.c src/*/*.c))
HEADERS := $(sort $(wildcard src/*.h src/*/*.h))
C_FILES := $(SRC) $(HEADERS) $(sort $(wildcard test/lib/*.[ch] test/unit/*.[ch] test/unit/*/*.[ch] \
             test/conform/*.[ch] test/crash/*.c test/fuzz/*.c bench/*.[ch] web/*.c))

objects  = $(patsubst %.c,$(OUT)/%.o,$(1))
programs = $(patsubst %.c,$(OUT)/%,$(sort $(wildcard $(1))))
UNIT    := $(call programs,test/unit/*_test.c test/unit/*/*_test.c)
CONFORM := $(call programs,test/conform/*_conform.c)
CRASH   := $(call programs,test/crash/*.c)
FUZZ    := $(call programs,test/fuzz/*_fuzz.c)
BENCH   := $(call programs,bench/*_bench.c)
# Scripts that are suites; what they import lies in folders below.
E2E     := $(shell grep -ls 'node:test' test/e2e/*.mjs)
# The page, in a browser; and what is pure of it.
PAGE    := $(shell grep -ls 'node:test' test/web/*.mjs)
# Those that are about answers, again with other back ends; those about much at once, or about
# what changes, in production only.  The rest is about HTTP, or looks into the data directory.
ANSWERS := batch_get bytes defects durability get ids ops post search
MUCH    := encodings limits readers cache_changes layers_read langsmith_entities langsmith_filters \
           langsmith_property langsmith_query langsmith_v2 datasets entities histogram query \
           query_steps skeleton tail v2
SCRIPTS := $(E2E) $(PAGE) $(wildcard test/crash/*.mjs test/crash/*.sh) \
           $(foreach m,log+postgres bucket+sqlite production,$(ANSWERS:%=test/e2e/%.mjs@$(m))) \
           $(MUCH:%=test/e2e/%.mjs@production) test/e2e/faults_s3.mjs@bucket+sqlite

LLHTTP_O := $(patsubst %,$(OUT)/llhttp/%.o,llhttp api http)
ARCHIVE  := $(OUT)/server.a
# The web page: made once for all profiles, where there is a Node.
WEB      := build/web/files.c
WEB_FROM := scripts/web $(shell find web -name node_modules -prune -o -type f -print)
TEST_LIB := $(OUT)/test/lib.a
BENCH_LIB := $(OUT)/bench/lib.a
SUB       = --no-print-directory $(if $(findstring -j,$(MAKEFLAGS)),,-j$(JOBS))
SUITES    = TEST_DATA=test/data FUZZ_SECONDS=$(FUZZ_SECONDS) RUNDLET=build/rundlet \
            scripts/runtests -j $(JOBS)

# --- building ---------------------------------------------------------------

all: $(if $(filter gcc-release,$(notdir $(OUT))),build/rundlet,$(OUT)/rundlet)

build/rundlet: build/gcc-release/rundlet
	@ln -f $< $@ 2>/dev/null || cp -f $< $@

$(OUT)/rundlet: $(OUT)/src/main.o $(ARCHIVE)
	@echo "  link $@"
	@$(LINK) -o $@ $^ $(LIBS)

# An archive, so that a test may bring its own fake for a file it does not want.
$(ARCHIVE): $(call objects,$(filter-out src/main.c,$(SRC))) $(LLHTTP_O) $(OUT)/web_files.o
	@rm -f $@ && ar rcsD $@ $^

# Another, so that a program with a main of its own does not get the harness's.
$(TEST_LIB): $(call objects,$(wildcard test/lib/*.c))
	@rm -f $@ && ar rcsD $@ $^

$(BENCH_LIB): $(call objects,$(filter-out %_bench.c,$(wildcard bench/*.c)))
	@rm -f $@ && ar rcsD $@ $^

$(BENCH): %: %.o $(BENCH_LIB) $(TEST_LIB) $(ARCHIVE)
	@$(LINK) -o $@ $^ $(BENCH_LIBS) $(LIBS)

$(UNIT) $(CONFORM) $(CRASH): %: %.o $(TEST_LIB) $(ARCHIVE)
	@$(LINK) -o $@ $^ $(LIBS)

$(FUZZ): %: %.o $(TEST_LIB) $(ARCHIVE)
	@$(LINK) -fsanitize=fuzzer -o $@ $^ $(LIBS)

$(OUT)/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo "  $(notdir $(OUT)) $<"
	@$(COMPILE) -MMD -MP -c -o $@ $<

# Node's HTTP parser comes as sources, which are not ours to warn about.
$(OUT)/llhttp/%.o: $(LLHTTP)/%.c Makefile
	@mkdir -p $(@D)
	@$(COMPILE) -DLLHTTP_STRICT_MODE=1 -w -c -o $@ $<

$(WEB): $(WEB_FROM)
	@scripts/web

$(OUT)/web_files.o: $(WEB) src/api/web_files.h src/api/embed.h Makefile
	@mkdir -p $(@D)
	@$(COMPILE) -c -o $@ $<

# The program as it is without Node, for a test of it.
$(OUT)/no_page/rundlet: $(OUT)/src/main.o $(OUT)/web/no_files.o $(ARCHIVE)
	@mkdir -p $(@D)
	@$(LINK) -o $@ $^ $(LIBS)

# The compiler does not see what a file embeds.
$(call objects,$(shell grep -ls '\.incbin\|embed\.h' $(SRC))): \
    $(wildcard docs/*.json src/*/*.html src/*/migrations/*.sql)

-include $(shell find $(OUT) -name '*.d' 2>/dev/null)

run:
	@scripts/deps build
	@$(MAKE) $(SUB) PROFILE=release CC=gcc build/rundlet
	@exec build/rundlet serve $(ARGS)

# The tables of settings and metrics are in the program; the page is made from it.
docs: build/rundlet
	@build/rundlet docs > build/operations.md && mv build/operations.md docs/operations.md

install: build/rundlet
	install -D -m 755 build/rundlet $(DESTDIR)$(PREFIX)/bin/rundlet
	$(if $(wildcard docs/rundlet.1),\
	  install -D -m 644 docs/rundlet.1 $(DESTDIR)$(PREFIX)/share/man/man1/rundlet.1)
	install -D -m 644 deploy/rundlet.service $(DESTDIR)$(PREFIX)/lib/systemd/system/rundlet.service
	sed -i 's|/usr/local/bin|$(PREFIX)/bin|' $(DESTDIR)$(PREFIX)/lib/systemd/system/rundlet.service

clean:
	rm -rf build

# --- testing ----------------------------------------------------------------

check: check-build
	@$(SUITES) $(UNIT) $(CONFORM)

check-build: $(UNIT) $(CONFORM)
crash-build: $(CRASH)
fuzz-build: $(FUZZ)

# Everything.  What does not compile is a failed suite, so the sum is always said.
ALL_SUITES = make:test-build make:layers make:headers make:format-check make:docs-check \
    $(foreach p,release asan tsan,$(patsubst $(OUT)/%,build/gcc-$(p)/%,$(UNIT) $(CONFORM))) \
    $(patsubst $(OUT)/%,build/clang-fuzz/%,$(FUZZ)) \
    $(patsubst $(OUT)/%,build/gcc-release/%,$(CRASH)) $(SCRIPTS)

test:
	@scripts/deps test
	-@$(MAKE) $(SUB) -k test-build
	@$(SUITES) $(ALL_SUITES)

test-build: test-release test-asan test-tsan test-fuzz
test-release:
	@$(MAKE) $(SUB) CC=gcc PROFILE=release build/rundlet check-build crash-build \
	  build/gcc-release/no_page/rundlet
test-asan test-tsan: test-%:
	@$(MAKE) $(SUB) CC=gcc PROFILE=$* check-build
test-fuzz:
	@$(MAKE) $(SUB) CC=clang PROFILE=fuzz fuzz-build

fuzz: test-fuzz
	@$(SUITES) $(patsubst $(OUT)/%,build/clang-fuzz/%,$(FUZZ))

# http_bench is a server, the floor for wrk; the others measure by themselves.
bench: build/rundlet $(BENCH)
	@scripts/deps bench
	@for b in $(filter-out %/http_bench %/growth_bench %/production_bench,$(BENCH)); do \
	  echo "== $$b"; RUNDLET=build/rundlet $$b || exit 1; done

# With a bucket, PostgreSQL and Redis of its own, in a minute.
bench-production: build/rundlet $(OUT)/bench/production_bench
	@scripts/deps bench
	@RUNDLET=build/rundlet bench/with-servers $(OUT)/bench/production_bench $(ARGS)

# Needs GROWTH_RUNS * 0.5 KB of disk for a while.
bench-growth: build/rundlet $(OUT)/bench/growth_bench
	@RUNDLET=build/rundlet $(OUT)/bench/growth_bench server $(GROWTH_RUNS)
	@RUNDLET=build/rundlet $(OUT)/bench/growth_bench client $(GROWTH_RUNS)

# A picture of every screen, to be looked at.
screenshots: build/rundlet
	@scripts/deps test
	@RUNDLET=build/rundlet node test/web/screenshots.mjs build/screenshots

gate: layers headers format-check docs-check
	@$(MAKE) $(SUB) CC=gcc PROFILE=release build/rundlet tidy check
	@$(MAKE) $(SUB) CC=clang PROFILE=release all check
	@$(MAKE) $(SUB) CC=clang PROFILE=asan all check
	@$(MAKE) $(SUB) CC=gcc PROFILE=tsan all check
	@echo "gate passed"

layers:
	@scripts/layers

# Every header compiles on its own.
headers:
	@printf '%s\n' $(HEADERS:src/%=%) | xargs -P $(JOBS) -I{} sh -c \
	  'printf "#include \"%s\"\nextern int one_declaration;\n" {} | \
	   $(CC) $(BASE) $(WARN) -fsyntax-only -x c - || { echo "{} does not stand alone"; exit 1; }'
	@echo "headers ok"

# The page that is made from the tables is the one in the tree.
docs-check: build/rundlet
	@build/rundlet docs | diff -u docs/operations.md - && echo "docs ok"

format-check:
	@clang-format --dry-run -Werror $(C_FILES) && echo "format ok"

format:
	@clang-format -i $(C_FILES)

# Once for each object: it is newer than its stamp when anything in it changed.
tidy: $(patsubst %.c,$(OUT)/%.tidy,$(SRC))
	@echo "tidy ok"

$(OUT)/%.tidy: $(OUT)/%.o .clang-tidy
	@echo "  tidy $*.c"
	@clang-tidy --quiet $*.c -- $(BASE) 2>$@.log || { cat $@.log; exit 1; }
	@touch $@

.PHONY: all run screenshots docs install clean check check-build crash-build fuzz-build test test-build \
        test-release test-asan test-tsan test-fuzz fuzz bench bench-growth bench-production gate layers headers format-check \
        docs-check format tidy
.SECONDARY:
.DELETE_ON_ERROR:
