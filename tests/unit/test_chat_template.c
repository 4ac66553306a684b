/*
 * test_chat_template.c - the template chosen for a model by its version and vocabulary (cli_chat
 * tests the names), the text of each template, and template files when out of memory.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "generate/chat_template.h"
#include "test.h"

static struct rwkv7_runtime *rt;

static void check_choice(enum rwkv7_arch arch, int vocab, const char *name, const char *why)
{
    struct rwkv7_shape shape = {.vocab = vocab, .layers = 1, .channels = 32, .ffn = 32, .arch = arch};
    const struct rwkv7_random_options random = {.type = RWKV7_BF16, .seed = 1};
    const bool has_factors = arch == RWKV7_ARCH_X070;
    struct rwkv7_model *model = NULL;
    struct rwkv7_error err = {0};
    const char *reason = NULL;
    if (arch != RWKV7_ARCH_X040) {
        shape.heads = 1;
        shape.head_size = 32;
    }
    shape.rank_w = has_factors || arch == RWKV7_ARCH_X060 ? 8 : 0;
    shape.rank_a = shape.rank_g = has_factors ? 8 : 0;
    shape.rank_m = arch == RWKV7_ARCH_X060 ? 8 : 0;
    CHECK_MSG(rwkv7_model_random(rt, &shape, &random, &model, &err) == RWKV7_OK, "%s", err.message);
    const struct chat_template *const t = model ? chat_template_choose(model, &reason) : NULL;
    CHECK_MSG(t && strcmp(t->name, name) == 0 && strcmp(reason, why) == 0, "version %d, %d tokens: %s by %s", (int)arch,
              vocab, t ? t->name : "nothing", reason ? reason : "nothing");
    rwkv7_model_close(model);
}

static void test_choice(void)
{
    check_choice(RWKV7_ARCH_X070, 65536, "g1", "the version of the model");
    check_choice(RWKV7_ARCH_X070, 50304, "raven", "a vocabulary of GPT-NeoX");
    check_choice(RWKV7_ARCH_X060, 65536, "world", "the version of the model");
    check_choice(RWKV7_ARCH_X052, 65536, "world", "the version of the model");
    check_choice(RWKV7_ARCH_X050, 65536, "world", "the version of the model");
    check_choice(RWKV7_ARCH_X040, 65536, "world", "the version of the model");
    check_choice(RWKV7_ARCH_X040, 50277, "raven", "a vocabulary of GPT-NeoX");
    check_choice(RWKV7_ARCH_X040, 50276, "world", "the version of the model");
    check_choice(RWKV7_ARCH_X040, 50305, "world", "the version of the model");
}

static void check_text(char *text, const char *want)
{
    CHECK_MSG(text && strcmp(text, want) == 0, "got \"%s\"", text ? text : "nothing");
    mem_free(text);
}

static void test_text(void)
{
    static const char said[] = " a \r\n\n\nb\n";
    static const struct {
        const char *name, *system, *first, *second;
    } want[] = {
        {"g1", "System: a \nb\n\n", "User: a \nb\n\nAssistant:", "\n\nUser: a \nb\n\nAssistant:"},
        {"world", "System: a \nb\n\n", "User: a \nb\n\nAssistant:", "\n\nUser: a \nb\n\nAssistant:"},
        {"raven", "a \nb\n\n", "Bob: a \nb\n\nAlice:", "\n\nBob: a \nb\n\nAlice:"},
        {"instruction", "a \nb\n",
         "\nBelow is an instruction that describes a task. Write a response that appropriately completes the "
         "request.\n\n"
         "# Instruction:\na \nb\n\n# Response:\n",
         "\n\nBelow is an instruction that describes a task. Write a response that appropriately completes the "
         "request.\n\n"
         "# Instruction:\na \nb\n\n# Response:\n"},
    };
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        const struct chat_template *const t = chat_template_named(want[i].name);
        CHECK(t && t == chat_template_at(i));
        check_text(chat_template_system(t, said), want[i].system);
        check_text(chat_template_system(t, " \n"), "");
        check_text(chat_template_turn(t, said, true, THINK_OFF), want[i].first);
        check_text(chat_template_turn(t, said, false, THINK_OFF), want[i].second);
    }
    CHECK(!chat_template_at(4) && !chat_template_named("G1"));
    check_text(chat_template_turn(chat_template_at(0), "a", true, THINK_LONG),
               "User: a (think a lot)\n\nAssistant: <think");
    check_text(chat_template_turn(chat_template_at(0), "a", true, THINK_EMPTY),
               "User: a\n\nAssistant: <think>\n</think");
}

/* Reads a template from text; returns false, with the reason in err, if it is invalid. */
static bool read_template(const char *text, struct chat_template *t, struct rwkv7_error *err)
{
    return chat_template_parse("template", text, strlen(text), t, err) == RWKV7_OK;
}

static void test_files(void)
{
    static const struct {
        const char *text, *system[2], *user, *answer, *between, *stop;
    } want[] = {
        {"S: {system}\n\nU: {user}\n\nA: {answer}", {"S: ", "\n\n"}, "U: ", "\n\nA:", "\n\n", "\n\nU:"},
        {"S: {system}\nMore.\n\n\nU: {user} {answer}\n", {"S: ", "\nMore.\n\n"}, "\nU: ", "", "\n\n", "\n\n\nU:"},
        {"U: {user}\nA:\t{answer}\n\n", {"", "\n\n"}, "U: ", "\nA:\t", "\n", "\nU:"},
        {"{user}{answer}", {"", "\n\n"}, "", "", "\n\n", "\n\n"},
        {"One.\nTwo: {user}\n{answer} <end> \n\n\n", {"", "\n\n"}, "One.\nTwo: ", "\n", " <end> \n\n", " <end>"},
        {"{ {X} {\"a\": 1} {user}{answer}   \n", {"", "\n\n"}, "{ {X} {\"a\": 1} ", "", "   ", "   { {X} {\"a\": 1}"},
        {"{user}{answer}  ", {"", "\n\n"}, "", "", "  ", NULL},
    };
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        struct chat_template t;
        struct rwkv7_error err = {0};
        const bool opened = read_template(want[i].text, &t, &err);
        CHECK_MSG(opened, "%zu: %s", i, err.message);
        if (!opened)
            continue;
        CHECK_STR(t.system[0], want[i].system[0]);
        CHECK_STR(t.system[1], want[i].system[1]);
        CHECK_STR(t.user, want[i].user);
        CHECK_STR(t.answer, want[i].answer);
        CHECK_STR(t.between, want[i].between);
        CHECK_STR(t.stops[0] ? t.stops[0] : "none", want[i].stop ? want[i].stop : "none");
        CHECK(!t.stops[1] && t.thinks);
        chat_template_free(&t);
        CHECK(!t.memory);
    }
    /* Out of memory: nothing may leak. */
    struct chat_template t;
    struct rwkv7_error err = {0};
    mem_fail_after(0);
    CHECK(!read_template("{user}{answer}", &t, &err) && err.status == RWKV7_ERR_MEMORY && !t.memory);
    mem_fail_after(0);
    CHECK(!chat_template_system(chat_template_at(0), "a"));
    mem_fail_after(0);
    CHECK(!chat_template_turn(chat_template_at(0), "a", true, THINK_OFF));
    mem_fail_after(-1);
}

int main(void)
{
    const struct rwkv7_runtime_options options = {.threads = 1};
    if (rwkv7_runtime_create(&options, &rt, NULL) != RWKV7_OK)
        return 1;
    RUN(test_choice);
    RUN(test_text);
    RUN(test_files);
    rwkv7_runtime_close(rt);
    return test_end();
}
