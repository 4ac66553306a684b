/* complete.h - what Tab adds to a line: the rest of a command, of a word that it takes, or of the name of a file. */
#ifndef CLI_COMPLETE_H
#define CLI_COMPLETE_H

#include <stdbool.h>
#include <stddef.h>

/* A command of a line that begins with a slash. */
struct line_word {
    const char *name;   /* without the slash */
    const char *values; /* "a|b": one of these follows; NULL: anything, or nothing */
    bool file;          /* the name of a file follows */
    bool more;          /* something follows */
};

struct completion {
    char text[256]; /* to be inserted at the cursor; empty: nothing */
    char **names;   /* [count] what could be meant */
    size_t count;
};

/* For the first `size` bytes of a line, up to the cursor. Nothing is found when there is no memory. The result is to be freed. */
void complete_line(const struct line_word *words, size_t word_count, const char *line, size_t size,
                   struct completion *out);
void completion_free(struct completion *c);

#endif
