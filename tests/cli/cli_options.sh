# shellcheck shell=sh disable=SC2034,SC2154 # read by cli.sh, which sets and uses these names
# Options, help, version: messages about the command line.

run rwkv7
exits 2
text ''
err_has '^Usage: rwkv7 COMMAND'

for help in --help -h help; do
    run rwkv7 $help
    exits 0
    silent
    out_has '^Usage: rwkv7 COMMAND'
    out_has '^  run \[PROMPT\] '
done

commands=$(rwkv7 help | sed -n 's/^  \([a-z]*\) .*/\1/p')
ok 'a list of commands' [ "$(echo "$commands" | wc -l)" -gt 8 ]
for command in $commands; do
    run rwkv7 help $command
    exits 0
    silent
    out_has "^Usage: rwkv7 $command "
    ok 'no line longer than 80' awk 'length > 80 { exit 1 }' "$work/out"
    cp "$work/out" "$work/help"
    run rwkv7 $command --help
    ok 'the same as help' cmp -s "$work/out" "$work/help"
    run rwkv7 $command -h
    ok 'the same as help' cmp -s "$work/out" "$work/help"
done

# The options part of the man page is made from the table of options, one paragraph per option.
manual=$tests/../../docs/rwkv7.1
run sh "$tests/../../scripts/manual.sh" rwkv7
exits 0
silent
ok 'docs/rwkv7.1 is what scripts/manual.sh prints' cmp -s "$work/out" "$manual"
for command in $commands; do
    for option in $(rwkv7 help $command | sed -n 's/^  ...*--\([a-z-]*\).*/\1/p'); do
        ok "--$option is in the manual" grep -Eq "^\.It (Fl . , )?Fl -$option( |$)" "$manual"
    done
done
if command -v mandoc >/dev/null; then
    run mandoc -Tlint -Wwarning "$manual"
    exits 0
    text ''
else
    skip 'no mandoc'
fi
# A paragraph that is missing, or one too many, is an error.
mkdir -p tree/scripts tree/docs tree/src/cli/options
cp "$tests/../../scripts/manual.sh" tree/scripts
cp "$manual" tree/docs
sed 's/^@ echo run$/@ ehco run/' "$tests/../../src/cli/options/manual.mdoc" >tree/src/cli/options/manual.mdoc
run sh tree/scripts/manual.sh rwkv7
exits 1
err 'manual.sh: echo run: no paragraph in manual.mdoc
manual.sh: ehco run: a paragraph in manual.mdoc, but no such option'

run rwkv7 --version
exits 0
silent
out_has '^rwkv7 [0-9]+\.[0-9]+\.[0-9]+$'
out_has '^kernels: [a-z0-9]+ \(here: ref.*\), threads: [1-9]'
out_has '^built for '
out_has BLAS
tiers=$(sed -n 's/^kernels: .*(here: \(.*\)),.*/\1/p' "$work/out")
for tier in $tiers; do
    run env RWKV7_CPU="$tier" rwkv7 --version
    out_has "^kernels: $tier \("
done
rwkv7 --version >"$work/version"
for version in -V version 'run --version' 'chat -V' 'help --version' 'bench -t 1,2 --version'; do
    run rwkv7 $version
    exits 0
    silent
    ok "$version is --version" cmp -s "$work/out" "$work/version"
done
run env RWKV7_CPU=z80 rwkv7 --version
exits 2
err_has "^rwkv7: .*'z80'.*ref"

run rwkv7 rnu
exits 2
text ''
err "rwkv7: unknown command 'rnu'; did you mean 'run'?
Try 'rwkv7 help'."

run rwkv7 help tokenise
exits 2
err_has "unknown command 'tokenise'; did you mean 'tokenize'"

run rwkv7 something
exits 2
err "rwkv7: unknown command 'something'
Try 'rwkv7 help'."

run rwkv7 'Once upon a time'
exits 2
err "rwkv7: unknown command 'Once upon a time'; did you mean rwkv7 run '...'?
Try 'rwkv7 help'."

run rwkv7 --verison
exits 2
err "rwkv7: expected a command, found '--verison'; did you mean '--version'?
Try 'rwkv7 help'."

run rwkv7 run --tmep 1
exits 2
err "rwkv7: unknown option '--tmep'; did you mean '--temp'?
Try 'rwkv7 help run'."

