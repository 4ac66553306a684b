#!/bin/sh
# Prints docs/rwkv7.1 with a new options part: the entries from the program's table of options, the
# paragraphs from src/cli/options/manual.mdoc. A test compares the result with the page that is
# committed.
#
#   scripts/manual.sh build/rwkv7 >new && mv new docs/rwkv7.1
#
# In manual.mdoc, a line "@ OPTION COMMAND" begins the paragraph of the option that the first row for COMMAND describes, and
# "@ heading TITLE" an introduction, which is optional. An option without a paragraph, or the reverse, is an error.
set -eu
[ $# -eq 1 ] || { sed -n '2,/^set -eu/s/^# \{0,1\}//p' "$0" >&2 && exit 2; }
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/rwkv7-manual.XXXXXX")
trap 'rm -rf "$work"' EXIT
"$1" help --man >"$work/entries"

awk -v paragraphs="$root/src/cli/options/manual.mdoc" -v entries="$work/entries" '
    function complain(text) {
        print "manual.sh: " text >"/dev/stderr"
        failed = 1
    }
    function options(  line, name) {
        while ((getline line <paragraphs) > 0) {
            if (line ~ /^@ /) {
                name = substr(line, 3)
                if (name in text)
                    complain(name ": duplicate paragraph")
                text[name] = ""
            } else {
                text[name] = text[name] line "\n"
            }
        }
        while ((getline line <entries) > 0) {
            if (line !~ /^@ /) {
                print line
                continue
            }
            name = substr(line, 3)
            if (name in text)
                printf "%s", text[name]
            else if (name !~ /^heading /)
                complain(name ": no paragraph in manual.mdoc")
            delete text[name]
        }
        for (name in text)
            complain(name ": a paragraph in manual.mdoc, but no such option")
    }
    /^\.Sh / { inside = 0 }
    !inside { print }
    /^\.Sh OPTIONS$/ { inside = 1; options() }
    END { exit failed }' "$root/docs/rwkv7.1"
