#!/bin/sh
# scripts/compare.sh with stubs that print results: the commands it runs and the table it prints.
#
#   compare_test.sh SCRIPT
set -u

compare=$1
work=$(mktemp -d "${TMPDIR:-/tmp}/rwkv7-compare.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
failures=0

# Ours: 10, 20, 60 tokens per second in the first, second, third run, reading at 8 GB/s of 10. The
# peer: always 5.
cat >"$work/ours" <<'END'
#!/bin/sh
echo "ours $*" >>"$0.calls"
n=$(grep -c . "$0.calls")
rate=$(echo 10 20 60 | cut -d' ' -f"$n")
echo 'model,types,kernels,test,tokens,context,tok_s,density,bytes_s,read_bytes_s'
echo "\"a \"\"b\"\", c\",\"q8, f32\",k,prefill,64,0,$rate,,,"
echo "\"a\",\"q8, f32\",k,decode,16,7,$rate,1.0000,8e9,10e9"
echo "\"a\",\"q8, f32\",k,decode,16,7,$((2 * rate)),0.1500,4e9,10e9"
END
cat >"$work/peer" <<'END'
#!/bin/sh
echo "peer $*" >>"${0%peer}ours.order"
echo cpu_info,n_prompt,n_gen,avg_ts
echo '"a, b","64","0","5"'
echo '"a, b","0","16","5"'
END
cat >"$work/broken" <<'END'
#!/bin/sh
echo 'no such model' >&2
exit 1
END
chmod +x "$work/ours" "$work/peer" "$work/broken"
: >"$work/file"

run() { # run ARGUMENT...: compare.sh with our stub
    rm -f "$work/ours.calls"
    "$compare" --ours "$work/ours" "$@" >"$work/out" 2>"$work/err"
    code=$?
}

ok() { # ok WHAT COMMAND...
    what=$1
    shift
    "$@" && return
    failures=$((failures + 1))
    printf '\nFAILED: %s\n' "$what"
    cat "$work/out" "$work/err"
}

row() { # row TEXT: the table has this line
    ok "$1" grep -qxF "$1" "$work/out"
}

run --peer "them=$work/peer" --threads 1 --prompt 64 --tokens 16 --context 7 --density 0.15 --cpu k 0.1b:q8:Q8="$work/file"
ok 'succeeds' [ "$code" -eq 0 ]
ok 'silent' [ ! -s "$work/err" ]
ok 'ours is asked for the same' grep -qxF "ours bench --shape 0.1b --type q8 -t 1 -p 64 -n 16 --context 7 -r 1 --csv \
--ffn-density 0.15 --cpu k" "$work/ours.calls"
ok 'the peer too' grep -qxF "peer -m $work/file -t 1 -p 64 -n 16 -d 7 -r 1 -o csv" "$work/ours.order"
ok 'once per round' [ "$(grep -c . "$work/ours.order")" -eq 3 ]
row '| 0.1b q8 | k | them Q8 | 1 | prefill 64 | 20.0 | 5.0 | 4.00 (2.00-12.00) | - | - |'
row '| 0.1b q8 | k | them Q8 | 1 | decode 16 after 7 | 20.0 | 5.0 | 4.00 (2.00-12.00) | 8.0 | 80% |'
row '| 0.1b q8 | k | them Q8 | 1 | decode 16 after 7, density 0.15 | 40.0 | 5.0 | 8.00 (4.00-24.00) | 4.0 | 40% |'

run --rounds 2 --threads 1 --prompt 64 --tokens 16 --context 7 --log "$work/log" 0.1b:q8
run --log "$work/log"
row '| 0.1b q8 | k | - | 1 | decode 16 after 7 | 15.0 | - | - | 8.0 | 80% |'
ok 'the log alone measures nothing' [ ! -e "$work/ours.calls" ]

run --peer "them=$work/missing" --rounds 1 --threads 1 0.1b:q8:Q8="$work/file"
ok 'a missing peer is said' grep -q 'cannot run .*missing' "$work/err"
row '| 0.1b q8 | k | them Q8 | 1 | prefill 64 | 10.0 | - | - | - | - |'
run --peer "them=$work/peer" --rounds 1 --threads 1 0.1b:q8:Q8="$work/no-file"
ok 'a missing file is said' grep -q 'no file .*no-file' "$work/err"
ok 'and no failure' [ "$code" -eq 0 ]
run --peer "them=$work/broken" --rounds 1 --threads 1 0.1b:q8:Q8="$work/file"
ok 'a failing peer is' [ "$code" -eq 1 ]
ok 'with its words' grep -q 'no such model' "$work/err"

for bad in 0.1b 0.1b:q8:Q8 "0.1b:q8:Q8=$work/file" '--rounds'; do
    run "$bad"
    ok "usage error: $bad" [ "$code" -eq 2 ]
done

[ "$failures" -eq 0 ]
