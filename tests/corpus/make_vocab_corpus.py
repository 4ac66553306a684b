#!/usr/bin/env python3
"""Writes tests/corpus/vocab: small vocabularies, most of them invalid, and cases.tsv with the
expected results.

A line of cases.tsv is FILE<TAB>EXPECTED: the tokens as "ok ID=HEX ID=HEX ...", or the message that refuses the file, which
is opened under the name V. Run it after a change here and commit what it writes:

    python3 tests/corpus/make_vocab_corpus.py
"""

import shutil
from pathlib import Path

FOLDER = Path(__file__).parent / "vocab"
cases = []


def case(name, contents, expected):
    (FOLDER / name).write_bytes(contents if isinstance(contents, bytes) else contents.encode())
    cases.append(f"{name}\t{expected}\n")


def accepted(name, contents, **tokens):
    case(name, contents, "ok " + " ".join(f"{token[1:]}={data.hex()}" for token, data in tokens.items()))


def accept():
    accepted("ok_one.txt", "0 'a' 1\n", _0=b"a")
    accepted("ok_no_last_line_feed.txt", "1 'a' 1\n2 'b' 1", _1=b"a", _2=b"b")
    accepted("ok_gaps.txt", "3 'a' 1\n7 'bc' 2\n1048575 'd' 1\n", _3=b"a", _7=b"bc", _1048575=b"d")
    accepted("ok_quotes.txt", "1 '\"' 1\n2 \"'\" 1\n3 '\\'\\\"' 2\n4 b\"it's\" 4\n5 b'\\'\\\"\\\\' 3\n",
             _1=b'"', _2=b"'", _3=b"'\"", _4=b"it's", _5=b"'\"\\")
    accepted("ok_spaces.txt", "1 ' ' 1\n2 '  a b ' 6\n3 ' 1 ' 3\n", _1=b" ", _2=b"  a b ", _3=b" 1 ")
    accepted("ok_escapes.txt", "1 '\\n\\t\\r\\\\' 4\n2 '\\u200b\\U0001f600' 7\n3 '\\x00\\x7f' 2\n4 b'\\n\\t\\r\\\\\\x00\\xFf' 6\n",
             _1=b"\n\t\r\\", _2="\u200b\U0001f600".encode(), _3=b"\0\x7f", _4=b"\n\t\r\\\0\xff")
    # The trap: \xa0 is a code point in a str and a byte in a bytes literal.
    accepted("ok_two_meanings.txt", "1 '\\xa0' 2\n2 b'\\xa0' 1\n3 '\\x41' 1\n", _1=b"\xc2\xa0", _2=b"\xa0", _3=b"A")
    accepted("ok_raw_utf8.txt", "1 '\u00e9\u20ac\U0001f600' 9\n", _1="\u00e9\u20ac\U0001f600".encode())
    accepted("ok_crlf.txt", "1 'a' 1\r\n2 '\\r' 1\r\n3 'b' 1", _1=b"a", _2=b"\r", _3=b"b")
    accepted("ok_crlf_mixed.txt", "1 'a' 1\n2 'b' 1\r\n3 'c' 1\n", _1=b"a", _2=b"b", _3=b"c")
    accepted("ok_byte_order_mark.txt", b"\xef\xbb\xbf1 'a' 1\r\n2 'b' 1\r\n", _1=b"a", _2=b"b")
    accepted("ok_longest.txt", f"1 '{'-' * 1024}' 1024\n", _1=b"-" * 1024)


def refuse_files():
    wrong = "V: expected a vocabulary, found "
    case("empty.txt", "", wrong + "an empty file")
    case("byte_order_mark_only.txt", b"\xef\xbb\xbf", wrong + "an empty file")
    no_model = 'V: expected a World or GPT-NeoX vocabulary, found JSON without the field "model"'
    case("byte_order_mark_json.txt", b"\xef\xbb\xbf{}", no_model)
    case("byte_order_mark_twice.txt", b"\xef\xbb\xbf\xef\xbb\xbf1 'a' 1\n",
         "V:1: expected a line `ID LITERAL LENGTH`, found \"\\xef\\xbb\\xbf1 'a' 1\"")
    case("utf16_little.txt", "\ufeff1 'a' 1\n".encode("utf-16-le"), wrong + "UTF-16 text; save the file as UTF-8")
    case("utf16_big.txt", "\ufeff1 'a' 1\n".encode("utf-16-be"), wrong + "UTF-16 text; save the file as UTF-8")
    case("lfs_pointer.txt", "version https://git-lfs.github.com/spec/v1\noid sha256:0000\nsize 1093733\n",
         wrong + "a Git LFS pointer; fetch the file with `git lfs pull`")
    case("page.html", "<!DOCTYPE html>\n<html></html>\n", wrong + "an HTML page; download the file again")
    json = wrong + "JSON, perhaps the tokenizer.json of another kind of model"
    case("tokenizer.json", '{"version": "1.0"}\n', no_model)
    case("list.json", '["a", "b"]\n', json)
    case("checkpoint.pth", b"PK\3\4\0\0\0\0", wrong + "a zip archive, perhaps a .pth checkpoint")
    case("model.gguf", b"GGUF\3\0\0\0", wrong + "a GGUF model")
    case("model.safetensors", b"\2\0\0\0\0\0\0\0{}", wrong + "a safetensors model")
    case("binary.txt", b"1 'a' 1\n\0\1\2", wrong + "binary data")


