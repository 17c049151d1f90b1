#!/usr/bin/env bash
# Demonstrations, data set, policy and scores of Meta-World's tasks, without a network once mode_ros is installed.
#
#   scripts/train_metaworld.sh OUT [TASKS]        TASKS: metaworld-50 by default, or suites and tasks with commas
#
# EPISODES=160 per task, STEPS=10500, BATCH=512, ROLLOUTS=50 per task, JOBS=one per core, CHANGES="KEY=VALUE ..." of the
# training, on a GPU CHANGES="data.pictures=device run.recorded=true", MODE_ROS="mode_ros". Typed again it goes on where
# it was. Rehearse it first:
#
#   EPISODES=2 STEPS=2 BATCH=8 ROLLOUTS=1 JOBS=1 scripts/train_metaworld.sh rehearsal reach,push
set -euo pipefail

out=${1:?give a folder for everything}
tasks=${2:-metaworld-50}
mode_ros=${MODE_ROS:-mode_ros}
jobs=${JOBS:-$(nproc)}

# Exit status 3: something was left out or given up, which was said; the rest is there.
allow_left_out() { "$@" || [ $? -eq 3 ]; }

mkdir -p "$out"
# $mode_ros and $CHANGES may be several words.
allow_left_out $mode_ros record-sim "$out/bags" --tasks "$tasks" --episodes "${EPISODES:-160}" --jobs "$jobs"
allow_left_out $mode_ros convert "$out"/bags/*/ "$out/data" --jobs "$jobs"

if [ ! -e "$out/run/policy" ]; then
    resume=()
    if compgen -G "$out/run/checkpoints/step_*" >/dev/null; then resume=(--resume); fi
    $mode_ros train metaworld data.path="$out/data" run.steps="${STEPS:-10500}" run.batch_size="${BATCH:-512}" \
        ${CHANGES:-} --output "$out/run" "${resume[@]}"
fi

# Each suite has a table of its own; tasks that are named one by one share one.
suites=()
named=
for name in ${tasks//,/ }; do
    case $name in
        metaworld-*) suites+=("$name") ;;
        *) named+="${named:+,}$name" ;;
    esac
done
score() { # OUTPUT OPTIONS...
    for number_format in float32 bfloat16; do
        $mode_ros evaluate "$out/run/policy" "${@:2}" --rollouts "${ROLLOUTS:-50}" --jobs "$jobs" --latency 0.1 \
            --execution receding --actions 5 --steps 4 --number-format $number_format --output "$1_$number_format"
    done
}
if [ -n "$named" ]; then score "$out/evaluation" --suite metaworld-50 --tasks "$named"; fi
for suite in "${suites[@]+"${suites[@]}"}"; do
    where=$out/evaluation
    if ((${#suites[@]} > 1)) || [ -n "$named" ]; then where+="_$suite"; fi
    score "$where" --suite "$suite"
done
