/*
 * schema_tool.c - tests texts against JSON Schemas and GBNF grammars, for the scripts of this
 * folder. A command on stdin is a line, followed by SIZE bytes. The answer is one line:
 *
 *     S SIZE   compile a JSON Schema          O: done; E and a message: refused
 *     T SIZE   the same in strict mode
 *     M SIZE   the same with members in the order of the schema
 *     G SIZE   compile a GBNF grammar
 *     I SIZE   match a text                   A: accepted; R and a position: rejected; F: failed
 *     W SEED   write a random text (no bytes) the text; F and a message: failed
 *
 * A number after the letter of an answer is a time in microseconds.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/splitmix.h"
#include "matcher/automaton.h"
#include "matcher/grammar.h"

static struct grammar *grammar;
static struct automaton *automaton;

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void build(char kind, const char *text, size_t size)
{
    struct rwkv7_error err = {0};
    const struct schema_options options = {.strict = kind == 'T', .in_order = kind == 'M'};
    const double begin = seconds();
    automaton_free(automaton);
    grammar_free(grammar);
    automaton = NULL;
    grammar = NULL;
    enum rwkv7_status status = grammar_create(&grammar, &err);
    if (status == RWKV7_OK)
        status =
            kind == 'G' ? gbnf_build(text, size, grammar, &err) : schema_build(text, size, &options, grammar, &err);
    if (status == RWKV7_OK)
        status = automaton_create(grammar, &automaton, &err);
    if (status == RWKV7_OK)
        printf("O %.0f\n", 1e6 * (seconds() - begin));
    else
        printf("E %.0f %s\n", 1e6 * (seconds() - begin), err.message);
}

static void run(const char *text, size_t size)
{
    struct rwkv7_error err = {0};
    const double begin = seconds();
    uint32_t at = automaton_start(automaton);
    enum rwkv7_status status = RWKV7_OK;
    size_t i = 0;
    while (i < size && at != AUTOMATON_DEAD && status == RWKV7_OK)
        status = automaton_step(automaton, at, (uint8_t)text[i++], &at, &err);
    const double micros = 1e6 * (seconds() - begin);
    if (status != RWKV7_OK)
        printf("F %.0f %s\n", micros, err.message);
    else if (at != AUTOMATON_DEAD && automaton_configuration(automaton, at).accepts)
        printf("A %.0f\n", micros);
    else
        printf("R %.0f %zu\n", micros, i);
}

/* The weight of a byte. Bytes that close something get more weight as the text grows. */
static unsigned weight(int byte, size_t length)
{
    const bool closes = byte == '"' || byte == '}' || byte == ']';
    if (byte == '\n' || byte == '\\')
        return 1;
    return closes ? 4 + (unsigned)(length / 2) : byte >= ' ' && byte < 0x7f ? 4 : 2;
}

static void walk(uint64_t seed)
{
    enum { LONGEST = 20000 };
    static char text[LONGEST + 1];
    struct rwkv7_error err = {0};
    uint64_t random = seed;
    uint32_t at = automaton_start(automaton), next[256];
    size_t size = 0;
    for (; size < LONGEST; size++) {
        unsigned total = 0;
        const bool accepts = automaton_configuration(automaton, at).accepts;
        for (int b = 0; b < 256; b++) {
            if (automaton_step(automaton, at, (uint8_t)b, &next[b], &err) != RWKV7_OK) {
                printf("F 0 %s\n", err.message);
                return;
            }
            if (next[b] != AUTOMATON_DEAD)
                total += weight(b, size);
        }
        if (accepts && (total == 0 || splitmix_next(&random) % 2))
            break;
        if (total == 0) {
            printf("F 0 dead end after %.*s\n", (int)size, text);
            return;
        }
        unsigned left = (unsigned)(splitmix_next(&random) % total);
        for (int b = 0; b < 256; b++) {
            if (next[b] == AUTOMATON_DEAD)
                continue;
            if (left < weight(b, size)) {
                text[size] = (char)b;
                at = next[b];
                break;
            }
            left -= weight(b, size);
        }
    }
    if (size == LONGEST) {
        printf("F 0 too long\n");
        return;
    }
    for (size_t i = 0; i < size; i++) /* these occur only between tokens; strings escape them */
        putchar(text[i] == '\n' ? ' ' : text[i]);
    putchar('\n');
}

int main(void)
{
    char kind;
    size_t size;
    while (scanf(" %c %zu", &kind, &size) == 2) {
        char *text = malloc(size + 1);
        getchar();
        if (!text || (kind != 'W' && fread(text, 1, size, stdin) != size))
            return 1;
        if (kind == 'W' && automaton)
            walk(size);
        else if (kind == 'I' && automaton)
            run(text, size);
        else if (kind == 'I' || kind == 'W')
            printf("F 0 no grammar\n");
        else
            build(kind, text, size);
        free(text);
        fflush(stdout);
    }
    automaton_free(automaton);
    grammar_free(grammar);
    return 0;
}
