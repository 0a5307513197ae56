# The vocabulary of this project. CI calls the same targets.
#
#   make run     build, and serve a demo account on the embedded store
#   make test    everything; installs what the tests need below target/ and node_modules
#   make lint    formatting and clippy, warnings denied
#   make fmt     format the code
#   make audit   licences, sources, bans, and advisories where their database can be reached
#   make up      docker compose: CouchDB and this server; make down stops them

STANDIN := crates/couchdb/standin
CARGO := cargo
DEMO_STORE ?= sqlite:data/demo.db

.DEFAULT_GOAL := help
.PHONY: help run test lint fmt audit up down release

help:
	@sed -n 's/^#   //p' Makefile

run:
	@mkdir -p data
	$(CARGO) run --locked --bin crossbar-groups -- serve --demo --store $(DEMO_STORE)

release:
	$(CARGO) build --release --locked --bin crossbar-groups

test: $(STANDIN)/node_modules/.package-lock.json strace
	$(CARGO) test --workspace --locked

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

lint:
	$(CARGO) fmt --all -- --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

fmt:
	$(CARGO) fmt --all

audit:
	@command -v cargo-deny >/dev/null || $(CARGO) install --locked cargo-deny
	$(CARGO) deny --locked check bans licenses sources
	$(CARGO) deny --locked check advisories || \
	  echo "advisories were not checked or not clean: see above whether their database was out of reach" >&2

up:
	docker compose up --build --detach --wait

down:
	docker compose down
