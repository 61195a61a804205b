#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs the example gpt2 as a user does: all commands, every preset, bad input, and trainings that are killed at random
# moments and go on.
#   program.sh PROGRAM PRESETS     PROGRAM is the executable, PRESETS the folder of its presets
. "$(dirname "$0")/../program_test.sh"

# The text: the project's documents.
project=$(cd "$(dirname "$presets")/../.." && pwd)
mkdir "$folder/text"
for file in "$project"/docs/*.md; do cp "$file" "$folder/text/$(basename "$file" .md).txt"; done
cp "$project/LICENSE" "$folder/license.txt"

refuses "there is no command 'trian'; the commands are prepare, train" trian
run prepare --text text --vocabulary-size 400 --out data
expect "validation tokens of 400 kinds"
run tokenize --vocabulary data license.txt
[ "$(wc -w <log)" -gt 1000 ] || fail "tokenize printed too few ids"
run tokenize --vocabulary data --lines license.txt
[ "$(wc -l <log)" = "$(wc -l <license.txt)" ] || fail "tokenize --lines printed another number of lines"
refuses "none.txt: cannot be opened" train --text none.txt --out none
refuses "--trained must name a folder" generate

small=(--layers 1 --heads 2 --width 16 --context 32 --batch 4 --iterations 6 --evaluate-every 3 --measured 4 --scored 8
  --samples 2 --threads 1)
run train --data data "${small[@]}" --preview 20 --out trained
expect "averaged over 2 samples"
run generate --trained trained/ivon-1 --tokens 8 --prompt "The license" --threads 1
expect "negative log probability"
run generate --trained trained/ivon-1 --tokens 8 --uncertainty --from average --samples 2 --threads 1
expect '"mutual_information"'
run generate --trained trained/ivon-1 --tokens 8 --candidates 2 --from average --samples 2 --threads 1
expect "expected chrF"
run generate --trained trained/ivon-1 --tokens 8 --candidates 2 --abstain 100 --threads 1
expect "no answer"
run perplexity --trained trained/ivon-1 --text license.txt --samples 2 --json records.jsonl --out scored --threads 1
expect "bits per byte"
grep -q '"log_probability_averaged"' records.jsonl || fail "records.jsonl lacks averaged log probabilities"

# Adapters on another text, then merged; then all weights in the same folder, which must not keep the adapters.
steps=(--batch 4 --iterations 4 --evaluate-every 2 --measured 4 --scored 8 --samples 2 --threads 1)
run finetune --trained trained/ivon-1 --text license.txt "${steps[@]}" --rank 2 --out adapted
expect "before"
run generate --trained adapted/ivon-1 --tokens 4 --from sample --threads 1
run export --trained adapted/ivon-1 --out exported
run perplexity --trained exported --text license.txt --out scored --threads 1
refuses "holds adapters" finetune --trained adapted/ivon-1 --text license.txt --out none
refuses "--out must be another folder" finetune --trained adapted/ivon-1 --text license.txt --out adapted
run finetune --trained trained/ivon-1 --text license.txt "${steps[@]}" --rank 0 --out adapted
[ ! -e adapted/ivon-1/base.json ] || fail "adapters were left beside new weights"
refuses "was written with other settings" finetune --trained exported --text license.txt "${steps[@]}" --rank 0 --resume \
  --out adapted

# Questions: made from a text, and written by hand.
run questions --text license.txt --train 40 --test 20 --passage-words 6 --choice-words 2 --out questions
run finetune --trained trained/ivon-1 --questions questions/train.jsonl --test-questions questions/test.jsonl \
  "${steps[@]}" --rank 0 --prune 0.1 --tau 2 --out answered
expect "ECE"
run finetune --config "$presets/lora.json" --trained trained/ivon-1 --questions questions/train.jsonl \
  --test-questions questions/test.jsonl "${steps[@]}" --out answered
refuses "--tau" finetune --trained trained/ivon-1 --text license.txt --tau 0 --out none
refuses "must be given together" finetune --trained trained/ivon-1 --questions questions/train.jsonl --out none
echo '{"text": "1 is", "choices": [" odd"], "answer": 0}' >one.jsonl
refuses "one.jsonl" finetune --trained trained/ivon-1 --questions one.jsonl --test-questions one.jsonl --out none

# Another tokenizer in the same folder: the first vocabulary must not stay.
run train --text license.txt "${small[@]}" --tokenizer characters --preview 0 --out trained
refuses "has tokens of another vocabulary" finetune --trained exported --data trained/data "${steps[@]}" --out none

# Files of ids that the vocabulary lacks, of an odd length, and empty.
cp -r data broken
printf '\xff\xff' >>broken/val.bin
refuses "broken/val.bin" train --data broken "${small[@]}" --out none
printf 'x' >broken/val.bin
refuses "broken/val.bin" train --data broken "${small[@]}" --out none
: >broken/val.bin
refuses "broken/val.bin" train --data broken "${small[@]}" --out none
# A model whose vocabulary is another, and weights that were cut off.
mkdir vocabulary
run prepare --text text --vocabulary-size 500 --out vocabulary
refuses "500 tokens" generate --trained exported --vocabulary vocabulary
head -c 1000 exported/model.safetensors >cut && mv cut exported/model.safetensors
refuses "exported/model.safetensors" generate --trained exported

refuses "must be a multiple of --evaluate-every" train --text license.txt --iterations 5 --evaluate-every 2 --out none
refuses "must have more tokens than the context" train --text one.jsonl "${small[@]}" --vocabulary data --out none

for preset in "$presets"/*.json; do
  [ "$(basename "$preset")" != lora.json ] || continue
  options=()
  ! grep -q '"vocabulary"' "$preset" || options=(--vocabulary data)
  run train --config "$preset" --smoke --text license.txt "${options[@]}" --batch 1 --accumulate 2 --preview 0 --out preset
done

# Killed at random moments, the training ends with the same bits.
training=(train --data data --layers 2 --heads 2 --width 32 --context 32 --batch 4 --iterations 120 --evaluate-every 60
  --dropout 0.1 --measured 0 --scored 1 --samples 1 --preview 0 --checkpoint-seconds 0 --threads 1)
for optimizer in ivon adamw ivon-paper; do
  options=(--optimizer "$optimizer")
  [ "$optimizer" != ivon-paper ] || options+=(--fresh-samples --accumulate 2 --no-sample-on-step)
  run "${training[@]}" "${options[@]}" --out "whole-$optimizer"
  kills=0
  checkpoint=killed-$optimizer/checkpoint-$optimizer-1.pt
  for _ in 1 2 3; do
    touch begun
    "$program" "${training[@]}" "${options[@]}" --resume --out "killed-$optimizer" >log 2>&1 &
    # Not before it has written a checkpoint of its own, then at a random moment.
    for _ in $(seq 600); do
      [ ! "$checkpoint" -nt begun ] || break
      sleep 0.1
    done
    sleep "0.$((RANDOM % 3))"
    if kill -9 $! 2>/dev/null; then kills=$((kills + 1)); fi
    wait $! 2>/dev/null || true
  done
  [ "$kills" -gt 0 ] || fail "the training ended before it was killed"
  run "${training[@]}" "${options[@]}" --resume --out "killed-$optimizer"
  for file in model.safetensors posterior.pt; do
    [ -e "whole-$optimizer/$optimizer-1/$file" ] || continue
    cmp "whole-$optimizer/$optimizer-1/$file" "killed-$optimizer/$optimizer-1/$file" ||
      fail "the resumed training with $optimizer is another one"
  done
done
echo "gpt2: all commands, $(find "$presets" -name '*.json' | wc -l) presets, resumed trainings"
