#!/bin/sh
# Measures rwkv7 against another program on weights of the same shape, side by side.
#
#   scripts/compare.sh [OPTION...] MODEL...
#
# Each MODEL is SHAPE:TYPE:NAME=FILE: our random weights of that shape and type (rwkv7 bench --shape SHAPE --type TYPE)
# against the peer's FILE, which the table calls NAME. A MODEL of SHAPE:TYPE alone is measured without a peer.
#
#   --peer NAME=PROGRAM   the other program. It must accept the options of llama-bench (-m FILE
#                         -t THREADS -p TOKENS -n TOKENS -d CONTEXT -r REPETITIONS -o jsonl) and
#                         print JSON lines with n_prompt, n_gen and samples_ts. A wrapper script
#                         must end with exec
#   --peer-options TEXT   more options for the peer, separated by spaces, such as '--mmap 0'
#   --ours PROGRAM        rwkv7; build/rwkv7 of this tree if not given
#   --threads N,...       1,2
#   --prompt N,...        tokens per prefill, 0: none                             64,512
#   --tokens N            tokens to decode, 0: none                               128
#   --context N,...       tokens evaluated before decoding                        0
#   --repetitions N       of each test while both programs are loaded             12
#   --burst SECONDS       how long one runs while the other stands still          2
#   --rounds N            repeat the whole comparison N times                     3
#   --density D           also decode with this fraction of hidden units not zero (ours only)
#   --cpu NAME            our kernels, as in rwkv7 bench --cpu
#   --log FILE            append the measurements to FILE and print a table of all measurements in
#                         it; without a MODEL, only print the table. A long comparison can thus be
#                         made in parts
#
# The speed of a shared machine changes within a minute. Both programs therefore stay loaded and run
# in alternating bursts: one is stopped (SIGSTOP) while the other runs. Each does all repetitions of
# a test. The median hides the few repetitions that were stopped in the middle; the script warns if
# a burst is too short for that. The ratio is ours / theirs within a round: median over the rounds,
# with minimum and maximum in brackets. GB/s is what our decoding reads (weights and state) per
# second; the share relates it to the bandwidth measured in the same run by the same threads. CPU
# time used by other programs is reported. If the peer or a file is missing, that is reported, and
# only rwkv7 is measured.
#
# Example:
#   scripts/compare.sh --peer llama.cpp=bin/llama-bench --peer-options '--mmap 0' \
#       0.4b:q8:Q8_0=0.4b-Q8_0.gguf 0.4b:bf16:F16=0.4b-F16.gguf
set -eu

usage() {
    sed -n '2,/^set /{ /^#/s/^# \{0,1\}//p; }' "$0"
}

die() {
    printf 'compare.sh: %s\n' "$*" >&2
    exit 2
}

ours=$(dirname "$0")/../build/rwkv7
XDG_CONFIG_HOME=/dev/null # without the config file of the user
export XDG_CONFIG_HOME
peer=
threads=1,2
prompts=64,512
tokens=128
contexts=0
repetitions=12
burst=2
rounds=3
peer_options=
density=
cpu=
log=
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help)
        usage
        exit
        ;;
    --*) [ $# -gt 1 ] || die "$1 needs a value" ;;
    *) break ;;
    esac
    case $1 in
    --ours) ours=$2 ;;
    --peer) peer=$2 ;;
    --peer-options) peer_options=$2 ;;
    --threads) threads=$2 ;;
    --prompt) prompts=$2 ;;
    --tokens) tokens=$2 ;;
    --context) contexts=$2 ;;
    --repetitions) repetitions=$2 ;;
    --burst) burst=$2 ;;
    --rounds) rounds=$2 ;;
    --density) density=$2 ;;
    --cpu) cpu=$2 ;;
    --log) log=$2 ;;
    *) die "unknown option $1; see --help" ;;
    esac
    shift 2
done
[ $# -gt 0 ] || [ -n "$log" ] || die "no model; see --help"
case $rounds in
'' | *[!0-9]*) die "--rounds needs a number, not '$rounds'" ;;
esac
case $repetitions in
'' | 0* | *[!0-9]*) die "--repetitions needs a number from 1, not '$repetitions'" ;;
esac
case $burst in
'' | *[!0-9.]* | *.*.* | .) die "--burst needs a number of seconds, not '$burst'" ;;
esac
for model; do
    case $model in
    ?*:?*:?*=?*)
        [ -n "$peer" ] || die "'$model' is measured against a peer; see --peer"
        [ -f "${model#*=}" ] || printf 'compare.sh: no file %s, ours is measured alone\n' "${model#*=}" >&2
        ;;
    *=* | *:*:* | *[!a-z0-9.:]*) die "'$model' is not SHAPE:TYPE:NAME=FILE" ;;
    ?*:?*) ;;
    *) die "'$model' is not SHAPE:TYPE:NAME=FILE" ;;
    esac
