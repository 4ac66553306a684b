/*
 * inputs.c - see inputs.h. The list is short: a model has at most a few dozen files.
 *
 * fork() may happen while another thread changes the list. So the list is singly linked, and a
 * single assignment adds or removes an entry: the child always has a consistent list.
 */
#include "base/inputs.h"

#include <stdbool.h>
#include <string.h>

#include "base/fork_lock.h"
#include "base/mem.h"

struct input_file {
    struct input_file *next;
    dev_t device;
    ino_t inode;
    size_t uses;
    char *name; /* the first name it was added with */
};

static struct fork_lock lock = FORK_LOCK_INIT;
static struct input_file *first;
static bool kept;
static struct {
    dev_t device;
    ino_t inode;
} outputs[2]; /* [output_count] */
static int output_count;

/* Called with the lock held. */
static struct input_file *find(const struct stat *st)
{
    struct input_file *f = first;
    while (f && (f->device != st->st_dev || f->inode != st->st_ino))
        f = f->next;
    return f;
}

static struct input_file *insert(const struct stat *st, const char *name)
{
    struct input_file *const f = mem_alloc(1, sizeof *f);
    if (!f)
        return NULL;
    *f = (struct input_file){
        .next = first, .device = st->st_dev, .inode = st->st_ino, .name = mem_string(name, strlen(name))};
    if (!f->name) {
        mem_free(f);
        return NULL;
    }
    first = f;
    return f;
}

enum rwkv7_status input_add(const struct stat *st, const char *name, struct input_file **out, struct rwkv7_error *err)
{
    *out = NULL;
    if (!S_ISREG(st->st_mode))
        return RWKV7_OK;
    fork_lock_take(&lock);
    struct input_file *f = find(st);
    if (!f)
        f = insert(st, name);
    if (f)
        f->uses++;
    fork_lock_give(&lock);
    *out = f;
    return f ? RWKV7_OK : fail_memory(err, "the list of input files");
}

/* Called with the lock held. */
static void release(struct input_file *f)
{
    if (!f || --f->uses > 0)
        return;
    struct input_file **at = &first;
    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    mem_free(f->name);
    mem_free(f);
}

void input_remove(struct input_file *file)
{
    fork_lock_take(&lock);
    release(file);
    fork_lock_give(&lock);
}

void input_unmapped(struct input_file *file)
{
    fork_lock_take(&lock);
    if (!kept)
        release(file);
    fork_lock_give(&lock);
}

void inputs_keep(void)
{
    fork_lock_take(&lock);
    kept = true;
    fork_lock_give(&lock);
}

enum rwkv7_status input_refuse(const struct stat *st, const char *path, struct rwkv7_error *err)
{
    enum rwkv7_status status = RWKV7_OK;
    if (!S_ISREG(st->st_mode))
        return RWKV7_OK;
    fork_lock_take(&lock);
    const struct input_file *const f = find(st);
    if (f)
        status = fail(err, RWKV7_ERR_USAGE, "%s: refusing to overwrite an input file, read as %s", path, f->name);
    fork_lock_give(&lock);
    return status;
}

void inputs_output(const struct stat *st)
{
    fork_lock_take(&lock);
    if (S_ISREG(st->st_mode) && output_count < (int)(sizeof outputs / sizeof outputs[0])) {
        outputs[output_count].device = st->st_dev;
        outputs[output_count++].inode = st->st_ino;
    }
    fork_lock_give(&lock);
}

static bool is_output(const struct stat *st)
{
    bool found = false;
    fork_lock_take(&lock);
    for (int i = 0; i < output_count; i++)
        found = found || (outputs[i].device == st->st_dev && outputs[i].inode == st->st_ino);
    fork_lock_give(&lock);
    return found;
}

enum rwkv7_status input_refuse_output(const struct stat *st, const char *path, struct rwkv7_error *err)
{
    return is_output(st) ? fail(err, RWKV7_ERR_USAGE,
                                "%s: refusing to replace a file that standard output or standard error goes to", path)
                         : RWKV7_OK;
}

enum rwkv7_status input_map(const struct stat *st, const char *name, struct input_file **out, struct rwkv7_error *err)
{
    *out = NULL;
    return is_output(st) ? fail(err, RWKV7_ERR_USAGE,
                                "%s: refusing to read a file that standard output or standard error goes to", name)
                         : input_add(st, name, out, err);
}
