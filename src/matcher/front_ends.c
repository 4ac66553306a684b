/* front_ends.c - TEMPORARY: until gbnf.c and schema.c exist. */
#include "matcher/grammar.h"

enum rwkv7_status gbnf_build(const char *text, size_t size, struct grammar *g, struct rwkv7_error *err)
{
    (void)text, (void)size, (void)g;
    return fail(err, RWKV7_ERR_USAGE, "GBNF is not supported");
}
enum rwkv7_status schema_build(const char *text, size_t size, const struct schema_options *options, struct grammar *g,
                               struct rwkv7_error *err)
{
    (void)text, (void)size, (void)g, (void)options;
    return fail(err, RWKV7_ERR_USAGE, "JSON Schema is not supported");
}
enum rwkv7_status json_build(const struct schema_options *options, struct grammar *g, struct rwkv7_error *err)
{
    (void)g, (void)options;
    return fail(err, RWKV7_ERR_USAGE, "JSON is not supported");
}