done
[ $# -eq 0 ] || command -v "$ours" >/dev/null || die "cannot run '$ours'; see --ours"
case $peer in
'') program= ;;
?*=?*) program=${peer#*=} ;;
*) die "--peer needs NAME=PROGRAM, not '$peer'" ;;
esac
peer=${peer%%=*}
if [ -n "$program" ] && ! command -v "$program" >/dev/null; then
    printf 'compare.sh: cannot run %s, ours is measured alone\n' "$program" >&2
    program=
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/compare.XXXXXX")
running=
end() { # called by the trap
    for pid in $running; do
        kill -TERM "$pid" 2>/dev/null || : # a stopped process dies when it continues
        kill -CONT "$pid" 2>/dev/null || :
    done
    rm -rf "$work"
}
trap end EXIT
trap 'exit 1' HUP INT TERM
log=${log:-$work/log}
failed=0

# Columns of a CSV file by their names, for the awk programs below: csv(line) fills field[], col[name] is its index.
csv='
function csv(line,    i, c, n, quoted) {
    split("", field)
    for (i = n = 1; i <= length(line); i++) {
        c = substr(line, i, 1)
        if (c == "\"")
            quoted = !quoted
        else if (c == "," && !quoted)
            n++
        else
            field[n] = field[n] c
    }
    return n
}
FNR == 1 {
    for (i = csv($0); i > 0; i--)
        col[field[i]] = i
    next
}
{ csv($0) }
function get(name) { return field[col[name]] }
'

# A line of the log: run,shape,type,peer,side,threads,test,tokens,context,density,kernels,tok_s,bytes_s,read_bytes_s,others
# run is the same for all measurements of one round and number of threads. others is the share of
# the CPU time that other programs used; empty if unknown.
record() { # record SIDE: from $work/SIDE.out
    awk -v side="$1" -v head="$run,$shape,$type,$against,$1,$thread" -v context="$context" -v others="$others" "$csv"'
        side == "ours" {
            OFS = ","
            print head, get("test"), get("tokens"), get("context"), get("density"), get("kernels"), get("tok_s"), \
                get("bytes_s"), get("read_bytes_s"), others
        }' "$work/$1.out" >>"$log"
}
record_peer() { # the same for the JSON lines of the peer; takes the median of the samples
    awk -v head="$run,$shape,$type,$against,peer,$thread" -v context="$context" -v others="$others" '
        function member(name) {
            if (!match($0, "\"" name "\": *[0-9.eE+-]+"))
                return ""
            rest = substr($0, RSTART, RLENGTH)
            sub(/.*: */, "", rest)
            return rest
        }
        match($0, /"samples_ts": *\[[^]]*\]/) {
            list = substr($0, RSTART, RLENGTH)
            sub(/^[^[]*\[/, "", list)
            sub(/\]$/, "", list)
            n = split(list, x, ",")
            for (i = 1; i <= n; i++)
                for (j = i; j > 1 && x[j - 1] + 0 > x[j] + 0; j--) {
                    y = x[j]; x[j] = x[j - 1]; x[j - 1] = y
                }
            rate = (x[int((n + 1) / 2)] + x[int(n / 2) + 1]) / 2
            decode = member("n_gen") > 0
            print head "," (decode ? "decode," member("n_gen") "," context : "prefill," member("n_prompt") ",0") ",,," \
                rate ",,," others
        }' "$work/peer.out" >>"$log"
}

launch() { # launch SIDE COMMAND...: starts a program in the stopped state
    launched=$1
    shift
    rm -f "$work/$launched.pid" "$work/$launched.code"
    echo "$*" >"$work/$launched.command"
    (
        code=0
        # shellcheck disable=SC2016 # expanded by the inner shell, which then runs exec
        sh -c 'echo $$ >"$0.new" && mv "$0.new" "$0" && kill -STOP $$ && exec "$@"' "$work/$launched.pid" "$@" \
            >"$work/$launched.out" 2>"$work/$launched.err" </dev/null || code=$?
        echo "$code" >"$work/$launched.code"
    ) &
    while [ ! -s "$work/$launched.pid" ]; do sleep 0.05; done
    running="$running $(cat "$work/$launched.pid")"
}

