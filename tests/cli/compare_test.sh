#!/bin/sh
# scripts/compare.sh with stubs that print results: the commands it runs and the table it prints.
#
#   compare_test.sh SCRIPT
set -u

compare=$1
work=$(mktemp -d "${TMPDIR:-/tmp}/rwkv7-compare.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
failures=0
stat=/dev/null # no CPU times: the load of the machine is unknown

# Stubs. Ours: 10, 20 and 60 tokens per second in rounds 1, 2 and 3, reading 8 of 10 GB/s. The peer:
# 5, the median of its repetitions.
cat >"$work/ours" <<'END'
#!/bin/sh
echo "ours $*" >>"$0.calls"
[ ! -e "${0%ours}stat.next" ] || mv "${0%ours}stat.next" "${0%ours}stat" # time passes
case "$*" in
*'-p 0 '*) test=decode ;;
*) test=prefill ;;
esac
echo "$test" >>"$0.$test"
n=$(grep -c . "$0.$test")
rate=$(echo 10 20 60 | cut -d' ' -f"$n")
echo 'model,types,kernels,test,tokens,context,tok_s,density,bytes_s,read_bytes_s'
if [ $test = prefill ]; then
    echo "\"a \"\"b\"\", c\",\"q8, f32\",k,prefill,64,0,$rate,,,"
else
    echo "\"a\",\"q8, f32\",k,decode,16,7,$rate,1.0000,8e9,10e9"
    echo "\"a\",\"q8, f32\",k,decode,16,7,$((2 * rate)),0.1500,4e9,10e9"
fi
END
cat >"$work/peer" <<'END'
#!/bin/sh
echo "peer $*" >>"${0%peer}ours.order"
case "$*" in
*'-p 0 '*) counts='"n_prompt": 0, "n_gen": 16' ;;
*) counts='"n_prompt": 64, "n_gen": 0' ;;
esac
echo "{\"cpu_info\": \"a, b\", $counts, \"avg_ts\": 70, \"samples_ts\": [ 4, 300, 5, 1e0, 5.0 ]}"
END
# Two programs that end only if their bursts alternate: ours waits for a file that the peer writes
# when it has seen that ours is stopped.
cat >"$work/waiting" <<'END'
#!/bin/sh
rm -f "${0%waiting}seen"
echo $$ >"${0%waiting}waiting.pid"
until [ -e "${0%waiting}seen" ]; do sleep 0.05; done
exec "${0%waiting}ours" "$@"
END
cat >"$work/watching" <<'END'
#!/bin/sh
until [ -s "${0%watching}waiting.pid" ] &&
    [ "$(ps -o state= -p "$(cat "${0%watching}waiting.pid")" | cut -c1)" = T ]; do sleep 0.05; done
touch "${0%watching}seen"
exec "${0%watching}peer" "$@"
END
cat >"$work/broken" <<'END'
#!/bin/sh
echo 'no such model' >&2
exit 1
END
chmod +x "$work/ours" "$work/peer" "$work/broken" "$work/waiting" "$work/watching"
: >"$work/file"

