/* fields.c - see fields.h. */
#include "server/fields.h"

#include <inttypes.h>
#include <math.h>

static const int64_t EXACT = (int64_t)1 << 53; /* cJSON reads numbers as double */

const cJSON *field_of(const struct fields *f, const char *name)
{
    const cJSON *const value = cJSON_GetObjectItemCaseSensitive(f->object, name);
    return value && !cJSON_IsNull(value) ? value : NULL;
}

void field_number(const struct fields *f, const char *name, double least, double most, double *out)
{
    const cJSON *const value = field_of(f, name);
    if (!value)
        return;
    if (!cJSON_IsNumber(value))
        error_request(f->error, name, "%s: expected a number", name);
    else if (!(value->valuedouble >= least && value->valuedouble <= most))
        error_request(f->error, name, "%s: expected a number from %g to %g, found %g", name, least, most,
                      value->valuedouble);
    else
        *out = value->valuedouble;
}

bool json_whole(const cJSON *value, int64_t least, int64_t most, int64_t *out)
{
    if (!cJSON_IsNumber(value) || !(fabs(value->valuedouble) <= (double)EXACT) ||
        floor(value->valuedouble) != value->valuedouble)
        return false;
    const int64_t x = (int64_t)value->valuedouble;
    if (x < least || x > most)
        return false;
    *out = x;
    return true;
}

void field_whole(const struct fields *f, const char *name, int64_t least, int64_t most, int64_t *out)
{
    const cJSON *const value = field_of(f, name);
    if (!value || json_whole(value, least, most, out))
        return;
    if (!cJSON_IsNumber(value))
        error_request(f->error, name, "%s: expected a whole number", name);
    else
        error_request(f->error, name, "%s: expected a whole number from %" PRId64 " to %" PRId64 ", found %.17g", name,
                      least, most, value->valuedouble);
}

void field_bool(const struct fields *f, const char *name, bool *out)
{
    const cJSON *const value = field_of(f, name);
    if (value && !cJSON_IsBool(value))
        error_request(f->error, name, "%s: expected true or false", name);
    else if (value)
        *out = cJSON_IsTrue(value);
}

void field_string(const struct fields *f, const char *name, const char **out)
{
    const cJSON *const value = field_of(f, name);
    if (value && !cJSON_IsString(value))
        error_request(f->error, name, "%s: expected a string", name);
    else if (value)
        *out = value->valuestring;
}
