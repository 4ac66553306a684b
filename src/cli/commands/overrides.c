/* overrides.c - see overrides.h. */
#include "cli/commands/overrides.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_tree.h"
#include "cli/commands/json_line.h"
#include "cli/io/messages.h"
#include "cli/options/args.h"

/* The members that are options. */
static const char *const names[] = {"tokens", "stop",     "ignore_eos", "bos",      "no_bos",    "temp",
                                    "top_p",  "top_k",    "min_p",      "presence", "frequency", "penalty_decay",
                                    "seed",   "logprobs", "strip",      NULL};

static bool is_among(const char *name, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(name, *list) == 0)
            return true;
    return false;
}

/* Returns the row of an option of struct request_args; it is the same for all commands. */
static const struct option *find(const char *member)
{
    char name[32];
    snprintf(name, sizeof name, "%s", member);
    for (char *at = name; *at; at++)
        if (*at == '_')
            *at = '-';
    for (const struct option *o = option_table; o->help; o++)
        if (o->name && strcmp(o->name, name) == 0)
            return o;
    return NULL;
}

/* Takes a string or an array of strings; the strings stay in `value`. */
static bool take_texts(const cJSON *value, struct text_list *list, char why[256])
{
    const cJSON *const first = cJSON_IsArray(value) ? value->child : value;
    const size_t limit = cJSON_IsArray(value) ? (size_t)cJSON_GetArraySize(value) : 1;
    *list = (struct text_list){malloc((limit + 1) * sizeof *list->at), 0};
    for (const cJSON *v = first; v && list->at && list->count < limit; v = v->next) {
        if (!cJSON_IsString(v) || !*v->valuestring) {
            snprintf(why, 256, "'%s': expected strings that are not empty", value->string);
            return false;
        }
        list->at[list->count++] = v->valuestring;
    }
    if (!list->at)
        snprintf(why, 256, JSON_LINE_NO_MEMORY);
    return list->at != NULL;
}

static bool take(struct request_args *args, const struct option *o, const cJSON *value, char why[256])
{
    void *const field = option_field(o, request_parts, args);
    const double x = value->valuedouble, least = o->value.least, most = o->value.most;
    switch (o->value.kind) {
    case FLAG:
        if (!cJSON_IsBool(value)) {
            snprintf(why, 256, "'%s': expected true or false", value->string);
            return false;
        }
        *(bool *)field = cJSON_IsTrue(value);
        return true;
    case WHOLE:
        if (!cJSON_IsNumber(value) || x != floor(x) || !(x >= least && x <= most)) {
            snprintf(why, 256, "'%s': expected a whole number from %.0f to %.0f", value->string, least, most);
            return false;
        }
        *(int *)field = (int)x;
        return true;
    case REAL:
        if (!cJSON_IsNumber(value) || !(x >= least && x <= most)) {
            snprintf(why, 256, "'%s': expected a number from %g to %g", value->string, least, most);
            return false;
        }
        *(float *)field = (float)x;
        return true;
    case SEED: /* a double holds all integers below 2^53 */
        if (!cJSON_IsNumber(value) || x != floor(x) || !(x >= 0 && x < 0x1p53)) {
            snprintf(why, 256, "'%s': expected a whole number from 0 to 2^53 - 1", value->string);
            return false;
        }
        *(struct seed_option *)field = (struct seed_option){.value = (uint64_t)x, .given = true};
        return true;
    default:
        return take_texts(value, field, why);
    }
}

/*
 * Suggests the option whose name is part of `name`: "max_tokens", "temperature" of other programs.
 */
static bool complain_unknown(const char *name, char why[256])
{
    const char *const *meant = names;
    while (*meant && !strstr(name, *meant))
        meant++;
    snprintf(why, 256, "unknown member '%.60s'%s%s%s", name, *meant ? "; did you mean '" : "", *meant ? *meant : "",
             *meant ? "'?" : "");
    return false;
}

bool overrides_apply(struct request_args *args, const cJSON *object, const char *const *others, char why[256])
{
    for (const cJSON *value = object->child; value; value = value->next) {
        const bool other = is_among(value->string, others);
        const struct option *const o = is_among(value->string, names) ? find(value->string) : NULL;
        if (!other && !o)
            return complain_unknown(value->string, why);
        if (json_line_duplicate(object, value->string, why) || (!other && !take(args, o, value, why)))
            return false;
    }
    return true;
}
