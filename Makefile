# The commands of this project. CI calls the same targets.
#
#   make run     build the server, and serve a demo account on the embedded store. If another program holds
#                port 8000, as crossbar does: CROSSBAR_GROUPS_LISTEN=127.0.0.1:8010 make run
#   make test    run all tests; installs what they need below target/ and node_modules
#   make acceptance
#                run what takes longer or needs more installs, 15 minutes at most: requests that schemathesis
#                makes from docs/openapi.yaml, change notices through a RabbitMQ, proxies, the pages in a
#                Chromium, random requests from a new seed, for ACCEPTANCE_FUZZ_SECONDS (120), and the Debian
#                package. It kills the server 5 times between a write and its notice; NOTICES_KILLS=50 does so
#                50 times
#   make lint    check the formatting, run clippy with warnings as errors, find unused dependencies and files
#                that import each other or against the promised layers
#   make fmt     format the code
#   make fuzz    send random requests from a new seed to the release build, for FUZZ_SECONDS (600)
#   make fuzz-coverage
#                fuzz all that reads what clients send, guided by coverage, for FUZZ_SECONDS each; it needs
#                a nightly toolchain of Rust
#   make mutants CRATE=groups SHARD=0/8
#                change one thing after the other in an eighth of a crate (cargo-mutants), and list the
#                changes that no test of the crate notices: 60 minutes at most (docs/reliability.md)
#   make bench   measure eight things: the authentication of a warm request; how fast the server is, against
#                limits that are measured in the same run (docs/performance.md; BENCH has its options);
#                listings of 100,000 groups against listings of 100 (time of a page, memory of a whole
#                listing); one request as accounts grow to GROWTH (10,000); how soon another program's
#                writes show; clients with valid tokens during a flood of garbage tokens; what is served
#                when more is asked for than the store can give; an import, backups beside clients that
#                write, the access log
#   make reliability
#                judge the release build from outside, 40 minutes at most: hostile inputs, a limit on memory,
#                faults between it and CouchDB, kills, damaged files, a long run. A run that was stopped goes
#                on where it was; AGAIN=1 measures all again. TABLE="name..." sends only these inputs
#   make coverage
#                count the lines that the tests run, for each crate; it needs LLVM's tools (rustup's llvm-tools,
#                or Debian's llvm-19)
#   make dist    make a tarball and a Debian package of the release build, in target/dist, with checksums
#   make sbom    list what the binary is made of, in target/sbom
#   make audit   check licences, sources and bans, and advisories if their database can be reached
#   make screenshots
#                make the pictures of the README anew, in a Chromium
#   make swagger-ui
#                take the files of Swagger UI from npm, by the version in clients/browser/package-lock.json
#   make up      start CouchDB and this server with docker compose; make down stops them, and what other
#                profiles have started. PROFILES="kazoo observe" starts these profiles too
#   make up-cluster
#                start three CouchDB nodes, two servers and haproxy in front; PROFILES as with make up

STANDIN := crates/couchdb/standin
BROWSER := clients/browser
CARGO := cargo
DEMO_STORE ?= sqlite:data/demo.db
FUZZ_SECONDS ?= 600
ACCEPTANCE_FUZZ_SECONDS ?= 120

TARGET := $(or $(CARGO_TARGET_DIR),target)
# Many tests wait for a time-out or for a server, so more of them run at once than there are processors.
export RUST_TEST_THREADS ?= $(shell echo $$((2 * $$(nproc))))
# Debug builds use the system's allocator: to compile jemalloc takes a quarter of the time of everything else.
DEBUG := --locked --no-default-features

# $(call install,PACKAGES) installs Debian packages.
install = as_root=$$([ "$$(id -u)" = 0 ] || echo sudo); \
  $$as_root apt-get update -qq && $$as_root apt-get install -y -qq $(1)

.DEFAULT_GOAL := help

.PHONY: help
help:
	@sed -n 's/^#   //p' Makefile

.PHONY: run
run:
	@mkdir -p data
	$(CARGO) run $(DEBUG) --bin crossbar-groups -- serve --demo --store $(DEMO_STORE)

