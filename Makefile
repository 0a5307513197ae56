# The vocabulary of this project. CI calls the same targets.
#
#   make run     build, and serve a demo account on the embedded store
#   make test    everything; installs what the tests need below target/ and node_modules
#   make acceptance
#                what takes longer or needs more installs than make test, 15 minutes at most:
#                requests from a new seed, for ACCEPTANCE_FUZZ_SECONDS (120), against the release build
#   make lint    formatting, clippy with warnings denied, and dependencies that nothing uses
#   make fmt     format the code
#   make fuzz    requests made from a new seed, for FUZZ_SECONDS (600), against the release build
#   make bench   a warm request's authentication; listings of 100,000 groups against 100: time of a
#                page, memory of a whole listing; a flood of garbage tokens beside good clients
#   make audit   licences, sources, bans, and advisories where their database can be reached
#   make up      docker compose: CouchDB and this server; make down stops them

STANDIN := crates/couchdb/standin
CARGO := cargo
DEMO_STORE ?= sqlite:data/demo.db
FUZZ_SECONDS ?= 600
ACCEPTANCE_FUZZ_SECONDS ?= 120

.DEFAULT_GOAL := help
.PHONY: help run test acceptance lint fmt fuzz bench audit up down release

help:
	@sed -n 's/^#   //p' Makefile

run:
	@mkdir -p data
	$(CARGO) run --locked --bin crossbar-groups -- serve --demo --store $(DEMO_STORE)

release:
	$(CARGO) build --release --locked --bin crossbar-groups

test: $(STANDIN)/node_modules/.package-lock.json strace client-tools
	$(CARGO) test --workspace --locked
	$(CARGO) build --locked --bin crossbar-groups
	clients/run

# The CouchDB-compatible server that the CouchDB client is tested against.
$(STANDIN)/node_modules/.package-lock.json: $(STANDIN)/package-lock.json
	npm ci --prefix $(STANDIN) --no-audit --no-fund
	@touch $@

# The proof that a write is synced before it is acknowledged looks at system calls.
.PHONY: strace
strace:
	@command -v strace >/dev/null || { \
	  as_root=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$as_root apt-get update -qq && $$as_root apt-get install -y -qq strace; }

# The examples of docs/api.md are run with curl; the clients of others live in Python's virtualenvs.
.PHONY: client-tools
client-tools:
	@missing=$$(command -v curl >/dev/null || echo curl; \
	  python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv); \
	[ -z "$$missing" ] || { \
	  as_root=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$as_root apt-get update -qq && $$as_root apt-get install -y -qq $$missing; }

# Tests that need RabbitMQ, haproxy, Chromium or packages, and long runs for reliability, belong here and
# not in `test`, which a newcomer runs first and which must stay quick. What they need is installed here.
# A failing run of the requests prints its seed.
acceptance:
	$(MAKE) fuzz FUZZ_SECONDS=$(ACCEPTANCE_FUZZ_SECONDS)

lint:
	$(CARGO) fmt --all -- --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	@command -v cargo-machete >/dev/null || $(CARGO) install --locked cargo-machete
	$(CARGO) machete --with-metadata . bench

fmt:
	$(CARGO) fmt --all

# A run that finds something prints the seed and the requests; FUZZ_SEED repeats it.
fuzz:
	FUZZ_SECONDS=$(FUZZ_SECONDS) $(CARGO) test --release --locked -p server --test it -- \
	  fuzz::what_is_made_from_a_seed_is_answered --nocapture

# With COUCHDB_URL also on that CouchDB: an empty one, since accounts are made in it.
bench: release
	$(CARGO) bench --locked -p auth --bench warm
	built=$${CARGO_TARGET_DIR:-target}; CROSSBAR_GROUPS_BINARY=$$built/release/crossbar-groups \
	  $(CARGO) run --release --locked --quiet --manifest-path bench/Cargo.toml --bin listing --target-dir $$built/bench && \
	  CROSSBAR_GROUPS_BINARY=$$built/release/crossbar-groups \
	  $(CARGO) run --release --locked --quiet --manifest-path bench/Cargo.toml --bin flood --target-dir $$built/bench

audit:
	@command -v cargo-deny >/dev/null || $(CARGO) install --locked cargo-deny
	$(CARGO) deny --locked check bans licenses sources
	$(CARGO) deny --locked check advisories || \
	  echo "advisories were not checked or not clean: see above whether their database was out of reach" >&2

up:
	docker compose up --build --detach --wait

down:
	docker compose down
