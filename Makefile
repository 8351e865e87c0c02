# The door to everything: `make` lists what there is. The work is done by the scripts in .ci/.

# Outside of the tree, so that a fresh clone starts warm. Any of them may be set beforehand.
cache := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/tokenvault
export CARGO_TARGET_DIR ?= $(cache)/target
# .ci/env.sh sets ROCKSDB_LIB_DIR and ROCKSDB_STATIC for one command (and builds the archive first, once).
run := .ci/env.sh
run_tools := .ci/env.sh --tools

.DEFAULT_GOAL := help
.PHONY: help setup rocksdb build demo demo-data test check bench docs fmt mutants-core campaigns prune clean-cache

help: ## this list
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: ## install what a bare Debian or Ubuntu lacks for all of the below (names and sizes first)
	.ci/setup.sh test
	.ci/tools.sh

rocksdb: ## build librocksdb.a once (about 5 minutes) and print its folder
	@.ci/rocksdb.sh

build: ## build everything, release profile
	@.ci/setup.sh build
	$(run) cargo build --workspace --release --locked

demo: ## a guided tour on real input: two regions on this machine, nothing to configure
	@.ci/setup.sh demo
	$(run) cargo build --workspace --bin tokenvault --release --locked
	$(CARGO_TARGET_DIR)/release/tokenvault dev --input "$$(.ci/demo-data.sh)"

demo-data: ## fetch the demo's input and print its path
	@.ci/setup.sh demo
	@.ci/demo-data.sh

test: ## all tests, doc tests, and whether every test that docs/COVERAGE.md names did run
	.ci/check.sh setup rocksdb build tests doctests coverage

check: ## all that must hold before a change lands (.ci/check.sh STAGE runs one stage)
	.ci/check.sh

bench: ## the benchmarks, measured (installs PostgreSQL to compare with, where it can)
	@.ci/setup.sh build
	@.ci/setup.sh bench || echo "bench: there is no PostgreSQL to compare with; its cases are skipped" >&2
	$(run) cargo build --workspace --bin tokenvault --release --locked
	$(run) cargo bench --workspace --bench '*' --locked

docs: ## write what is generated: docs/ERRORS.md, docs/schema, and new lines of tests/tidy/contract.txt
	UPDATE_DOCS=$(or $(UPDATE_DOCS),1) $(run_tools) cargo nextest run -p vault-tests --test tidy --release \
	  --config-file .ci/nextest.toml -E 'test(the_document_says_what_the_code_says) + test(the_contract_only_grows) + \
	     test(the_schemas_are_those_of_the_code)'

fmt: ## format the code
	cargo fmt --all

mutants-core: ## break the code by tests/mutants/*.patch; every named test must turn red
	.ci/mutants-core.sh

campaigns: ## list the long runs
	@ls .ci/campaigns 2>/dev/null | sed -n 's/^\(.*\)\.sh$$/  make campaign-\1/p'

campaign-%: ## a long or large run, by name
	@[ -x .ci/campaigns/$*.sh ] || { echo "there is no campaign '$*'; make campaigns lists them" >&2; exit 2; }
	$(run_tools) .ci/campaigns/$*.sh

prune: ## delete build output of this workspace's members older than three days
	@.ci/prune.sh 3

clean-cache: ## delete all that these targets keep outside of the tree (the next build takes long)
	@du -sh $(cache) 2>/dev/null || true
	rm -rf $(cache)/target $(cache)/mutants $(cache)/demo $(wildcard $(cache)/tools-* $(cache)/rocksdb-*)