def refuse_lines():
    line = "V:1: expected a line `ID LITERAL LENGTH`, found "
    end = "the end of the line"
    case("crlf_twice.txt", "1 'a' 1\r\r\n", 'V:1: expected the end of the line after the length, found "\\x0d"')
    case("cr_inside.txt", "1 '\r' 1\r\n", "V:1: expected an escape for the control character 0x0d")
    case("cr_only.txt", "1 'a' 1\r2 'b' 1\r",
         "V:1: expected the end of the line after the length, found \"\\x0d2 'b' 1\\x0d\"")
    case("crlf_empty_line.txt", "1 'a' 1\r\n\r\n", line.replace("V:1", "V:2") + end)
    case("empty_line.txt", "1 'a' 1\n\n2 'b' 1\n", line.replace("V:1", "V:2") + end)
    case("empty_line_last.txt", "1 'a' 1\n\n", line.replace("V:1", "V:2") + end)
    case("merges.txt", "#version: 0.2\n", line + '"#version: 0...."')
    case("space_first.txt", " 1 'a' 1\n", line + '" 1 \'a\' 1"')
    case("id_negative.txt", "-1 'a' 1\n", line + '"-1 \'a\' 1"')
    ids = "V:{}: expected an id from {} to 1048575, larger than in the line before, found "
    case("id_twice.txt", "4 'a' 1\n4 'b' 1\n", ids.format(2, 5) + '"4 \'b\' 1"')
    case("id_falls.txt", "4 'a' 1\n3 'b' 1\n", ids.format(2, 5) + '"3 \'b\' 1"')
    case("id_too_large.txt", "1048576 'a' 1\n", ids.format(1, 0) + '"1048576 \'a\' ..."')
    case("id_huge.txt", "18446744073709551617 'a' 1\n", ids.format(1, 0) + '"184467440737..."')
    case("id_hexadecimal.txt", "0x10 'a' 1\n", 'V:1: expected one space after the id, found "x10 \'a\' 1"')
    case("id_only.txt", "17\n", "V:1: expected one space after the id, found " + end)
    case("tabs.txt", "1\t'a'\t1\n", 'V:1: expected one space after the id, found "\\x09\'a\'\\x091"')


