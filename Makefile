# Two commands for a fresh machine with Rust: `make demo` and `make test`.

.PHONY: demo test build release deps fmt lint

CARGO ?= cargo

build: deps
	$(CARGO) build --locked

release: deps
	$(CARGO) build --locked --release

# What the system lacks (libpcap's headers, a C compiler).
deps:
	@deploy/install-deps

demo: release
	target/release/shadowtap demo

fmt:
	$(CARGO) fmt --all --check

lint: deps
	$(CARGO) clippy --locked --all-targets -- -D warnings

# Everything that CI checks.
test: deps fmt lint
	$(CARGO) test --locked
