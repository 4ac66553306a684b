/* complete.c - see complete.h. */
#include "cli/io/complete.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/io/lookup.h"

/* Adds the name if it begins with the typed text. */
static void offer(struct completion *c, const char *typed, const char *name, size_t length)
{
    const size_t n = strlen(typed);
    if (length < n || memcmp(name, typed, n) != 0)
        return;
    char **const grown = realloc(c->names, (c->count + 1) * sizeof *grown);
    if (!grown)
        return;
    c->names = grown;
    c->names[c->count] = strndup(name, length);
    c->count += c->names[c->count] != NULL;
}

/* Sets c->text to the text after `typed` that all names have in common. */
static void insert_common(struct completion *c, const char *typed)
{
    const size_t begin = strlen(typed);
    size_t end = c->count > 0 ? strlen(c->names[0]) : begin;
    for (size_t i = 1; i < c->count; i++) {
        size_t n = begin;
        while (n < end && c->names[i][n] == c->names[0][n])
            n++;
        end = n;
    }
    /* Do not end within a character. */
    while (end > begin && ((unsigned char)c->names[0][end] & 0xc0) == 0x80)
        end--;
    if (end > begin && end - begin < sizeof c->text - 1)
        snprintf(c->text, sizeof c->text, "%.*s", (int)(end - begin), c->names[0] + begin);
}

static void append(struct completion *c, const char *ending)
{
    const size_t n = strlen(c->text);
    snprintf(c->text + n, sizeof c->text - n, "%s", ending);
}

static void complete_values(struct completion *c, const char *values, const char *typed)
{
    for (const char *at = values; *at;) {
        const size_t n = strcspn(at, "|");
        offer(c, typed, at, n);
        at += n + (at[n] == '|');
    }
    insert_common(c, typed);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void complete_file(struct completion *c, const char *typed)
{
    const char *const slash = strrchr(typed, '/'), *const name = slash ? slash + 1 : typed;
    char path[PATH_ROOM];
    struct stat st;
    snprintf(path, sizeof path, "%.*s", slash ? (int)(slash - typed) + 1 : 1, slash ? typed : ".");
    DIR *const entries = opendir(path);
    for (struct dirent *entry; entries && (entry = readdir(entries)) != NULL;)
        if (entry->d_name[0] != '.' || name[0] == '.')
            offer(c, name, entry->d_name, strlen(entry->d_name));
    if (entries)
        closedir(entries);
    if (c->count > 1)
        qsort(c->names, c->count, sizeof *c->names, by_name);
    insert_common(c, name);
    if (c->count == 1 &&
        snprintf(path, sizeof path, "%.*s%s", slash ? (int)(slash - typed) + 1 : 0, typed, c->names[0]) < PATH_ROOM &&
        stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        append(c, "/");
}

void complete_line(const struct line_word *words, size_t word_count, const char *line, size_t size,
                   struct completion *out)
{
    char typed[PATH_ROOM];
    *out = (struct completion){.count = 0};
    if (size < 1 || size >= sizeof typed || line[0] != '/' || memchr(line, '\n', size))
        return;
    snprintf(typed, sizeof typed, "%.*s", (int)size - 1, line + 1);
    char *const space = strchr(typed, ' ');
    if (!space) {
        for (size_t i = 0; i < word_count; i++)
            offer(out, typed, words[i].name, strlen(words[i].name));
        insert_common(out, typed);
        for (size_t i = 0; i < word_count && out->count == 1; i++)
            if (strcmp(words[i].name, out->names[0]) == 0 && words[i].more)
                append(out, " ");
        return;
    }
    *space = '\0';
    const char *const operand = space + 1 + strspn(space + 1, " ");
    for (size_t i = 0; i < word_count; i++)
        if (strcmp(words[i].name, typed) == 0) {
            if (words[i].file)
                complete_file(out, operand);
            else if (words[i].values)
                complete_values(out, words[i].values, operand);
        }
}

void completion_free(struct completion *c)
{
    for (size_t i = 0; i < c->count; i++)
        free(c->names[i]);
    free(c->names);
    *c = (struct completion){.count = 0};
}
