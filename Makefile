# Two commands for a fresh machine with Rust: `make demo` and `make test`.

CARGO ?= cargo

.PHONY: demo test bench build release package deps test-deps fmt lint fuzz deny

# The main job on loopback: ends with the verdict, the planted faults and the report's path.
demo test: export CARGO_INCREMENTAL = 0
demo test: export CARGO_PROFILE_DEV_DEBUG = 0
demo: deps
	$(CARGO) build --locked --bin shadowtap
	target/debug/shadowtap demo

# Everything that CI checks. Both keep nothing for a debugger or the next change, which would fill the disk.
test: deps test-deps fmt lint
	@CARGO="$(CARGO)" deploy/run-tests

build: deps
	$(CARGO) build --locked

release: deps
	$(CARGO) build --locked --release

# The crate, built from what it packs; an archive, and .deb and .rpm where their tools are installed.
package: release
	deploy/package

# What the system lacks to build: libpcap's headers, a C compiler.
deps:
	@deploy/install-deps build

# The real servers, clients and browsers that tests talk to; a test whose programs cannot be had says so and is skipped.
test-deps:
	@deploy/install-deps test

fmt:
	$(CARGO) fmt --all --check

lint: deps
	$(CARGO) clippy --locked --all-targets -- -D warnings

# The benches that compare in one run, in under half an hour; figures in target/bench/figures.md.
bench: deps
	benches/all

# Every fuzz target for a minute (or SECONDS), with the toolchain that builds the project.
fuzz: deps
	fuzz/run $(or $(SECONDS),60)

# Licences and advisories, where cargo-deny is installed and its data can be had.
deny:
	$(CARGO) deny check