.PHONY: release
release:
	$(CARGO) build --release --locked --bin crossbar-groups

# The debug build that the tests have made. `cargo build` would make another one, with fewer features of the libraries.
.PHONY: debug
debug:
	$(CARGO) test --workspace $(DEBUG) --no-run

.PHONY: test test-workspace test-clients
test: $(STANDIN)/node_modules/.package-lock.json strace valgrind client-tools debug
	@$(MAKE) --no-print-directory --jobs=2 test-workspace test-clients
	@echo "instructions of functions that ordinary requests run: now, and as recorded"
	@diff --side-by-side --width=120 $(TARGET)/instructions.txt crates/server/src/linear_tests/instructions.txt || true
	CROSSBAR_GROUPS_BINARY=$(TARGET)/debug/crossbar-groups RELIABILITY_FOLDER=$(TARGET)/reliability-short \
	  $(TARGET)/debug/reliability --again short

# These two run beside each other.
test-workspace:
	$(CARGO) test --workspace $(DEBUG)
test-clients:
	clients/run kazoo-sdk pykazoo

# The tests of the CouchDB client use this CouchDB-compatible server.
$(STANDIN)/node_modules/.package-lock.json: $(STANDIN)/package-lock.json
	npm ci --prefix $(STANDIN) --no-audit --no-fund
	@touch $@

# A test uses strace to prove that the store syncs a write before it acknowledges it.
.PHONY: strace
strace:
	@command -v strace >/dev/null || { $(call install,strace); }

# A test counts instructions with valgrind, to prove that large inputs take linear time.
.PHONY: valgrind
valgrind:
	@command -v valgrind >/dev/null || { $(call install,valgrind); }

# The tests run the examples of docs/api.md with curl, and third-party clients in Python virtualenvs.
.PHONY: client-tools
client-tools:
	@missing=$$(command -v curl >/dev/null || echo curl; \
	  python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv); \
	[ -z "$$missing" ] || { $(call install,$$missing); }