run() { # run ARGUMENT...: compare.sh with our stub
    rm -f "$work/ours.calls" "$work/ours.prefill" "$work/ours.decode" "$work/ours.order"
    COMPARE_STAT=$stat "$compare" --ours "$work/ours" --burst 0.2 "$@" >"$work/out" 2>"$work/err"
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

run --peer "them=$work/peer" --peer-options '--mmap 0 -x' --threads 1 --prompt 64 --tokens 16 --context 7 \
    --density 0.15 --cpu k --repetitions 5 0.1b:q8:Q8="$work/file"
ok 'succeeds' [ "$code" -eq 0 ]
ok 'only the bursts are too short for one of these speeds' [ "$(grep -vc 'bursts of 0.2 s are too short' "$work/err")" -eq 0 ]
ok 'which is said' grep -qF '0.1b q8, decode 16: a repetition takes 3.2 s' "$work/err"
ok 'ours is asked for the same' grep -qxF "ours bench --shape 0.1b --type q8 -t 1 -p 0 -n 16 --context 7 -r 5 --csv \
--ffn-density 0.15 --cpu k" "$work/ours.calls"
ok 'the peer too' grep -qxF "peer -m $work/file -t 1 -p 0 -n 16 -d 7 -r 5 -o jsonl --mmap 0 -x" "$work/ours.order"
ok 'prefill has no context' grep -qxF "peer -m $work/file -t 1 -p 64 -n 0 -d 0 -r 5 -o jsonl --mmap 0 -x" "$work/ours.order"
ok 'each test once per round' [ "$(grep -c . "$work/ours.order")" -eq 6 ]
row '| 0.1b q8 | k | them Q8 | 1 | prefill 64 | 20.0 | 5.0 | 4.00 (2.00-12.00) | - | - |'
row '| 0.1b q8 | k | them Q8 | 1 | decode 16 after 7 | 20.0 | 5.0 | 4.00 (2.00-12.00) | 8.0 | 80% |'
row '| 0.1b q8 | k | them Q8 | 1 | decode 16 after 7, density 0.15 | 40.0 | 5.0 | 8.00 (4.00-24.00) | 4.0 | 40% |'

run --rounds 2 --threads 1 --prompt 64 --tokens 16 --context 7 --log "$work/log" 0.1b:q8
run --log "$work/log"
row '| 0.1b q8 | k | - | 1 | decode 16 after 7 | 15.0 | - | - | 8.0 | 80% |'
ok 'the log alone measures nothing' [ ! -e "$work/ours.calls" ]

run --peer "them=$work/missing" --rounds 1 --threads 1 --prompt 64 0.1b:q8:Q8="$work/file"
ok 'a missing peer is said' grep -q 'cannot run .*missing' "$work/err"
row '| 0.1b q8 | k | them Q8 | 1 | prefill 64 | 10.0 | - | - | - | - |'
run --peer "them=$work/peer" --rounds 1 --threads 1 --prompt 64 0.1b:q8:Q8="$work/no-file"
ok 'a missing file is said' grep -q 'no file .*no-file' "$work/err"
ok 'and no failure' [ "$code" -eq 0 ]
run --peer "them=$work/broken" --rounds 1 --threads 1 0.1b:q8:Q8="$work/file"
ok 'a failing peer is' [ "$code" -eq 1 ]
ok 'with its words' grep -q 'no such model' "$work/err"

# The bursts alternate, whichever program begins.
for rounds in 1 2; do
    rm -f "$work/seen" "$work/waiting.pid"
    run --ours "$work/waiting" --peer "them=$work/watching" --threads 1 --rounds "$rounds" --prompt 0 --tokens 16 \
        0.1b:q8:Q8="$work/file"
    ok 'one program stands still while the other runs' [ "$code" -eq 0 ]
    ok 'and both are measured' grep -q '| them Q8 | 1 | decode 16' "$work/out"
done

# A busy machine: 1000 ticks pass while ours runs, TICKS of them busy; ours uses almost none of
# them.
busy() { # busy TICKS
    echo 'cpu  100 0 0 100 0 0 0 0 0 0' >"$work/stat"
    echo "cpu  $((100 + $1)) 0 0 $((1100 - $1)) 0 0 0 0 0 0" >"$work/stat.next"
    stat=$work/stat
    run --rounds 1 --threads 1 --prompt 0 --tokens 16 0.1b:q8
    stat=/dev/null
}
busy 600
ok 'other programs are reported' grep -qF 'other programs used 60% of the CPU time' "$work/err"
ok 'and in the table' grep -qF '2 of 2 measurements were made while other programs used more than 5% of the CPU time (up to 60%)' \
    "$work/out"
busy 30
ok 'a quiet machine is not' [ "$(grep -c 'other programs' "$work/err" "$work/out" | grep -vc ':0$')" -eq 0 ]

for bad in 0.1b 0.1b:q8:Q8 "0.1b:q8:Q8=$work/file" '--rounds' '--burst=x'; do
    run "$bad"
    ok "usage error: $bad" [ "$code" -eq 2 ]
done

[ "$failures" -eq 0 ]
