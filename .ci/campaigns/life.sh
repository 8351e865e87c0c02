#!/usr/bin/env bash
# Holds the life of tokens against a model, for a long row of random calls on a clock that the run moves, with restarts.
#
#   make campaign-life                        1,000,000 operations under the seed 1
#   OPERATIONS=50000 SEED=7 make campaign-life
#
# Adds a line to docs/campaigns/life.md. Half an hour for 1,000,000 operations.
set -euo pipefail
cd "$(dirname "$0")/../.."
export TOKENVAULT_MODEL_OPERATIONS=${OPERATIONS:-1000000}
export TOKENVAULT_MODEL_SEED=${SEED:-1}
report=docs/campaigns/life.md
test=life_model::the_life_of_tokens_is_what_plain_rules_say_in_any_order_of_calls

commit=$(git rev-parse --short HEAD)
[ -z "$(git status --porcelain -- crates proto tests Cargo.lock)" ] || commit="$commit and changes"
cargo build --workspace --release --locked
begun=$SECONDS
cargo nextest run --workspace --release --locked --config-file .ci/nextest.toml --profile campaign -E "test(=$test)"
run="$TOKENVAULT_MODEL_OPERATIONS | $TOKENVAULT_MODEL_SEED | $((SECONDS - begun)) s"
echo "| $(date -u +%F) | $commit | $run | as the model says |" >>"$report"
tail -n 1 "$report"