def refuse_literals():
    literal = "V:1: expected a Python str or bytes literal, found "
    end = "the end of the line"
    case("two_spaces.txt", "1  'a' 1\n", literal + '" \'a\' 1"')
    case("no_quotes.txt", "1 a 1\n", literal + '"a 1"')
    case("no_literal.txt", "1 ", literal + end)
    case("only_b.txt", "1 b", literal + '"b"')
    for prefix in "u", "r", "f", "B", "rb":
        case(f"prefix_{prefix if prefix != 'B' else 'capital_b'}.txt", f"1 {prefix}'a' 1\n", literal + f'"{prefix}\'a\' 1"')
    case("no_closing_quote.txt", "1 'a 1\n", "V:1: expected a closing ', found " + end)
    case("other_closing_quote.txt", "1 \"a' 1\n", 'V:1: expected a closing ", found ' + end)
    case("quote_inside.txt", "1 'it's' 4\n", 'V:1: expected one space after the literal, found "s\' 4"')
    case("triple_quotes.txt", "1 '''a''' 1\n", "V:1: expected a token of 1 to 1024 bytes, found 0 bytes")
    case("nothing_str.txt", "1 '' 0\n", "V:1: expected a token of 1 to 1024 bytes, found 0 bytes")
    case("nothing_bytes.txt", "1 b'' 0\n", "V:1: expected a token of 1 to 1024 bytes, found 0 bytes")
    case("too_long.txt", f"1 '{'-' * 1025}' 1025\n", "V:1: expected a token of 1 to 1024 bytes, found 1025 bytes")

    escape = "V:1: expected an escape that Python's repr prints in a {} literal, found "
    case("escape_bell.txt", "1 '\\a' 1\n", escape.format("str") + '"\\a\' 1"')
    case("escape_octal.txt", "1 '\\012' 1\n", escape.format("str") + '"\\012\' 1"')
    case("escape_name.txt", "1 '\\N{BULLET}' 3\n", escape.format("str") + '"\\N{BULLET}\' ..."')
    case("escape_u_in_bytes.txt", "1 b'\\u0041' 1\n", escape.format("bytes") + '"\\u0041\' 1"')
    case("escape_capital_u_in_bytes.txt", "1 b'\\U00000041' 1\n", escape.format("bytes") + '"\\U00000041\' ..."')
    case("escape_at_the_end.txt", "1 'a\\", escape.format("str") + '"\\"')
    case("escape_x_short.txt", "1 '\\x4' 1\n", 'V:1: expected 2 hexadecimal digits after \\x, found "\\x4\' 1"')
    case("escape_x_wrong.txt", "1 b'\\xg0' 1\n", 'V:1: expected 2 hexadecimal digits after \\x, found "\\xg0\' 1"')
    case("escape_u_short.txt", "1 '\\u20", 'V:1: expected 4 hexadecimal digits after \\u, found "\\u20"')
    case("escape_capital_u_short.txt", "1 '\\U0001f60' 4\n",
         'V:1: expected 8 hexadecimal digits after \\U, found "\\U0001f60\' 4"')
    case("escape_surrogate.txt", "1 '\\ud800' 3\n", 'V:1: expected the code point of a character, found "\\ud800\' 3"')
    case("escape_past_unicode.txt", "1 '\\U00110000' 4\n",
         'V:1: expected the code point of a character, found "\\U00110000\' ..."')

    case("control_tab.txt", "1 '\t' 1\n", "V:1: expected an escape for the control character 0x09")
    case("control_delete.txt", "1 '\x7f' 1\n", "V:1: expected an escape for the control character 0x7f")
    utf8 = "V:1: expected valid UTF-8, found "
    case("utf8_lone_byte.txt", b"1 '\xff' 1\n", utf8 + '"\\xff\' 1"')
    case("utf8_overlong.txt", b"1 '\xc0\x80' 2\n", utf8 + '"\\xc0\\x80\' 2"')
    case("utf8_surrogate.txt", b"1 '\xed\xa0\x80' 3\n", utf8 + '"\\xed\\xa0\\x80\' 3"')
    case("utf8_cut.txt", b"1 '\xe2\x82' 2\n", utf8 + '"\\xe2\\x82\' 2"')
    case("bytes_not_ascii.txt", b"1 b'\xc3\xa9' 2\n", 'V:1: expected ASCII in a bytes literal, found "\\xc3\\xa9\' 2"')


def refuse_lengths():
    length = "V:1: expected the length of the token in bytes, found "
    case("length_missing.txt", "1 'a'\n", "V:1: expected one space after the literal, found the end of the line")
    case("length_empty.txt", "1 'a' \n", length + "the end of the line")
    case("length_negative.txt", "1 'a' -1\n", length + '"-1"')
    case("length_and_more.txt", "1 'a' 1 \n", 'V:1: expected the end of the line after the length, found " "')
    case("length_wrong.txt", "1 'ab' 1\n", "V:1: length field: expected 2, the bytes of the literal, found 1")
    case("length_in_characters.txt", "1 'a' 1\n2 '\\xa0' 1\n", "V:2: length field: expected 2, the bytes of the literal, found 1")


def refuse_duplicates():
    same = "V:{}: duplicate of the token in line {}"
    case("same_twice.txt", "1 'a' 1\n2 'b' 1\n3 'a' 1\n", same.format(3, 1))
    case("same_in_other_words.txt", "1 'x' 1\n20 '\\xe9' 2\n30 b'\\xc3\\xa9' 2\n", same.format(3, 2))
    case("same_long.txt", "1 'ab' 2\n2 'abc' 3\n5 'abcd' 4\n9 'abc' 3\n", same.format(4, 2))


if __name__ == "__main__":
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    for write in accept, refuse_files, refuse_lines, refuse_literals, refuse_lengths, refuse_duplicates:
        write()
    (FOLDER / "cases.tsv").write_text("".join(cases))
