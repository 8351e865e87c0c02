#!/usr/bin/env bash
# Runs every target of tests/fuzz under libFuzzer, one after the other, from the seeds and from what earlier runs found.
#
#   make campaign-fuzz                              60 seconds each, 16 minutes in all, seed by chance
#   .ci/campaigns/fuzz.sh 600                       10 minutes each
#   TARGETS="token request" .ci/campaigns/fuzz.sh   these only
#
# Adds a table to docs/campaigns/fuzz.md. A finding is an input that breaks a promise, runs for 10 s or takes 1 GB: it
# is named, and the script fails. To see it again: FUZZ_TARGET=<target> <the printed command> <the input>.
# The first run compiles the vault's crates once more, with counters, and libFuzzer: some minutes, 6 GB in the cache.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-60}
seed=${SEED:-$(od -An -N3 -tu4 /dev/urandom | tr -d ' ')}
report=docs/campaigns/fuzz.md
cache="${XDG_CACHE_HOME:-$HOME/.cache}/tokenvault"
target=${CARGO_TARGET_DIR:-$cache/target}
corpus=$PWD/tests/fuzz/corpus
export CARGO_TARGET_DIR=$cache/fuzz/target

# Other crates' output is taken over as it is; what is to count gets compiled again.
if [ ! -d "$CARGO_TARGET_DIR" ] && [ -d "$target/release" ]; then
  echo "fuzz: seeding $CARGO_TARGET_DIR from $target" >&2
  mkdir -p "$CARGO_TARGET_DIR/release"
  for folder in deps build .fingerprint; do
    cp -a --reflink=auto "$target/release/$folder" "$CARGO_TARGET_DIR/release/"
  done
  .ci/prune.sh 0 >&2
  rm -rf "$CARGO_TARGET_DIR"/release/.fingerprint/{toml*,serde_spanned,winnow,prost}-[0-9a-f]*
fi
RUSTC_WRAPPER=$PWD/.ci/instrument.sh .ci/env.sh \
  cargo build --workspace --example libfuzzer --features vault-tests/libfuzzer --release --locked
run=$CARGO_TARGET_DIR/release/examples/libfuzzer

targets=${TARGETS:-$(cd "$corpus" && ls)}
commit=$(git rev-parse --short HEAD)
[ -z "$(git status --porcelain -- crates proto tests Cargo.lock)" ] || commit="$commit and changes"
[ -f "$report" ] || cat >"$report" <<'EOF'
# Readers of foreign bytes, led by coverage

Runs of `make campaign-fuzz`: every target of tests/fuzz under libFuzzer, from its seeds and what earlier runs found.
Edges are the places in the vault's own code, and in its readers of TOML and messages, that the inputs of the corpus
reach; they can be compared within one target and commit only.
EOF
printf '\n## %s, %s, seed %s, %s s each\n\n' "$(date -u +%Y-%m-%d)" "$commit" "$seed" "$seconds" >>"$report"
printf '| target | executions | edges | corpus | findings |\n|---|---|---|---|---|\n' >>"$report"

failed=0
for name in $targets; do
  own=$cache/fuzz/corpus/$name
  found=$cache/fuzz/findings/$name/
  log=$cache/fuzz/$name.log
  mkdir -p "$own" "$found"
  before=$(find "$found" -type f | wc -l)
  FUZZ_TARGET=$name "$run" "$own" "$corpus/$name" -seed="$seed" -max_total_time="$seconds" -max_len=16384 \
    -timeout=10 -rss_limit_mb=1024 -dict=tests/fuzz/words.dict -artifact_prefix="$found" -print_final_stats=1 \
    >"$log" 2>&1 || true
  findings=$(($(find "$found" -type f | wc -l) - before))
  executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  edges=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
  inputs=$(sed -n 's/.* corp: \([0-9]*\)\/.*/\1/p' "$log" | tail -n 1)
  printf '| %s | %s | %s | %s | %s |\n' "$name" "${executions:-none}" "${edges:-?}" "${inputs:-?}" "$findings" \
    >>"$report"
  echo "fuzz: $name: ${executions:-none} executions, ${edges:-?} edges, $findings findings" >&2
  if [ "$findings" -ne 0 ] || [ -z "$executions" ]; then
    failed=1
    tail -n 30 "$log" >&2
    echo "fuzz: again: FUZZ_TARGET=$name $run $found*" >&2
  fi
done
echo "fuzz: the figures are in $report" >&2
[ "$failed" -eq 0 ]