# Change notices are tested with a real RabbitMQ, which the tests start on loopback.
.PHONY: rabbitmq
rabbitmq:
	@[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || { $(call install,rabbitmq-server); }

# The documented files for proxies are tested with these.
.PHONY: proxies
proxies:
	@missing=$$(command -v haproxy >/dev/null || echo haproxy; command -v nginx >/dev/null || echo nginx-light; \
	  command -v caddy >/dev/null || echo caddy); \
	[ -z "$$missing" ] || { $(call install,$$missing); }

# The pages of the admin listener are tried in this browser, by a library from npm.
.PHONY: chromium
chromium: $(BROWSER)/node_modules/.package-lock.json
	@command -v chromium >/dev/null || { $(call install,chromium); }

$(BROWSER)/node_modules/.package-lock.json: $(BROWSER)/package-lock.json
	cd $(BROWSER) && npm ci
	@touch $@

.PHONY: swagger-ui
swagger-ui: $(BROWSER)/node_modules/.package-lock.json
	node $(BROWSER)/swagger-ui.mjs write

# pngquant makes a picture a quarter as large.
.PHONY: screenshots
screenshots: chromium
	@command -v pngquant >/dev/null || { $(call install,pngquant); }
	mkdir -p docs/images
	SCREENSHOTS=$(CURDIR)/docs/images $(CARGO) test --workspace $(DEBUG) --test it -- --ignored pages::
	pngquant --force --strip --speed 1 --ext .png 64 docs/images/*.png

# Tests that need RabbitMQ, haproxy, Chromium or packages, and long runs for reliability, belong here and
# not in `test`, which a newcomer runs first and which must stay quick. What they need is installed here.
# The random requests go to the build of the other tests, which also notices numbers that overflow. A failing run
# prints its seed.
.PHONY: acceptance
acceptance: client-tools rabbitmq proxies chromium debug
	clients/run schemathesis
	$(CARGO) test --workspace $(DEBUG) --test it -- --ignored --test-threads=1 broker:: proxy:: pages::
	FUZZ_SECONDS=$(ACCEPTANCE_FUZZ_SECONDS) $(CARGO) test --workspace $(DEBUG) --test it -- \
	  fuzz::generated_requests_are_answered --nocapture
	$(MAKE) check-package

# The package is installed, started, upgraded and removed in a folder.
# A debug build is packaged here, with jemalloc, and without its list of parts: to make a release build and to install
# the tool that makes the list take ten minutes, and neither changes how a package is installed.
.PHONY: check-package
check-package: cargo-deb
	$(CARGO) test --workspace --locked --no-run
	echo '{}' > $(TARGET)/no-sbom.json
	packaging/dist --trial $(TARGET)/debug/crossbar-groups target/trial-package $(TARGET)/no-sbom.json
	$$([ "$$(id -u)" = 0 ] || echo sudo) packaging/check target/trial-package/*.deb

.PHONY: lint
lint:
	$(CARGO) fmt --all -- --check
	$(CARGO) clippy --workspace --all-targets $(DEBUG) -- -D warnings
	$(CARGO) fmt --manifest-path bench/Cargo.toml -- --check
	$(CARGO) clippy --locked --quiet --manifest-path bench/Cargo.toml --target-dir $(TARGET)/bench --all-targets -- \
	  -D warnings
	$(CARGO) metadata --locked --format-version 1 --manifest-path fuzz/Cargo.toml >/dev/null
	@command -v cargo-machete >/dev/null || $(CARGO) install --locked cargo-machete
	$(CARGO) machete --with-metadata . bench
	tools/import-circles

.PHONY: fmt
fmt:
	$(CARGO) fmt --all
	$(CARGO) fmt --manifest-path bench/Cargo.toml

# If a run finds a fault, it prints the seed and the requests. FUZZ_SEED=seed repeats the run.
.PHONY: fuzz
fuzz:
	FUZZ_SECONDS=$(FUZZ_SECONDS) $(CARGO) test --release --locked -p server --test it -- \
	  fuzz::generated_requests_are_answered --nocapture

# Without rustup's llvm-tools, the newest tools of Debian are taken.
LLVM ?= $(if $(wildcard $(shell rustc --print sysroot)/lib/rustlib/*/bin/llvm-cov),,$(lastword $(sort \
  $(wildcard /usr/lib/llvm-*/bin))))
.PHONY: coverage
coverage: $(STANDIN)/node_modules/.package-lock.json
	@command -v cargo-llvm-cov >/dev/null || $(CARGO) install --locked cargo-llvm-cov
	$(if $(LLVM),LLVM_COV=$(LLVM)/llvm-cov LLVM_PROFDATA=$(LLVM)/llvm-profdata )$(CARGO) llvm-cov --workspace \
	  $(DEBUG) --json --summary-only --output-path $(TARGET)/coverage.json
	tools/coverage $(TARGET)/coverage.json

# libFuzzer keeps what it finds in fuzz/corpus and fuzz/artifacts. It needs a nightly toolchain of Rust.
FUZZERS = $(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs)))
.PHONY: fuzz-coverage
fuzz-coverage:
	@command -v cargo-fuzz >/dev/null || $(CARGO) install --locked cargo-fuzz
	@for fuzzer in $(FUZZERS); do echo "fuzzing $$fuzzer"; \
	  $(CARGO) +nightly fuzz run --target-dir $(TARGET)/fuzz $$fuzzer -- -max_total_time=$(FUZZ_SECONDS) \
	    -max_len=65536 -timeout=10 -rss_limit_mb=1024 || exit 1; done

# It works on a copy of the sources, and keeps its own build beside the other one. Its exit codes 2 and 3 say that there
# are survivors: they are listed, and docs/reliability.md explains those that may stay.
CRATE ?= groups
SHARD ?= 0/1
.PHONY: mutants
mutants: $(STANDIN)/node_modules/.package-lock.json
	@command -v cargo-mutants >/dev/null || $(CARGO) install --locked cargo-mutants
	@mkdir -p $(TARGET)/mutants
	CARGO_TARGET_DIR=$(abspath $(TARGET))/mutants timeout --signal=INT 3600 \
	  $(CARGO) mutants --package $(CRATE) --test-package $(CRATE) --shard $(SHARD) --gitignore=false \
	  --output $(TARGET)/mutants/$(CRATE)-$(subst /,-of-,$(SHARD)) || [ $$? = 2 -o $$? = 3 ]

