# shellcheck shell=sh disable=SC2034,SC2154 # read by cli.sh, which sets and uses these names
# Text of models and files: control sequences are escaped on a terminal and unchanged in a pipe.

ln -s "$models/f32_n16.safetensors" model.safetensors
ln -s "$tests/bytes.vocab.txt" vocab.txt
with='-m model.safetensors --vocab vocab.txt'
escape=$(printf '\033')
python3=$(command -v python3) || skip 'no python3, so no terminal'

# on_pty [-e] COMMAND...: as `run`, with a terminal for standard output
on_pty() {
    last="$* on a terminal"
    python3 "$tests/on_pty.py" "$@" <"$work/in" >"$work/out" 2>"$work/err"
    code=$?
    : >"$work/in"
}

# Control characters, sequences, C1 as a character and as a byte, text direction, Unicode line ends;
# joiners and emoji are unchanged.
printf 'a\033[2Jb\r\n\tc\a\b\177 \302\2332J \233 \342\200\256x\342\201\246 \342\200\250 \303\251 \360\237\221\251\342\200\215\360\237\224\254 \342\202' >raw
shown='a\x1b[2Jb\r
	c\x07\x08\x7f \u009b2J \x9b \u202ex\u2066 \u2028 é 👩‍🔬 \xe2\x82'

cp raw "$work/in"
run rwkv7 run -q $with -n 0 --echo
ok 'in a pipe it is what it is' cmp -s raw "$work/out"
rwkv7 tokenize --vocab vocab.txt <raw >ids
cp ids "$work/in"
run rwkv7 tokenize --vocab vocab.txt --decode
ok 'in a pipe it is what it is' cmp -s raw "$work/out"

if [ -n "$python3" ]; then
    cp raw "$work/in"
    on_pty rwkv7 run -q $with -n 0 --echo
    exits 0
    ok 'on a terminal it is harmless' holds_lines "$work/out" "$shown"
    cp ids "$work/in"
    on_pty rwkv7 tokenize --vocab vocab.txt --decode # a token is a byte: characters come in pieces
    ok 'on a terminal it is harmless' holds "$work/out" "$shown"

    # Model output: the bytes of a control sequence as separate tokens, drawn in turn.
    says() { # says IDS OPTION...
        ids=$1
        shift
        "$@" $with --temp 0 --frequency 100 --bias "$ids" -n 4
    }
    turn='28=2090,92=2060,75=2030,121=2000' # ESC [ J x
    says $turn on_pty rwkv7 run -q a
    text '\x1b[Jx
'
    says $turn run rwkv7 run -q a
    text "${escape}[Jx"
    # The text ends with a newline before the summary, which is for the terminal only.
    says '98=2090,99=2060,100=2030,101=2000' on_pty -e rwkv7 run a # a b c d
    out_has 'abcd$'
    out_has "^($escape\[2m)?prompt [0-9]"
    says '98=2090,99=2060,100=2030,101=2000' run rwkv7 run a
    text abcd
    turn='195=2090,156=2060,75=2030,121=2000' # C1 CSI, a character of two bytes, J x
    says $turn on_pty rwkv7 run -q a
    text '\u009bJx
'
    says $turn run rwkv7 run -q a
    text "$(printf '\302\233Jx')"
    says $turn on_pty rwkv7 run -q --json a
    out_has '"text":"\\u009bJx"'
    given a
    says $turn on_pty rwkv7 chat
    text '\u009bJx
'
    given '{"prompt": "a"}'
    says $turn on_pty rwkv7 batch
    out_has '"text":"\\u009bJx"'
    # Only the program itself dims text.
    given a
    says '63=2090,28=2060,92=2030,75=2000' on_pty -e rwkv7 chat -q --think short # > ESC [ J
    text "${escape}[2m\\x1b[J${escape}[0m
"
    # A name of a tensor and metadata of a model.
    python3 - "$models/f32_n16.safetensors" <<'END'
import json
import sys
blob = open(sys.argv[1], "rb").read()
size = int.from_bytes(blob[:8], "little")
header = json.loads(blob[8:8 + size])
header.setdefault("__metadata__", {})["note\x1b[2J"] = "two\nlines \u202e\u009b\x07"
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
open("odd.safetensors", "wb").write(len(text).to_bytes(8, "little") + text + blob[8 + size:])
del header["__metadata__"]
header["bad\x1b[2J\u202e"] = header.pop("emb.weight", None) or header.pop("model.embeddings.weight")
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
open("bad.safetensors", "wb").write(len(text).to_bytes(8, "little") + text + blob[8 + size:])
END
    for how in on_pty run; do
        $how rwkv7 info odd.safetensors
        exits 0
        out_has '^metadata +note\\x1b\[2J: two\\nlines \\u202e\\u009b\\x07$'
        $how rwkv7 info --tensors bad.safetensors
        exits 0
        out_has '^\? bad\\x1b\[2J\\u202e +F32 +\['
    done
    on_pty -e rwkv7 info bad.safetensors
    exits 3
    ok 'no control characters' lacks_escapes "$work/out"
    on_pty -e rwkv7 run -m bad.safetensors "$(printf 'a\033[2J')"
    exits 3
    ok 'no control characters' lacks_escapes "$work/out"
    on_pty -e rwkv7 eval $with "$(printf 'a\033[2J')"
    exits 1
    ok 'no control characters' lacks_escapes "$work/out"
fi
