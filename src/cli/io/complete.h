/* complete.h - completion by Tab: commands, their arguments, and file names. */
#ifndef CLI_COMPLETE_H
#define CLI_COMPLETE_H

#include <stdbool.h>
#include <stddef.h>

/* A command of chat: the first word of a line that begins with a slash. */
struct line_word {
    const char *name;   /* without the slash */
    const char *values; /* "a|b": possible arguments; NULL: other or none */
    bool file;          /* the argument is a file name */
    bool more;          /* an argument follows */
};

struct completion {
    char text[256]; /* text to insert at the cursor; may be empty */
    char **names;   /* [count] the candidates */
    size_t count;
};

/*
 * Completes the first `size` bytes of a line, up to the cursor. If memory is short, candidates are
 * missing. Free *out with completion_free.
 */
void complete_line(const struct line_word *words, size_t word_count, const char *line, size_t size,
                   struct completion *out);
void completion_free(struct completion *c);

#endif