ended() { # ended SIDE
    [ -s "$work/$1.code" ]
}

let_run() { # let_run SIDE: for one burst, or until it ends
    ended "$1" && return
    kill -CONT "$(cat "$work/$1.pid")" 2>/dev/null || :
    awk -v burst="$burst" 'BEGIN { for (i = 0; i < burst; i += 0.1) print i }' | while read -r _ && ! ended "$1"; do
        sleep 0.1
    done
    ended "$1" || kill -STOP "$(cat "$work/$1.pid")" 2>/dev/null || :
}

# CPU time in ticks: of the machine, idle, and of the children of this script.
machine=${COMPARE_STAT:-/proc/stat} # another file for tests
clock() { # clock FILE
    if [ -r "$machine" ]; then
        grep '^cpu ' "$machine" >"$1" || :
    else
        : >"$1"
    fi
    times >>"$1"
}

# Sets $others: the share of the CPU time between two clocks that other programs used.
count_others() { # count_others BEFORE AFTER
    others=$(awk -v tick="$(getconf CLK_TCK)" '
        function seconds(text,    part) {
            split(text, part, /[ms]/)
            return 60 * part[1] + part[2]
        }
        FNR == 1 { file++ }
        $1 == "cpu" {
            known[file] = 1
            for (i = 2; i <= 9 && i <= NF; i++) {
                total[file] += $i / tick
                busy[file] += (i == 5 || i == 6 ? 0 : $i / tick) # except idle and iowait
            }
        }
        $1 != "cpu" { own[file] += seconds($1) + seconds($2) }
        END {
            all = total[2] - total[1]
            if (known[1] && known[2] && all > 0)
                printf "%.3f", ((x = (busy[2] - busy[1] - own[2] + own[1]) / all) > 0 ? x : 0)
        }' "$1" "$2")
    if [ -n "$others" ] && [ "$(echo "$others" | awk '{ print ($1 > 0.05) }')" -eq 1 ]; then
        printf 'compare.sh: other programs used %.0f%% of the CPU time of this machine: do not trust %s\n' \
            "$(echo "$others" | awk '{ print 100 * $1 }')" "$shape $type, threads $thread, $test_name" >&2
    fi
}

finish() { # finish SIDE: records what it printed
    [ -s "$work/$1.command" ] || return 0
    if [ "$(cat "$work/$1.code")" -ne 0 ]; then
        printf 'compare.sh: failed: %s\n' "$(cat "$work/$1.command")" >&2
        tail -n 3 "$work/$1.err" >&2
        failed=1
    elif [ "$1" = ours ]; then
        record ours
    else
        record_peer
    fi
}

# The burst must hold several repetitions: they are $tokens_of_test tokens each.
check_burst() {
    awk -F, -v run="$run" -v burst="$burst" -v tokens="$tokens_of_test" -v name="$shape $type, $test_name" '
        $1 == run && $12 > 0 && 3 * tokens / $12 > burst && (!slow || $12 < slow) { slow = $12 }
        END {
            if (slow)
                printf "compare.sh: %s: a repetition takes %.1f s, so bursts of %g s are too short: see --burst, --tokens\n", \
                    name, tokens / slow, burst
        }' "$log" >&2
}

measure_test() { # measure_test PROMPT TOKENS ROUND
    tokens_of_test=$(($1 + $2))
    test_name="prefill $1"
    [ "$2" -eq 0 ] || test_name="decode $2"
    run=$(date +%s).$$.$3.$1.$2
    running=
    : >"$work/peer.command"
    clock "$work/before"
    launch ours "$ours" bench --shape "$shape" --type "$type" -t "$thread" -p "$1" -n "$2" --context "$context" \
        -r "$repetitions" --csv ${density:+--ffn-density "$density"} ${cpu:+--cpu "$cpu"}
    if [ -n "$program" ] && [ -f "$file" ]; then
        # shellcheck disable=SC2086 # several words
        launch peer "$program" -m "$file" -t "$thread" -p "$1" -n "$2" -d "$context" -r "$repetitions" -o jsonl \
            $peer_options
    else
        echo 0 >"$work/peer.code"
    fi
    first=ours second=peer
    [ $(($3 % 2)) -eq 1 ] || first=peer second=ours
    until ended ours && ended peer; do
        let_run "$first"
        let_run "$second"
    done
    wait
    running=
    clock "$work/after"
    count_others "$work/before" "$work/after"
    finish ours
    finish peer
    check_burst
}

# Sets the variables that the functions above read.
measure_model() { # measure_model MODEL ROUND
    shape=${1%%:*}
    type=${1#*:}
    file=
    against=
    case $1 in
    *=*)
        file=${1#*=}
        type=${type%%=*}
        against="$peer ${type#*:}"
        type=${type%%:*}
        ;;
    esac
    for thread in $(echo "$threads" | tr , ' '); do
        context=0
        for prompt in $(echo "$prompts" | tr , ' '); do
            [ "$prompt" -eq 0 ] || measure_test "$prompt" 0 "$2"
        done
        for context in $(echo "$contexts" | tr , ' '); do
            [ "$tokens" -eq 0 ] || measure_test 0 "$tokens" "$2"
        done
    done
}

[ -s "$log" ] || echo run,shape,type,peer,side,threads,test,tokens,context,density,kernels,tok_s,bytes_s,read_bytes_s,others \
    >"$log"
round=1
while [ $# -gt 0 ] && [ "$round" -le "$rounds" ]; do
    for model; do
        measure_model "$model" "$round"
    done
    round=$((round + 1))
done

awk "$csv"'
function add(list, value) { values[list, ++count[list]] = value }
function sort(list,    i, j, x) {
    for (i = 2; i <= count[list]; i++) {
        x = values[list, i]
        for (j = i - 1; j > 0 && values[list, j] > x; j--)
            values[list, j + 1] = values[list, j]
        values[list, j + 1] = x
    }
}
function median(list,    n) {
    n = count[list]
    sort(list)
    return (values[list, int((n + 1) / 2)] + values[list, int(n / 2) + 1]) / 2
}
function text(list, format, scale) { return (list in count) ? sprintf(format, scale * median(list)) : "-" }
function ratio_text(list) {
    if (!(list in count))
        return "-"
    return sprintf("%.2f (%.2f-%.2f)", median(list), values[list, 1], values[list, count[list]])
}
get("others") + 0 > 0.05 {
    noisy++
    most = get("others") > most ? get("others") : most
}
{
    key = get("shape") SUBSEP get("type") SUBSEP get("peer") SUBSEP get("threads") SUBSEP get("test") SUBSEP \
        get("tokens") SUBSEP get("context")
    rate = get("tok_s") + 0
}
get("side") == "peer" {
    add("theirs" SUBSEP key, rate)
    theirs[key, get("run")] = rate
}
get("side") == "ours" {
    row = key SUBSEP get("density") SUBSEP get("kernels")
    if (!(row in seen)) {
        seen[row] = key
        rows[++height] = row
    }
    add("ours" SUBSEP row, rate)
    ours[row, get("run")] = rate
    runs[row] = runs[row] " " get("run")
    if (get("bytes_s") != "") {
        add("bytes" SUBSEP row, get("bytes_s") + 0)
        add("share" SUBSEP row, get("bytes_s") / get("read_bytes_s"))
    }
}
END {
    print "| shape, type | kernels | against | threads | test | ours tok/s | theirs | ratio | GB/s | of the bandwidth |"
    print "|---|---|---|---|---|---|---|---|---|---|"
    for (i = 1; i <= height; i++) {
        row = rows[i]
        split(row, f, SUBSEP)
        n = split(runs[row], run, " ")
        for (j = 1; j <= n; j++)
            if ((seen[row], run[j]) in theirs)
                add("ratio" SUBSEP row, ours[row, run[j]] / theirs[seen[row], run[j]])
        test = f[5] " " f[6] (f[7] + 0 ? " after " f[7] : "") (f[8] == "" || f[8] == 1 ? "" : ", density " f[8] + 0)
        printf "| %s %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", f[1], f[2], f[9], (f[3] == "" ? "-" : f[3]), \
            f[4], test, text("ours" SUBSEP row, "%.1f", 1), text("theirs" SUBSEP seen[row], "%.1f", 1), \
            ratio_text("ratio" SUBSEP row), text("bytes" SUBSEP row, "%.1f", 1e-9), \
            text("share" SUBSEP row, "%.0f%%", 100)
    }
    if (noisy)
        printf "\n%d of %d measurements were made while other programs used more than 5%% of the CPU time (up to %.0f%%).\n", \
            noisy, NR - 1, 100 * most
}' "$log"
exit $failed
