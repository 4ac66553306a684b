# shellcheck shell=sh disable=SC2034,SC2154 # read by cli.sh, which sets and uses these names
# --state: sessions that start from a tuned state.

model=$models/f32_n16.safetensors
logits() {
    run rwkv7 logits "$model" --tokens 1,2,3,5,8 "$@"
}

logits -o zero.npy
exits 0
logits -o stated.npy --state "$models/f32_n16.state.safetensors"
exits 0
silent
ok 'the state matters' sh -c '! cmp -s zero.npy stated.npy'
logits -o turned.npy --state "$models/f32_n16.state_st.safetensors" --state-order key-value
exits 0
ok 'both orders' cmp -s stated.npy turned.npy

logits -o refused.npy --state "$models/f32_n16.state_st.safetensors"
exits 2
err_has "^rwkv7: .*f32_n16.state_st.safetensors: does not state the layout .*; choose one with --state-order"
ok 'no output' [ ! -e refused.npy ]
logits -o refused.npy --state "$model" --state-order value-key
exits 3
err_has "expected 'blocks.<i>.att.time_state' for each of 4 layers"
logits -o refused.npy --state missing.pth
exits 1
err 'rwkv7: missing.pth: No such file or directory'
logits -o refused.npy --state-order value-key
exits 2
err_has 'state-order'

run rwkv7 run --help
out_has '^ +--state FILE'
run rwkv7 run --model "$models/bf16_n64.safetensors" --vocab "$tests/syllables.vocab.txt" \
    --state "$models/f32_n16.state.safetensors" x
exits 3
text ''
err_has "tensor 'blocks.0.att.time_state': expected shape \[2,64,64\], found \[3,16,16\]"
run rwkv7 run --model "$models/bf16_n64.safetensors" --vocab "$tests/syllables.vocab.txt" --state x --state-in y x
exits 2
err_has '^rwkv7: --state and --state-in exclude each other'
given '/save talk
/load talk'
run rwkv7 chat -q --model "$model" --vocab "$tests/long.vocab.txt" --state "$models/f32_n16.state.safetensors"
exits 2
err 'rwkv7: /load and --state exclude each other'

# Saved and tuned states passed to the wrong option: the message names the kind and the right
# option.
set -- --model "$models/f32_n16.safetensors" --vocab "$tests/syllables.vocab.txt" -q -n 1
rwkv7 run "$@" --state-out swapped.state hello >/dev/null </dev/null
run rwkv7 run "$@" --state-in "$models/f32_n16.state.safetensors"
exits 3
err_has 'expected a saved state, found a tuned state; use --state$'
run rwkv7 run "$@" --state swapped.state hello
exits 3
err_has '^rwkv7: swapped.state: expected a tuned state, found a saved state; use --state-in$'
run rwkv7 run "$@" --state-in "$models/f32_n16.safetensors"
exits 3
err_has 'found weights; use -m for a model$'
run rwkv7 run "$@" --state-out - hello
exits 2
