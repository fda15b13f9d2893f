#!/usr/bin/env bash
# Perplexities of one model after rounding, GPTQ and AWQ, beside those of the peers.
#   Tests/peers/quality.sh GOLDENS [NIBBLE]
# GOLDENS has models/llama-quality, text/valid.txt and bench/quality.json with the peers' figures.
set -euo pipefail
goldens="${1:?the folder of goldens}"
nibble="${2:-.build/release/nibble}"
model="$goldens/models/llama-quality"
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
text=(--calibration "$model/calib_ids.json" --seq-len 128)

perplexity() {
  "$nibble" perplexity "$1" --text "$goldens/text/valid.txt" --context 128 --max-windows 32 \
    --no-special-tokens --json 2>/dev/null | sed -n 's/.*"perplexity": *\([0-9.]*\).*/\1/p' | head -1
}

peer() {
  sed -n "/\"quality-$1\"/,/val_ppl/s/.*\"val_ppl\": *\([0-9.]*\).*/\1/p" "$goldens/bench/quality.json" |
    head -1
}

row() { # name, options
  local name="$1"
  shift
  rm -rf "$scratch/out"
  "$nibble" quantize "$model" -o "$scratch/out" --no-sync "$@" >/dev/null 2>"$scratch/err" ||
    { cat "$scratch/err" >&2; return 1; }
  printf '| %s | %s | %s |\n' "$name" "$(perplexity "$scratch/out")" "$(peer "$name")"
}

printf '| settings | nibble | peer |\n|---|---|---|\n'
printf '| dense | %s | %s |\n' "$(perplexity "$model")" \
  "$(sed -n 's/.*"base_val_ppl": *\([0-9.]*\).*/\1/p' "$goldens/bench/quality.json" | head -1)"
row rtn-w4g128-sym --method rtn --format gptq
row rtn-w4g32-asym --method rtn --no-sym --group-size 32 --format gptq_v2
row rtn-w3g128-sym --method rtn --bits 3 --format gptq
row rtn-w2g32-asym --method rtn --bits 2 --no-sym --group-size 32 --format gptq_v2
for bits in 4 3 2; do
  for size in -1 128 64 32; do
    name="gptq-w${bits}g$size"
    row "$name" --method gptq --bits $bits --group-size=$size --no-act-group-aware \
      --format gptq_v2 "${text[@]}"
    row "$name-gar" --method gptq --bits $bits --group-size=$size --format gptq_v2 "${text[@]}"
  done
done
row gptq-w3g128-desc --method gptq --bits 3 --desc-act --format gptq_v2 "${text[@]}"
row gptq-w4g32-asym --method gptq --no-sym --group-size 32 --no-act-group-aware --format gptq_v2 \
  "${text[@]}"
row gptq-w2g32-asym --method gptq --bits 2 --no-sym --group-size 32 --no-act-group-aware \
  --format gptq_v2 "${text[@]}"
row awq-w4g128 --method awq --format awq "${text[@]}"
row awq-w4g128-noclip --method awq --no-clip --format awq "${text[@]}"
row awq-w4g64 --method awq --group-size 64 --format awq "${text[@]}"
row awq+gptq-w4g128 --method awq+gptq --format gptq_v2 "${text[@]}"
