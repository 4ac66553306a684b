# shellcheck shell=sh disable=SC2034,SC2154 # read by cli.sh, which sets and uses these names
# The config file: its path, syntax, precedence and errors. "run --stats" and --json show the
# options.

folder=$XDG_CONFIG_HOME/rwkv7
file=$folder/config
mkdir -p "$folder"

# config LINE...
config() {
    printf '%s\n' "$@" >"$file"
}
# text_of OPTION...: the output without a config file
text_of() {
    rwkv7 "$@" --no-config </dev/null 2>/dev/null
}

config '# a comment' '' '  temp = 0' 'quiet' 'tokens=5 '
run rwkv7 run 'Once upon'
exits 0
silent
text "$(text_of run --temp 0 -n 5 'Once upon')"
run rwkv7 run --no-config --temp 0 'Once upon' -n 1
err_has '^prompt '

# Precedence: command line, environment, file, default.
run rwkv7 run -n 2 'Once upon'
text "$(text_of run --temp 0 -n 2 'Once upon')"
run rwkv7 run -n 1 --quiet=no 'Once upon'
err_has '^prompt '
config 'cpu = z80' "model = $models/no-such-model.safetensors"
run rwkv7 run -n 1 x
exits 2
err_has "'z80'"
run env RWKV7_CPU=ref rwkv7 run -n 1 x
exits 1
err_has 'no-such-model'
run env RWKV7_CPU=ref RWKV7_MODEL="$models/f32_n16.safetensors" rwkv7 info
exits 0
run rwkv7 info --cpu 2>/dev/null
run rwkv7 info "$models/f32_n16.safetensors"
exits 0
run rwkv7 info -m "$models/f32_n16.safetensors"
exits 0
run rwkv7 bench --shape 0.1b -n 0 --prompt 0 --cpu ref # a shape overrides a model in the file
exits 0

# Exclusive flags: the one with precedence clears the other.
config bos
run rwkv7 run -q -n 4 --temp 0 --no-bos 'Once upon'
exits 0
text "$(text_of run -n 4 --temp 0 --no-bos 'Once upon')"
config bos '[run]' no-bos
run rwkv7 run -q -n 4 --temp 0 'Once upon'
text "$(text_of run -n 4 --temp 0 --no-bos 'Once upon')"

# The same for other exclusive options: one on the command line overrides those of the file.
config 'csv' 'echo' 'prompt-cache = cache' 'no-history' 'count' '[bench]' 'plot = plot.svg' 'sizes = all' '[chat]' 'system = Hello'
run rwkv7 run -q --temp 0 -n 2 --state-out kept 'Once upon'
exits 0
run rwkv7 run -q --temp 0 -n 2 --json --state-in kept
exits 0
out_has '"text":'
run rwkv7 bench -m "$models/f32_n16.safetensors" -n 1 -p 0 -r 1 --cpu ref --json
exits 0
out_has '"model":.*f32_n16'
run rwkv7 bench --shape 0.1b -n 0 -p 0 --cpu ref
exits 0
out_has '^model,types,'
ok 'no plot' [ ! -e plot.svg ]
run rwkv7 tokenize --lines Once
exits 0
given '/stats'
run rwkv7 chat --state-in kept
exits 0
run rwkv7 bench --json=no -m "$models/f32_n16.safetensors" -n 1 -p 0 -r 1 --cpu ref # an off flag overrides nothing
exits 0
out_has '^model,types,'
config '[bench]' json csv
run rwkv7 bench --budget 0
exits 2
err_has 'exclude each other'

# Lists: those of the file add up; the command line replaces them.
config 'stop = a' 'stop = \n'
run rwkv7 run -q --temp 0 -n 20 'Once upon'
text "$(text_of run --temp 0 -n 20 --stop a --stop '\n' 'Once upon')"
run rwkv7 run -q --temp 0 -n 20 --stop x 'Once upon'
text "$(text_of run --temp 0 -n 20 --stop x 'Once upon')"

# Sections are for one command; a later line wins.
config 'tokens = 3' '[run]' 'tokens = 2' '[batch]' 'tokens = 4' '[ chat ]' 'system = "  two words "'
run rwkv7 run -q --temp 0 'Once upon'
text "$(text_of run --temp 0 -n 2 'Once upon')"
given '{"prompt":"Once upon"}'
run rwkv7 batch -q --temp 0
out_has '"tokens":4'
config 'tokens = 2' 'tokens = 3'
run rwkv7 run -q --temp 0 'Once upon'
text "$(text_of run --temp 0 -n 3 'Once upon')"

