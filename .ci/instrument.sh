#!/usr/bin/env bash
# RUSTC_WRAPPER: compiles so that libFuzzer sees which way the code goes (SanitizerCoverage, on a stable compiler).
#
#   RUSTC_WRAPPER=.ci/instrument.sh cargo build ...
#
# The vault's own crates, and those that read text and messages for it; the others stay as they are, which saves their
# compilation and leads the search to the vault's own decisions. Build scripts and what they use run without libFuzzer:
# they are told by their optimisation, which is off.
set -euo pipefail
name=
level=
before=
for argument in "$@"; do
  [ "$before" != --crate-name ] || name=$argument
  [[ "$argument" != opt-level=* ]] || level=${argument#opt-level=}
  before=$argument
done
case "$level:$name" in
  3:build_script_*) ;;
  3:vault_* | 3:libfuzzer | 3:toml* | 3:serde_spanned | 3:winnow | 3:prost)
    set -- "$@" -C passes=sancov-module
    for flag in level=4 inline-8bit-counters pc-table trace-compares; do
      set -- "$@" -C "llvm-args=-sanitizer-coverage-$flag"
    done
    ;;
esac
exec "$@"
