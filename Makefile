# Every command that a contributor needs. `make` lists them.

GATEWAYS ?= 2
APIS ?= 2
BALANCER ?= nginx
PORT ?= 8000
SCENARIO ?= smoke
SEEDS ?= 10000
URL ?= http://127.0.0.1:$(PORT)
CARGO ?= cargo

.DEFAULT_GOAL := help
.PHONY: help run test lint fmt doc cluster loadtest bench chaos simulate check-deploy check-containers clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## One process with nothing installed: http://127.0.0.1:8000
	$(CARGO) run

test: ## Installs what the tests need when it is missing, then runs all of them
	scripts/install-test-tools
	target/test-tools/bin/oxlint -c api/web/.oxlintrc.json api/web
	node --test api/web/tests/
	scripts/run-tests

lint: ## Formatting, clippy, documentation; dependencies where cargo-deny is installed
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) clippy -p switchboard-platform --all-targets --features otlp -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps
	@if $(CARGO) deny --version >/dev/null 2>&1; then \
		$(CARGO) deny check; \
	else \
		echo "cargo-deny is not installed: licenses and advisories were not checked"; \
	fi

fmt: ## Formats the code
	$(CARGO) fmt --all

doc: ## The code's documentation, in target/doc
	$(CARGO) doc --workspace --no-deps

cluster: ## A private cluster: make cluster GATEWAYS=2 APIS=2 BALANCER=nginx|haproxy PORT=8000 (BINARIES=target/release: builds neither api nor gateway; settings: GUESTS=true make …)
	scripts/install-test-tools
	$(CARGO) run --release -p switchboard-cluster -- --gateways $(GATEWAYS) --apis $(APIS) --balancer $(BALANCER) --port $(PORT) $(if $(BINARIES),--binaries $(BINARIES))

loadtest: ## Load and the truth about it: make loadtest SCENARIO=smoke URL=http://127.0.0.1:8000 (ARGS='--out reports')
	$(CARGO) run --release -p switchboard-loadtest -- run $(SCENARIO) --url $(URL) $(ARGS)

bench: ## What everything costs, beside this machine's limit: target/bench/table.md (half an hour; ROWS="paced idle" for some, BINARIES=target/release; ARGS=--quick for a look)
	ulimit -S -n $$(ulimit -H -n) && $(CARGO) bench -p switchboard-loadtest --bench table -- $(ROWS) $(if $(BINARIES),--binaries $(abspath $(BINARIES))) $(ARGS)

chaos: ## Everything breaks under a crowd, with a table of how long it took (a quarter of an hour)
	scripts/install-test-tools
	$(CARGO) test -p switchboard-standalone --test system chaos:: -- --include-ignored --nocapture --test-threads 1

simulate: ## Simulated installations, each broken in its own way: make simulate SEEDS=10000
	SIMULATION_SEEDS=$(SEEDS) $(CARGO) test --profile simulation -p switchboard-gateway --lib simulation

check-deploy: ## The files that deploy it, by the programs that know their formats, and planted faults that these must notice
	scripts/check-deploy
	scripts/check-deploy --faults

check-containers: ## Builds the images, starts the compose project, scales and restarts it under load (root and podman; some minutes)
	scripts/check-containers

clean: ## Removes everything that was built
	$(CARGO) clean
