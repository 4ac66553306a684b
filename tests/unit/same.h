/*
 * same.h - helpers for tests of checkpoints that differ from others only in form: a temporary
 * folder, a variant (variant.h), and checks that the written file gives the logits of the original,
 * bit for bit, or is rejected with the reason.
 */
#ifndef SAME_H
#define SAME_H

#include <stdlib.h>
#include <unistd.h>

#include "rwkv7.h"
#include "test.h"
#include "variant.h"

#define GOLDEN(name) TEST_DIR "/golden/data/" name ".safetensors"

enum { TOKENS = 7, MOST = 400 };
static const uint32_t prompt[TOKENS] = {1, 2, 3, 15, 0, 16, 4};

static struct rwkv7_runtime *rt;
static struct variant v;
static char folder[] = "/tmp/rwkv7-variants-XXXXXX", file[64];

static inline const char *in_folder(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static inline struct rwkv7_model *open_model(const char *path)
{
    struct rwkv7_model *model = NULL;
    struct rwkv7_error err = {0};
    const enum rwkv7_status status = rwkv7_model_open(rt, path, NULL, &model, &err);
    CHECK_MSG(status == RWKV7_OK, "%s", err.message);
    return model;
}

static inline void evaluate(struct rwkv7_model *model, float *logits)
{
    struct rwkv7_session *s = NULL;
    if (!model)
        return;
    CHECK((size_t)rwkv7_model_info(model)->shape.vocab <= MOST);
    CHECK(rwkv7_session_create(model, &s, NULL) == RWKV7_OK &&
          rwkv7_session_eval(s, prompt, TOKENS, RWKV7_LOGITS_LAST, logits, NULL) == RWKV7_OK);
    rwkv7_session_close(s);
}

/*
 * Opens both and compares the logits. Returns the model of `path`, to be closed by the caller; NULL
 * if it did not open.
 */
static inline struct rwkv7_model *open_same(const char *path, const char *original)
{
    float got[MOST] = {0}, want[MOST] = {0};
    struct rwkv7_model *a = open_model(path), *b = open_model(original);
    evaluate(a, got);
    evaluate(b, want);
    CHECK_MSG(memcmp(got, want, sizeof got) == 0 && want[1] != 0, "%s: other logits", path);
    rwkv7_model_close(b);
    return a;
}

static inline void check_same(const char *path, const char *original)
{
    rwkv7_model_close(open_same(path, original));
}

static inline void check_refused(const char *path, const char *fragment)
{
    struct rwkv7_model *model = NULL;
    struct rwkv7_error err = {0};
    CHECK(rwkv7_model_open(rt, path, NULL, &model, &err) == RWKV7_ERR_MODEL && !model);
    CHECK_MSG(strstr(err.message, fragment), "got \"%s\", want \"%s\"", err.message, fragment);
    rwkv7_model_close(model);
}

static inline void add_prefix(const char *prefix)
{
    for (size_t i = 0; i < v.count; i++)
        variant_rename(&v, &v.tensors[i], "%s%s", prefix, v.tensors[i].name);
}

static inline bool same_begin(void)
{
    const struct rwkv7_runtime_options opt = {.threads = 2};
    const bool begun = mkdtemp(folder) && rwkv7_runtime_create(&opt, &rt, NULL) == RWKV7_OK;
    snprintf(file, sizeof file, "%s/model.safetensors", folder);
    return begun;
}

static inline int same_end(void)
{
    unlink(file);
    CHECK(rmdir(folder) == 0); /* no files are left */
    rwkv7_runtime_close(rt);
    return test_end();
}

#endif
