#!/bin/sh
# Measures rwkv7 against another program on weights of the same shape, side by side.
#
#   scripts/compare.sh [OPTION...] MODEL...
#
# Each MODEL is SHAPE:TYPE:NAME=FILE: our random weights of that shape and type (rwkv7 bench --shape SHAPE --type TYPE)
# against the peer's FILE, which the table calls NAME. A MODEL of SHAPE:TYPE alone is measured without a peer.
#
#   --peer NAME=PROGRAM   the other program. It takes the options of llama-bench (-m FILE -t THREADS -p TOKENS,...
#                         -n TOKENS -d CONTEXT -r 1 -o csv) and prints its columns n_prompt, n_gen and avg_ts
#   --ours PROGRAM        rwkv7; build/rwkv7 of this tree if not given
#   --threads N,...       1,2
#   --prompt N,...        tokens per prefill, 0: none                             64,512
#   --tokens N            tokens to decode, 0: none                               128
#   --context N,...       tokens evaluated before decoding                        0
#   --rounds N            of everything                                           3
#   --density D           ours decodes once more with this part of hidden units not zero
#   --cpu NAME            our kernels, as in rwkv7 bench --cpu
#   --log FILE            append the measurements to FILE and print the table of all that it holds; without a MODEL, only
#                         print it. So a long comparison, or one with several peers, may be made in pieces
#
# The speed of a shared machine changes by the minute. So each round runs both programs one right after the other,
# in alternating order, and the ratio is the median over the rounds of ours / theirs within a round; its least and
# most stand in brackets. GB/s is what our decoding reads, weights and state; the share is that of the bandwidth measured
# in the same run, by the same threads. A program or a file that is missing is reported, and ours measured alone.
#
# Example:
#   scripts/compare.sh --peer llama.cpp=bin/llama-bench 0.4b:q8:Q8_0=0.4b-Q8_0.gguf 0.4b:bf16:F16=0.4b-F16.gguf
set -eu

usage() {
    sed -n '2,/^set /{ /^#/s/^# \{0,1\}//p; }' "$0"
}

die() {
    printf 'compare.sh: %s\n' "$*" >&2
    exit 2
}

ours=$(dirname "$0")/../build/rwkv7
XDG_CONFIG_HOME=/dev/null # without the options that the user always wants
export XDG_CONFIG_HOME
peer=
threads=1,2
prompts=64,512
tokens=128
contexts=0
rounds=3
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
    --threads) threads=$2 ;;
    --prompt) prompts=$2 ;;
    --tokens) tokens=$2 ;;
    --context) contexts=$2 ;;
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
trap 'rm -rf "$work"' EXIT
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

# A line of the log: run,shape,type,peer,side,threads,test,tokens,context,density,kernels,tok_s,bytes_s,read_bytes_s
# What was measured in one round under one number of threads has the same run.
record() { # record SIDE: from $work/csv
    awk -v side="$1" -v head="$run,$shape,$type,$against,$1,$thread" -v context="$context" "$csv"'
        side == "ours" {
            OFS = ","
            print head, get("test"), get("tokens"), get("context"), get("density"), get("kernels"), get("tok_s"), \
                get("bytes_s"), get("read_bytes_s")
        }
        side == "peer" {
            decode = get("n_gen") > 0
            print head "," (decode ? "decode," get("n_gen") "," context : "prefill," get("n_prompt") ",0") ",,," \
                get("avg_ts") ",,"
        }' "$work/csv" >>"$log"
}

attempt() { # attempt SIDE COMMAND...
    side=$1
    shift
    if "$@" >"$work/csv" 2>"$work/err" </dev/null; then
        record "$side"
    else
        printf 'compare.sh: failed: %s\n' "$*" >&2
        tail -n 3 "$work/err" >&2
        failed=1
    fi
}

measure() { # measure SIDE
    case $1 in
    ours)
        attempt ours "$ours" bench --shape "$shape" --type "$type" -t "$thread" -p "$prompt" -n "$tokens" \
            --context "$context" -r 1 --csv ${density:+--ffn-density "$density"} ${cpu:+--cpu "$cpu"}
        ;;
    peer)
        [ -z "$program" ] || [ ! -f "$file" ] ||
            attempt peer "$program" -m "$file" -t "$thread" -p "$prompt" -n "$tokens" -d "$context" -r 1 -o csv
        ;;
    esac
}

# Sets what the functions above read.
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
        prompt=$prompts
        for context in $(echo "$contexts" | tr , ' '); do
            run=$(date +%s).$$.$2
            if [ $(($2 % 2)) -eq 1 ]; then
                measure ours
                measure peer
            else
                measure peer
                measure ours
            fi
            prompt=0 # which does not depend on the context
        done
    done
}

[ -s "$log" ] || echo run,shape,type,peer,side,threads,test,tokens,context,density,kernels,tok_s,bytes_s,read_bytes_s >"$log"
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
}' "$log"
exit $failed
