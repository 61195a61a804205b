#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs the example image_classification as a user does: all commands, every preset, and a training that is killed at
# random moments and goes on.
#   program.sh PROGRAM PRESETS     PROGRAM is the executable, PRESETS the folder of its presets
. "$(dirname "$0")/../program_test.sh"

run --list-models
expect "resnet50"
refuses "there is no command 'trian'; the commands are train, evaluate" trian
refuses "holds no images that are known here" train --data "$folder" --out none
refuses "network.json: cannot be opened; name with --trained a folder that train has written" \
  evaluate --trained "$folder"

# A data set of PNG files: the figures of the project's documents, as two classes.
images=$(cd "$(dirname "$presets")/.." && pwd)
for part in train test; do
  mkdir -p "data/$part/one" "data/$part/other"
  cp "$images"/*/[a-m]*.png "data/$part/one/"
  cp "$images"/*/[n-z]*.png "data/$part/other/"
done
echo "no picture" >data/train/one/broken.png
run train --data data --model resnet18_small --epochs 1 --batch 4 --samples 2 --out files --cache cache
expect "broken.png"
refuses "broken.png" train --data data --model lenet --side 32 --epochs 1 --strict --out strict
run evaluate --data data --trained files/ivon-1 --samples 2 --outside data/test --out evaluated
run predict --trained files/ivon-1 --samples 2 data/test/one/*.png
expect "mutual information"
run triage --trained files/ivon-1 --samples 2 --out sorted data/test
[ "$(wc -l <sorted/triage.csv)" = $(($(find data/test -name '*.png' | wc -l) + 1)) ] || fail "triage.csv lacks images"

for preset in "$presets"/*.json; do
  run train --config "$preset" --smoke --side 32 --train-limit 24 --batch 12 --test-limit 8 --measured 0 \
    --samples 1 --lr 0.001 --out preset
done
run compare --smoke --optimizers ivon,sgd --seeds 2 --out compared
expect "ivon, 2 samples"
"$program" compare --smoke --optimizers ivon,sgd --seeds 2 --resume --out compared >again 2>&1
cmp <(grep -v "^ivon-\|^sgd-" log) again || fail "the comparison that goes on has another result"
run train --smoke --optimizer sgd --lr 1e20 --out diverged
expect "the training has diverged"

# Killed at random moments, with other numbers of reading threads, the training ends with the same bits.
training=(train --model resnet20 --train-limit 240 --batch 8 --epochs 2 --rand-augment 9 --mixup 0.2 --test-limit 8
  --measured 0 --samples 1 --checkpoint-seconds 0 --threads 1)
for optimizer in ivon sgd; do
  options=(--optimizer "$optimizer")
  [ "$optimizer" = ivon ] || options+=(--average 0.9)
  run "${training[@]}" "${options[@]}" --out "whole-$optimizer"
  kills=0
  for workers in 1 2 3; do
    "$program" "${training[@]}" "${options[@]}" --resume --workers "$workers" --out "killed-$optimizer" >log 2>&1 &
    # Not before it has got somewhere, then at a random moment.
    for _ in $(seq 600); do
      ! compgen -G "killed-$optimizer/checkpoint-*.pt" >/dev/null || break
      sleep 0.1
    done
    sleep "0.$((RANDOM % 5))"
    if kill -9 $! 2>/dev/null; then kills=$((kills + 1)); fi
    wait $! 2>/dev/null || true
  done
  [ "$kills" -gt 0 ] || fail "the training ended before it was killed"
  run "${training[@]}" "${options[@]}" --resume --out "killed-$optimizer"
  cmp "whole-$optimizer/$optimizer-1/weights.pt" "killed-$optimizer/$optimizer-1/weights.pt" ||
    fail "the resumed training with $optimizer is another one"
done
echo "image_classification: all commands, $(find "$presets" -name '*.json' | wc -l) presets, resumed trainings"