run rwkv7 run --thread=2
exits 2
err_has "did you mean '--threads'"

run rwkv7 run --nothing-like-it
exits 2
err "rwkv7: unknown option '--nothing-like-it'
Try 'rwkv7 help run'."

run rwkv7 info --temp 1
exits 2
err "rwkv7: '--temp' is an option of 'run', not of 'info'
Try 'rwkv7 help run'."

run rwkv7 run -z
exits 2
err_has "unknown option '-z'"

run rwkv7 run --tokens
exits 2
err_has '^rwkv7: --tokens needs a value: N$'

run rwkv7 run --quiet=maybe
exits 2
err_has "^rwkv7: --quiet is a flag: yes or no, not 'maybe'$"
run rwkv7 run --quiet=yes -n 0 x
exits 0
silent
run rwkv7 run -q --quiet=no -n 0 x
err_has '^prompt '

for number in x 1x '' ' 1' 0x10 1e3 -2 99999999999999999999; do
    run rwkv7 run --tokens "$number"
    exits 2
    err_has "^rwkv7: --tokens needs a whole number from -1 to 2147483647, not '$number'$"
done
for number in x 1x '' ' 1' 0x10 nan inf -1 101 1e999; do
    run rwkv7 run --temp "$number"
    exits 2
    err_has "^rwkv7: --temp needs a number from 0 to 100, not '$number'$"
done
for threads in -1 1025; do
    run rwkv7 run --threads $threads
    exits 2
    err "rwkv7: --threads needs a whole number from 0 to 1024, not '$threads'
Try 'rwkv7 help run'."
    run rwkv7 bench -t 1,$threads
    exits 2
    err "rwkv7: --threads needs whole numbers from 0 to 1024 with commas between, not '1,$threads'
Try 'rwkv7 help bench'."
done
for seed in -1 x 18446744073709551616; do
    run rwkv7 run --seed $seed
    exits 2
    err_has '^rwkv7: --seed needs a whole number from 0 to 18446744073709551615, '
done
run rwkv7 run --ban 1,2x
exits 2
err_has "^rwkv7: --ban needs token ids .*'1,2x'"
run rwkv7 run --bias 1
exits 2
err_has '^rwkv7: --bias needs ID=NUMBER'
run rwkv7 run --math quick
exits 2
err_has "^rwkv7: --math needs one of exact\|fast\|blas, not 'quick'"
# An empty value, as from an unset variable of a script, must not select the built-in model.
for empty in 'info -m' 'run --state-out' 'run --prompt-cache' 'run --cpu'; do
    # shellcheck disable=SC2086 # two words
    run rwkv7 $empty ''
    exits 2
    err_has "^rwkv7: --[a-z-]* needs [A-Z]*, not ''$"
done
run rwkv7 info ''
exits 2
err_has "^rwkv7: MODEL needs a name, not ''$"
run env RWKV7_MODEL= rwkv7 run --help
exits 0
run rwkv7 run --stop 'a\qb'
exits 2
err_has '^rwkv7: --stop needs text'
run rwkv7 run --stop '' a
exits 2
err_has '^rwkv7: --stop needs a text that is not empty'
run rwkv7 bench --prompt 64,
exits 2
err_has '^rwkv7: --prompt needs whole numbers from 0 to 16777216 with commas between'
run rwkv7 bench --shape 14b
exits 2
err_has "^rwkv7: --shape needs one of 0.1b\|.*\|rwkv4-14b, not '14b'"
# Help, manual and completions name every published shape.
shapes=$(sed -n 's/.*needs one of \(.*\), not.*/\1/p' "$work/err" | tr '|' ' ')
rwkv7 help bench >"$work/help"
rwkv7 completions bash >"$work/completions"
for shape in $shapes; do
    ok "help names $shape" grep -qwF -e "$shape" "$work/help"
    ok "the manual names $shape" grep -qE "(^| )${shape}[,.]" "$manual"
    ok "bash completes $shape" grep -qwF -e "$shape" "$work/completions"
done

