#!/usr/bin/env bash
# The tests and numbers of one GPU, in LIMIT seconds at most: OUT=folder PYTHON=python3 scripts/measure_gpu.sh
# POLICY=CHECKPOINT measures a trained policy, too. Every row is written as soon as it is there, so that what ends early
# loses the rest of its part alone. DEVICE=cpu rehearses it.
set -u
cd "$(dirname "$0")/.." || exit
OUT=${OUT:-gpu_output} DEVICE=${DEVICE:-cuda} PYTHON=${PYTHON:-python3} LIMIT=${LIMIT:-150}
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
mkdir -p "$OUT"
tests='gpu' batches=(1 8 512) training=(64 512) large=(--training-batches 64) rounds=100 threads=$(nproc) slower=1
if [ "$DEVICE" != cuda ]; then
    tests='not slow' batches=(1 2) training=(4) large=(--training-batches 2 --layers 1) rounds=2 threads=1
    slower=10 LIMIT=$((10 * LIMIT))
fi

part() { # seconds, name, command …
    local limit=$(($1 * slower)) name=$2 began=$SECONDS; shift 2
    ((limit = limit < LIMIT - SECONDS ? limit : LIMIT - SECONDS))
    if ((limit < 5)); then echo "== $name: no time left" | tee -a "$OUT/log.txt"; return; fi
    timeout --kill-after=5 "$limit" "$@" 2>&1 | tee -a "$OUT/log.txt"
    echo "== $name: status ${PIPESTATUS[0]} after $((SECONDS - began)) s, $SECONDS s in all" | tee -a "$OUT/log.txt"
}
card() { # seconds, name, options …
    local limit=$1 name=$2; shift 2
    part "$limit" "$name" "$PYTHON" -m mode_ros bench --device "$DEVICE" --threads "$threads" --rounds "$rounds" \
        --batches "${batches[@]}" --output "$OUT/$name" "$@"
}

nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.sm,clocks.mem,temperature.gpu --format=csv 2>&1 |
    tee "$OUT/log.txt"
part 60 tests "$PYTHON" -m pytest -q -rf --tb=short -p no:cacheprovider -m "$tests" \
    test/policy/test_policy_{golden,linear,loading,inference,policy}.py
card 60 small --card chunks images training --training-batches "${training[@]}" ${POLICY:+--policy "$POLICY"}
card 100 large --configuration large --card images chunks training "${large[@]}"
