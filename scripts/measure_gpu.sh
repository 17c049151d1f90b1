#!/usr/bin/env bash
# The tests and numbers of one GPU, in LIMIT seconds at most: OUT=folder PYTHON=python3 scripts/measure_gpu.sh
# POLICY=CHECKPOINT measures a trained policy, too. All of it takes some 400 s, reckoned from what an H100 beside slow
# processor cores got done: 23 s for the tests, then 40 s for small's chunks, 30 for its images, 20 for the trained policy
# and 30 for its training steps; 40 s for large's images, 90 for its chunks and 60 for its training steps (the last two,
# and all training, were never reached there); each of the three starts takes 10 s. With less, say LIMIT=150, the tests
# are had, and the rest is shared 3 to 5. Every row is written as soon as it is there, in the order of importance, so that
# what ends early loses the rest of its part alone. DEVICE=cpu rehearses it.
set -u
cd "$(dirname "$0")/.." || exit
OUT=${OUT:-gpu_output} DEVICE=${DEVICE:-cuda} PYTHON=${PYTHON:-python3} LIMIT=${LIMIT:-400}
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
mkdir -p "$OUT"
tests='gpu' batches=(1 8 512) training=(64 512) large=(--training-batches 64) rounds=100 threads=$(nproc)
if [ "$DEVICE" != cuda ]; then
    tests='not slow' batches=(1 2) training=(4) large=(--training-batches 2 --layers 1) rounds=2 threads=1
    LIMIT=$((10 * LIMIT))
fi

part() { # per cent of the time that is left, name, command …
    local limit=$(((LIMIT - 5 - SECONDS) * $1 / 100)) # what does not end on the signal is killed 5 s later
    local name=$2 began=$SECONDS; shift 2
    if ((limit < 5)); then echo "== $name: no time left" | tee -a "$OUT/log.txt"; return; fi
    timeout --kill-after=5 "$limit" "$@" 2>&1 | tee -a "$OUT/log.txt"
    echo "== $name: status ${PIPESTATUS[0]} after $((SECONDS - began)) of $limit s, $SECONDS of $LIMIT s in all" |
        tee -a "$OUT/log.txt"
}
card() { # per cent of the time that is left, name, options …
    local share=$1 name=$2; shift 2
    part "$share" "$name" "$PYTHON" -m mode_ros bench --device "$DEVICE" --threads "$threads" --rounds "$rounds" \
        --batches "${batches[@]}" --output "$OUT/$name" "$@"
}

nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.sm,clocks.mem,temperature.gpu --format=csv 2>&1 |
    tee "$OUT/log.txt"
part 40 tests "$PYTHON" -m pytest -q -rf --tb=short -p no:cacheprovider -m "$tests" \
    test/policy/test_policy_{golden,linear,loading,inference,policy}.py
card 38 small --card chunks images training --training-batches "${training[@]}" ${POLICY:+--policy "$POLICY"}
card 100 large --configuration large --card images chunks training "${large[@]}"