# A command ignores options that it lacks or that have another meaning there.
config 'temp = 0' 'tokens = -1' 'threads = 1' 'prompt = Once' 'shape = 0.1b' 'task = lambada' 'csv = no'
run rwkv7 logits "$models/f32_n16.safetensors" --tokens 1,2 -o out.npy
exits 0
run rwkv7 info
exits 0
run rwkv7 bench -n 1 -p 1 -r 1 --cpu ref --json # tokens, threads and prompt are other options there
exits 0
out_has '0\.1b'
config '[eval]' 'tokens = 1'
run rwkv7 run -n 1 x
exits 2
err "rwkv7: $file:2: unknown option 'tokens' of eval"

# The config file is an input that outputs must not overwrite.
config 'prompt-file = notes' 'state-out = notes'
echo 'Once upon' >notes
run rwkv7 run -n 1
exits 2
err_has 'notes'
ok 'the file is as it was' holds_lines notes 'Once upon'
config 'temp = 0'
given '{"prompt":"Once upon"}'
run rwkv7 batch -o "$file"
exits 2
run rwkv7 run -q -n 1 --state-out "$file" x
exits 2
ok 'the config file is as it was' holds_lines "$file" 'temp = 0'

# "~/" in the name of a file.
cp notes "$HOME/notes"
config 'prompt-file = ~/notes' 'temp = 0'
run rwkv7 run -q -n 3
exits 0
text "$(text_of run -f notes --temp 0 -n 3)"

# --verbose names the file; help and version ignore errors in it.
config 'verbose'
run rwkv7 run -n 1 x
err_has "^rwkv7: options from .*/rwkv7/config$"
config 'nonsense'
for command in help 'help run' version --version 'run --help' 'completions bash'; do
    # shellcheck disable=SC2086 # two words
    run rwkv7 $command
    exits 0
    silent
done

# Each error has one line, with file and line number.
mistake() { # mistake LINE MESSAGE
    config '' "$1"
    run rwkv7 run -n 1 x
    exits 2
    err "rwkv7: $file:2: $2"
}
mistake 'tmep = 1' "unknown option 'tmep'; did you mean 'temp'?"
mistake '--temp = 1' "unknown option '--temp'; did you mean 'temp'?"
mistake 'temp' 'temp needs a value: temp = T'
mistake 'temp = hot' "--temp needs a number from 0 to 100, not 'hot'"
mistake 'quiet = perhaps' "--quiet is a flag: yes or no, not 'perhaps'"
mistake 'help' "'help' is allowed on the command line only"
mistake 'no-config = yes' "'no-config' is allowed on the command line only"
mistake '[rnu]' "unknown command 'rnu'"
mistake '[run' "expected [COMMAND], found '[run'"
mistake 'model =' "--model needs FILE, not ''"
mistake "system = $(head -c 5000 /dev/zero | tr '\0' x)" 'expected at most 4096 bytes in a line, found 5009'
printf 'temp = 0\nto\0kens = 1\n' >"$file"
run rwkv7 run -n 1 x
exits 2
err "rwkv7: $file:2: expected text, found a NUL byte"
head -c 70000 /dev/zero | tr '\0' '\n' >"$file"
run rwkv7 run -n 1 x
exits 2
err "rwkv7: $file: expected at most 65536 bytes, found 70000"
run rwkv7 run -q -n 0 --no-config x
exits 0

# Errors of the command line come first. A byte order mark, CR and a missing last newline are
# accepted.
config 'nonsense'
run rwkv7 run --tokens x
exits 2
err_has '^rwkv7: --tokens needs'
printf '\357\273\277temp = 0\r\nquiet\r\ntokens = 3' >"$file"
run rwkv7 run 'Once upon'
exits 0
silent
text "$(text_of run --temp 0 -n 3 'Once upon')"

# A regular file, in the folder of the variable or in ~/.config.
rm "$file"
mkdir "$file"
run rwkv7 run -n 1 x
exits 2
err "rwkv7: $file: expected a regular file"
rmdir "$file"
mkfifo "$file"
run rwkv7 run -n 1 x
exits 2
err "rwkv7: $file: expected a regular file"
rm "$file"
if [ "$(id -u)" -ne 0 ]; then
    config 'temp = 0'
    chmod 0 "$file"
    run rwkv7 run -n 1 x
    exits 1
    err_has "^rwkv7: cannot read $file: "
    rm -f "$file"
fi
mkdir -p "$HOME/.config/rwkv7"
echo nonsense >"$HOME/.config/rwkv7/config"
run rwkv7 run -q -n 0 x
exits 0
run env XDG_CONFIG_HOME=relative rwkv7 run -q -n 0 x
exits 2
err_has '/\.config/rwkv7/config:1: '
run env -u XDG_CONFIG_HOME rwkv7 run -q -n 0 x
exits 2
run env -u XDG_CONFIG_HOME -u HOME rwkv7 run -q -n 0 x
exits 0
