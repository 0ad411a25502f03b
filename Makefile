# `make test` is everything that must hold before a change lands, in about a quarter of an hour from a fresh clone on two
# cores; its parts can be run alone. CONTRIBUTING.md names one command for each smaller thing.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.NOTPARALLEL:
.PHONY: test tools root build deb drill sim fuzz unit lint tidy lab release

TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
export TANDEM_BINARY ?= $(TARGET)/release/tandem

# Cargo chooses the features of shared dependencies by the packages that are selected together. `tandem` is always among
# them, so that nothing is compiled twice with different ones; the benches compare against libraries of their own.
SELECT := --package tandem
WORKSPACE := --workspace --exclude tandem-bench

# How many random worlds the simulator runs, 2,000 before a release, and from which seed on: others each time. What fails
# says which one it was.
SEEDS ?= 300
SEEDS_FROM ?= $(shell date +%s)
# Cases of each fuzz target; a million before a release.
export FUZZ_CASES ?= 20000

# Prints what comes now and how long everything has taken so far.
STARTED := $(shell date +%s)
say = @printf '\n=== %3d s: %s\n' $$(($$(date +%s) - $(STARTED))) '$(1)'

test: root tools lint tidy unit fuzz sim lab

root:
	@[ "$$(id -u)" = 0 ] || { echo 'make test needs root: the lab builds network namespaces and gives them addresses.' \
	  'Without root there are: make lint tidy fuzz sim' >&2; exit 1; }

# What a fresh Debian 12 with Rust lacks: a C compiler (for SQLite), the network tools, the phones, what the package is
# made and tried with, and the databases that call records go to.
tools:
	$(call say,tools)
	@missing=(); need() { command -v "$$1" >/dev/null || missing+=("$$2"); }; \
	PATH="$$PATH:/usr/sbin:/sbin"; \
	need cc build-essential; need ip iproute2; need nft nftables; need sipp sip-tester; need baresip baresip-core; \
	need keepalived keepalived; need etcd etcd-server; need openssl openssl; \
	need mkfs.ext4 e2fsprogs; need faketime faketime; \
	need mmdebstrap mmdebstrap; need systemd-analyze systemd; need dpkg-shlibdeps dpkg-dev; \
	need mariadbd mariadb-server; need garbd galera-arbitrator-4; need psql postgresql; need rsync rsync; need openssl openssl; \
	if [ $${#missing[@]} -gt 0 ]; then \
	  echo "installing $${missing[*]}"; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$${missing[@]}"; \
	fi
	@cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
	@cargo clippy --version >/dev/null 2>&1 || rustup component add clippy

lint:
	$(call say,format and clippy)
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets --quiet -- --deny warnings

tidy:
	$(call say,tidy: the arrows between the rooms)
	cargo test --locked $(SELECT) --package tandem-fuzz --test tidy

# Tables, properties and scenarios of every room but the simulator and the lab, which come below.
unit:
	$(call say,unit tests)
	cargo test --locked --no-fail-fast $(WORKSPACE) --exclude tandem-fuzz --exclude tandem-sim --exclude tandem-lab
	cargo test --locked $(SELECT) --package tandem-sim --lib

fuzz:
	$(call say,fuzz: $(FUZZ_CASES) cases of each decoder)
	cargo test --locked $(SELECT) --package tandem-fuzz --lib --test decoders

release:
	$(call say,release build)
	cargo build --locked --release $(SELECT) --package tandem-sim

sim: release
	$(call say,simulator: the active node killed at every action of the reference calls)
	$(TARGET)/release/sim --exhaustive
	$(TARGET)/release/sim --exhaustive --fault cut
	$(TARGET)/release/sim --exhaustive --fault split
	$(call say,simulator: either node killed and without power at every action of a change of the configuration)
	$(TARGET)/release/sim --exhaustive --fault edit
	$(TARGET)/release/sim --exhaustive --fault edit-power
	$(call say,simulator: $(SEEDS) random worlds)
	$(TARGET)/release/sim --seeds $(SEEDS) --from $(SEEDS_FROM)
	$(call say,simulator: the checkers bite)
	$(TARGET)/release/sim --planted all

# Real processes in network namespaces, and phones that nobody here wrote. Needs root. All of it mostly waits, and so
# runs side by side; within `peers`, what listens to phones waits for its turn by itself.
LAB := cargo test --locked $(SELECT) --package tandem-lab
lab: root tools release
	$(call say,lab)
	$(LAB) --no-run --lib --test '*'
	@status=0; $(LAB) --test package >$(TARGET)/lab-package.log 2>&1 & package=$$!; \
	$(LAB) --lib --test faults >$(TARGET)/lab-faults.log 2>&1 & faults=$$!; \
	$(LAB) --test records >$(TARGET)/lab-records.log 2>&1 & records=$$!; \
	$(LAB) --test peers -- --test-threads 64 || status=$$?; \
	wait $$package || status=$$?; wait $$faults || status=$$?; wait $$records || status=$$?; \
	cat $(TARGET)/lab-package.log $(TARGET)/lab-faults.log $(TARGET)/lab-records.log; exit $$status

build:
	cargo build --locked --release

# A Debian package, in target/debian.
deb: build
	packaging/build-deb $(TARGET)/release/tandem $(TARGET)/debian

drill:
	cargo run --locked --release -- drill