run rwkv7 run two words
exits 2
err_has "^rwkv7: unexpected argument 'words'; several words need quotes"
run rwkv7 bench words
exits 2
err_has "^rwkv7: unexpected argument 'words'$"
run rwkv7 info one --model another
exits 2
err_has "^rwkv7: two models: 'another' and 'one'"
run rwkv7 tokenize --count --lines
exits 2
err_has 'exclude each other'

# Options that do not change answers are not part of batch fingerprints, so older results stay
# valid.
given '{"prompt":"ab"}'
run rwkv7 batch -q -m "$models/f32_n16.safetensors" --vocab "$tests/bytes.vocab.txt" -n 1 --seed 1
exits 0
out_has '"fingerprint":"6fafaa612016cdbc-d0a9b3906e793392"'

# -p gives the prompt, as in other programs.
run rwkv7 run -q -n 3 --temp 0 'Once upon'
cp "$work/out" expected
for prompt in -p --prompt; do
    run rwkv7 run -q -n 3 --temp 0 $prompt 'Once upon'
    exits 0
    silent
    ok "the same text with $prompt" cmp -s "$work/out" expected
done
run rwkv7 run -p one two
exits 2
err "rwkv7: two prompts: 'two' and --prompt 'one'
Try 'rwkv7 help run'."
given 'Once upon'
run rwkv7 run -q -n 3 --temp 0 -p -
exits 0
ok 'standard input' cmp -s "$work/out" expected

# Options of other programs get a hint, at once or among others, with or without a value.
for habit in '-ngl 99:models run on the CPU; leave it out' '--gpu-layers=1:models run on the CPU; leave it out' \
    '-c 4096:the context has no limit; leave it out' '--ctx-size 1:the context has no limit; leave it out' \
    '--n-predict 5:use --tokens' '--temperature 0:use --temp' \
    '--repeat-penalty 1.1:use --presence, --frequency and --penalty-decay' '-tb 2:use --threads' \
    '--threads-batch 2:use --threads' '--no-mmap:model files are always mapped; --mlock keeps the weights in memory' \
    '-i:use rwkv7 chat' '--interactive:use rwkv7 chat' '-cnv:use rwkv7 chat' '-s 1:use --seed' '--file x:use --prompt-file'; do
    option=${habit%%:*}
    hint=${habit#*:}
    # shellcheck disable=SC2086 # perhaps two words
    run rwkv7 run -q $option
    exits 2
    option=${option%%[= ]*}
    err "rwkv7: unknown option '$option': $hint
Try 'rwkv7 help run'."
done
run rwkv7 run -qc 4096 # after another letter
exits 2
err_has "^rwkv7: unknown option '-c': the context has no limit"
run rwkv7 tokenize -c abc # an option here
exits 0
# An option of other programs that is a valid option here gets no hint.
run rwkv7 run -q -n 1 -fa
exits 1
err_has '^rwkv7: cannot read a: '

# A model where a prompt, a file of texts or a command is expected.
cp "$models/f32_n16.safetensors" tiny.st
printf 'GGUF....' >tiny.gguf
printf 'PK\3\4%022d\15\0\0\0tiny/data.pkl' 0 >tiny.pth
for model in tiny.st tiny.gguf tiny.pth; do
    for command in 'run' 'run -n 1' batch tokenize eval 'eval x'; do
        run rwkv7 $command $model
        exits 2
        err "rwkv7: '$model' is a model; name it with -m
Try 'rwkv7 help ${command%% *}'."
    done
    run rwkv7 run $model Once
    exits 2
    err_has "^rwkv7: '$model' is a model; name it with -m$"
    run rwkv7 $model
    exits 2
    err "rwkv7: '$model' is a model, not a command; use rwkv7 run -m or rwkv7 chat
Try 'rwkv7 help'."
done
# The name of any other file is a prompt; with --prompt even the name of a model is.
printf 'PK\3\4 and so on, but not a model' >text.zip
printf '\10\0\0\0\0\0\0\0text, not JSON' >text.st
printf '\377\377\377\377\0\0\0\0{' >short.st
for prompt in text.zip text.st short.st "$work/dir"; do
    run rwkv7 run -q -n 0 "$prompt"
    exits 0
done
run rwkv7 run -q -n 0 -p tiny.st
exits 0

# Escape codes in an argument do not reach the terminal through messages.
run rwkv7 "$(printf 'a\033[31mb')"
exits 2
err_has "unknown command 'a\?\[31mb'"
