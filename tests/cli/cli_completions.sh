# shellcheck shell=sh disable=SC2034,SC2154 # read by cli.sh, which sets and uses these names
# rwkv7 completions: has every command and option, and works in each shell.

for shell in bash zsh fish; do
    run rwkv7 completions $shell
    exits 0
    silent
    cp "$work/out" complete.$shell
    for command in $(rwkv7 help | sed -n 's/^  \([a-z]*\) .*/\1/p'); do
        ok "the command $command, $shell" grep -qw "$command" complete.$shell
    done
done
for command in $(rwkv7 help | sed -n 's/^  \([a-z]*\) .*/\1/p'); do
    for option in $(rwkv7 help "$command" | sed -n 's/^ .*--\([a-z0-9-]*\).*/\1/p'); do
        ok "$command --$option, bash" grep -Eq "^ +$command:-\*\).*--${option}[ ']" complete.bash
        ok "$command --$option, zsh" grep -q -e "--${option}[=[}]" complete.zsh
        ok "$command --$option, fish" grep -q "from $command' -l $option " complete.fish
    done
done
run rwkv7 completions tcsh
exits 2
err_has "^rwkv7: completions needs one of bash, zsh, fish, not 'tcsh'$"
run rwkv7 completions
exits 2
err_has '^rwkv7: no shell given: expected one of bash, zsh, fish$'

if command -v bash >/dev/null; then
    cat >try.bash <<'END'
source complete.bash
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_rwkv7 2>/dev/null
echo "${COMPREPLY[@]}"
END
    run bash -n complete.bash
    exits 0
    run bash try.bash rwkv7 to
    out tokenize
    run bash try.bash rwkv7 run --te
    out --temp
    run bash try.bash rwkv7 chat --thoughts ''
    out 'show hide'
    run bash try.bash rwkv7 run --math = f
    out fast
    run bash try.bash rwkv7 run --math =
    out 'exact fast blas'
    run bash try.bash rwkv7 chat --think s
    out short
    run bash try.bash rwkv7 help inf
    out info
    run bash try.bash rwkv7 run --tokens ''
    out ''
else
    skip 'no bash'
fi
if command -v zsh >/dev/null; then
    run zsh -n complete.zsh
    exits 0
    silent
else
    skip 'no zsh'
fi
if command -v fish >/dev/null; then
    run fish -n complete.fish
    exits 0
    silent
    run fish -c "source complete.fish; complete -C 'rwkv7 run --mat'"
    out_has '^--math'
    run fish -c "source complete.fish; complete -C 'rwkv7 run --math '"
    out_has '^blas'
    run fish -c "source complete.fish; complete -C 'rwkv7 tok'"
    out_has '^tokenize'
else
    skip 'no fish'
fi
