/*
 * regex_property.c - \p{..}: the general categories of Unicode, as sets of bits. A category has the
 * number that utf8proc gives it; a group such as L (letters) has several bits.
 */
#include "matcher/regex_property.h"

#include <string.h>
#include <utf8proc.h>

#include "base/mem.h"

#define BIT(c) (UINT32_C(1) << UTF8PROC_CATEGORY_##c)
#define ALL ((UINT32_C(1) << (UTF8PROC_CATEGORY_CO + 1)) - 1)
#define CASED (BIT(LU) | BIT(LL) | BIT(LT))

static const struct {
    const char *brief, *name;
    uint32_t categories;
} properties[] = {
    {"Lu", "Uppercase_Letter", BIT(LU)},
    {"Ll", "Lowercase_Letter", BIT(LL)},
    {"Lt", "Titlecase_Letter", BIT(LT)},
    {"LC", "Cased_Letter", CASED},
    {"Lm", "Modifier_Letter", BIT(LM)},
    {"Lo", "Other_Letter", BIT(LO)},
    {"L", "Letter", CASED | BIT(LM) | BIT(LO)},
    {"Mn", "Nonspacing_Mark", BIT(MN)},
    {"Mc", "Spacing_Mark", BIT(MC)},
    {"Me", "Enclosing_Mark", BIT(ME)},
    {"M", "Mark", BIT(MN) | BIT(MC) | BIT(ME)},
    {"M", "Combining_Mark", BIT(MN) | BIT(MC) | BIT(ME)},
    {"Nd", "Decimal_Number", BIT(ND)},
    {"Nd", "digit", BIT(ND)},
    {"Nl", "Letter_Number", BIT(NL)},
    {"No", "Other_Number", BIT(NO)},
    {"N", "Number", BIT(ND) | BIT(NL) | BIT(NO)},
    {"Pc", "Connector_Punctuation", BIT(PC)},
    {"Pd", "Dash_Punctuation", BIT(PD)},
    {"Ps", "Open_Punctuation", BIT(PS)},
    {"Pe", "Close_Punctuation", BIT(PE)},
    {"Pi", "Initial_Punctuation", BIT(PI)},
    {"Pf", "Final_Punctuation", BIT(PF)},
    {"Po", "Other_Punctuation", BIT(PO)},
    {"P", "Punctuation", BIT(PC) | BIT(PD) | BIT(PS) | BIT(PE) | BIT(PI) | BIT(PF) | BIT(PO)},
    {"P", "punct", BIT(PC) | BIT(PD) | BIT(PS) | BIT(PE) | BIT(PI) | BIT(PF) | BIT(PO)},
    {"Sm", "Math_Symbol", BIT(SM)},
    {"Sc", "Currency_Symbol", BIT(SC)},
    {"Sk", "Modifier_Symbol", BIT(SK)},
    {"So", "Other_Symbol", BIT(SO)},
    {"S", "Symbol", BIT(SM) | BIT(SC) | BIT(SK) | BIT(SO)},
    {"Zs", "Space_Separator", BIT(ZS)},
    {"Zl", "Line_Separator", BIT(ZL)},
    {"Zp", "Paragraph_Separator", BIT(ZP)},
    {"Z", "Separator", BIT(ZS) | BIT(ZL) | BIT(ZP)},
    {"Cc", "Control", BIT(CC)},
    {"Cc", "cntrl", BIT(CC)},
    {"Cf", "Format", BIT(CF)},
    {"Cs", "Surrogate", BIT(CS)},
    {"Co", "Private_Use", BIT(CO)},
    {"Cn", "Unassigned", BIT(CN)},
    {"C", "Other", BIT(CC) | BIT(CF) | BIT(CS) | BIT(CO) | BIT(CN)},
    {"Any", "Any", ALL},
    {"Assigned", "Assigned", ALL & ~BIT(CN)},
};

static bool is_name(const uint8_t *text, size_t size, const char *name)
{
    return strlen(name) == size && memcmp(text, name, size) == 0;
}

enum rwkv7_status regex_property_read(struct regex_reader *in, const uint8_t *start, bool negate, uint32_t *categories)
{
    static const char *const prefixes[] = {"General_Category=", "gc="};
    const uint8_t *const end =
        in->at < in->end && *in->at == '{' ? memchr(in->at, '}', (size_t)(in->end - in->at)) : NULL;
    if (!end)
        return regex_error(in, start, "expected a property in braces, such as \\p{L}");
    const uint8_t *name = in->at + 1;
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        const size_t size = strlen(prefixes[i]);
        if ((size_t)(end - name) > size && memcmp(name, prefixes[i], size) == 0) {
            name += size;
            break;
        }
    }
    for (size_t i = 0; i < sizeof properties / sizeof *properties; i++) {
        if (!is_name(name, (size_t)(end - name), properties[i].brief) &&
            !is_name(name, (size_t)(end - name), properties[i].name))
            continue;
        *categories = negate ? ALL & ~properties[i].categories : properties[i].categories;
        in->at = end + 1;
        return RWKV7_OK;
    }
    return regex_error(in, start, "\\p{%.*s} is not supported; general categories are, such as \\p{L} and \\p{Nd}",
                       (int)(end - name < 40 ? end - name : 40), (const char *)name);
}

/* Divides the code points into runs of one category. */
static enum rwkv7_status find_runs(struct regex_reader *in)
{
    enum { CODE_POINTS = 0x110000, MORE = 1024 };
    size_t room = 0;
    for (uint32_t c = 0; c < CODE_POINTS; c++) {
        const uint8_t category = (uint8_t)utf8proc_category((utf8proc_int32_t)c);
        if (in->run_count > 0 && in->runs[in->run_count - 1].category == category) {
            in->runs[in->run_count - 1].high = c;
            continue;
        }
        if (in->run_count == room) {
            struct category_run *const grown = mem_grow(in->runs, room, room + MORE, sizeof *grown);
            if (!grown)
                return fail_memory(in->err, "the expression");
            in->runs = grown;
            room += MORE;
        }
        in->runs[in->run_count++] = (struct category_run){c, c, category};
    }
    return RWKV7_OK;
}

enum rwkv7_status regex_property_ranges(struct regex_reader *in, uint32_t categories, struct regex_range **ranges,
                                        size_t *count)
{
    *ranges = NULL;
    *count = 0;
    if (in->run_count == 0) {
        const enum rwkv7_status status = find_runs(in);
        if (status != RWKV7_OK)
            return status;
    }
    *ranges = mem_alloc(in->run_count, sizeof **ranges);
    if (!*ranges)
        return fail_memory(in->err, "the expression");
    for (size_t i = 0; i < in->run_count; i++) {
        const struct category_run run = in->runs[i];
        if (!(categories >> run.category & 1))
            continue;
        if (*count > 0 && (*ranges)[*count - 1].high + 1 == run.low)
            (*ranges)[*count - 1].high = run.high;
        else
            (*ranges)[(*count)++] = (struct regex_range){run.low, run.high};
    }
    return RWKV7_OK;
}