# $(call bench,PROGRAM) runs a program of bench/, which is a workspace of its own.
bench = CROSSBAR_GROUPS_BINARY=$(TARGET)/release/crossbar-groups $(CARGO) run --release --locked --quiet \
  --manifest-path bench/Cargo.toml --target-dir $(TARGET)/bench --bin $(1) --

# With COUCHDB_URL, it also measures on that CouchDB. Use an empty one: it creates accounts there.
.PHONY: bench
bench: release wrk
	$(CARGO) bench --locked -p auth --bench warm
	$(call bench,performance) $(BENCH)
	$(call bench,listing)
	$(call bench,growth) $(GROWTH)
	$(call bench,fresh)
	$(call bench,flood)
	$(call bench,overload)
	$(call bench,chores)

# With COUCHDB_URL, it also judges faults and histories on that CouchDB; accounts are created there. With
# RELIABILITY_COUCHDB_KILL and RELIABILITY_COUCHDB_START, shell commands, the histories kill that CouchDB too.
.PHONY: reliability
reliability: release $(STANDIN)/node_modules/.package-lock.json
	$(CARGO) build --release --locked --bin reliability
	CROSSBAR_GROUPS_BINARY=$(TARGET)/release/crossbar-groups RELIABILITY_FOLDER=$(TARGET)/reliability \
	  $(TARGET)/release/reliability $(if $(AGAIN),--again) $(if $(TABLE),table $(TABLE),all)

.PHONY: wrk
wrk:
	@command -v wrk >/dev/null || { $(call install,wrk); }

.PHONY: audit
audit:
	@command -v cargo-deny >/dev/null || $(CARGO) install --locked cargo-deny
	$(CARGO) deny --locked check bans licenses sources
	@if $(CARGO) deny fetch db; then $(CARGO) deny --locked check --disable-fetch advisories; else \
	  echo "the database of advisories could not be reached: advisories were NOT checked" >&2; fi

# What `make dist` makes is explained in packaging/README.md.
.PHONY: dist cargo-deb
dist: release sbom cargo-deb
	packaging/dist $(TARGET)/release/crossbar-groups target/dist $(TARGET)/sbom/*.json

cargo-deb:
	@command -v cargo-deb >/dev/null || $(CARGO) install --locked --no-default-features cargo-deb
	@command -v dpkg-shlibdeps >/dev/null || { $(call install,dpkg-dev); }

# A list of all that the binary is made of (CycloneDX, JSON).
.PHONY: sbom
sbom:
	@command -v cargo-cyclonedx >/dev/null || $(CARGO) install --locked cargo-cyclonedx
	$(CARGO) cyclonedx --manifest-path crates/server/Cargo.toml --format json --describe binaries
	mkdir -p $(TARGET)/sbom && mv crates/*/*.cdx.json $(TARGET)/sbom/

# The image's `--version` names this commit. The build in a container cannot see the repository.
up up-cluster: export CROSSBAR_GROUPS_BUILD_COMMIT ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null)

compose = docker compose $(addprefix --profile ,$(PROFILES))

.PHONY: up
up:
	$(compose) up --build --detach --wait

# haproxy starts all that it depends on. The services of other profiles are named, as they would not start beside it.
SERVICES_OF_kazoo := rabbitmq
SERVICES_OF_observe := grafana
.PHONY: up-cluster
up-cluster:
	$(compose) --profile cluster up --build --detach --wait haproxy \
	  $(foreach profile,$(PROFILES),$(SERVICES_OF_$(profile)))

.PHONY: down
down:
	docker compose --profile cluster --profile kazoo --profile observe down
