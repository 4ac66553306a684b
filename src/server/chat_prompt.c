/* chat_prompt.c - see chat_prompt.h. */
#include "server/chat_prompt.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "server/tool_fields.h"

enum role { ROLE_SYSTEM, ROLE_USER, ROLE_ASSISTANT, ROLE_TOOL };

/* The prompt of a conversation, built message by message. */
struct transcript {
    const struct chat_template *template;
    const struct tools *tools;
    enum thinking thinking; /* of the last turn */
    struct text text;
    size_t answer;      /* where the last answer begins in it */
    struct text user;   /* user messages since the last answer */
    bool any_user;      /* there is such a message, perhaps an empty one */
    struct text system; /* messages before the first turn */
    bool any_turn;
    bool gap; /* the next turn begins with the text between turns */
    struct chat_prompt *out;
    struct session_intro *intro; /* what the text before has read, and then with this one; NULL: nothing */

    const struct session_text *past; /* of the session; NULL: none, or only new messages follow it */
    size_t undone;                   /* turns of it that differ; SIZE_MAX: all */
    uint64_t history, asked;         /* of the conversation so far; before the last answer */
    struct text last_user, last_answer;
};

/* Remembers that a message ends here. The oldest ends but the first are forgotten. */
static void add_end(struct transcript *t, size_t end)
{
    size_t *const ends = t->out->ends;
    if (t->out->end_count == CHAT_MARKS)
        memmove(ends + 1, ends + 2, (--t->out->end_count - 1) * sizeof *ends);
    ends[t->out->end_count++] = end;
}

static void replace_text(struct text *to, const char *bytes, size_t size)
{
    to->size = 0;
    text_add(to, bytes, size);
}

static void add_owned(struct transcript *t, char *text)
{
    if (text)
        text_add_string(&t->text, text);
    t->text.failed = t->text.failed || !text;
    mem_free(text);
}

/* Notes a hash of what is read. Returns whether it was the last one of its kind already. */
static bool is_known(uint64_t *last, const struct text *text)
{
    const uint64_t hash = session_history(0, 's', text->bytes, text->size), before = *last;
    *last = hash;
    return hash == before;
}

/* Adds the tools to the system prompt. */
static void add_tools(struct transcript *t)
{
    struct text tools = {0};
    tools_add_system(t->tools, &tools);
    t->system.failed = t->system.failed || tools.failed;
    if (!tools.failed && !(t->intro && is_known(&t->intro->tools, &tools)))
        tools_add_system(t->tools, &t->system);
    text_free(&tools);
}

/*
 * Adds the system prompt. Called when the first turn begins. What an answer that is continued has
 * read already is left out.
 */
static void add_system(struct transcript *t)
{
    if (t->intro && t->system.size > 0 && is_known(&t->intro->system, &t->system))
        t->system.size = 0;
    if (tools_are_used(t->tools))
        add_tools(t);
    text_add(&t->system, "", 1);
    if (!t->system.failed && t->system.size > 1) {
        if (t->gap)
            text_add_string(&t->text, t->template->between);
        t->gap = false;
        add_owned(t, chat_template_system(t->template, t->system.bytes));
        t->history = session_history(t->history, 's', t->system.bytes, t->system.size - 1);
        add_end(t, t->text.size);
    }
    t->text.failed = t->text.failed || t->system.failed;
    text_free(&t->system);
}

/* If the session has read exactly the messages so far, the prompt begins after them. */
static void find_past(struct transcript *t)
{
    const size_t found = t->past ? session_text_find(t->past, t->history) : SIZE_MAX;
    if (found == SIZE_MAX)
        return;
    t->undone = found;
    t->text.size = t->out->end_count = 0;
}

/* Adds the user's turn and the opening of the answer. */
static void add_turn(struct transcript *t, enum thinking thinking)
{
    const size_t opening = strlen(chat_template_opening(thinking));
    if (!t->any_turn)
        add_system(t);
    else
        find_past(t);
    t->history = session_history(t->history, 'u', t->user.bytes, t->user.size);
    t->asked = t->history;
    replace_text(&t->last_user, t->user.bytes, t->user.size);
    text_add(&t->user, "", 1);
    if (!t->user.failed)
        add_owned(t, chat_template_turn(t->template, t->user.bytes, !t->gap, thinking));
    t->text.failed = t->text.failed || t->user.failed || t->last_user.failed;
    text_free(&t->user);
    t->answer = t->text.size - opening;
    if (!t->text.failed)
        add_end(t, t->answer);
    t->any_turn = t->gap = true;
    t->any_user = false;
}

/*
 * Adds an answer in the form that the model writes: one space, then the trimmed text and the calls.
 */
static void add_answer(struct transcript *t, const char *content, size_t size, const struct text *calls)
{
    add_turn(t, THINK_OFF);
    text_trim(&content, &size);
    text_add(&t->text, " ", size > 0 || calls->size > 0);
    text_add(&t->text, content, size);
    text_add(&t->text, "\n", size > 0 && calls->size > 0);
    text_add(&t->text, calls->bytes, calls->size);
    t->text.failed = t->text.failed || calls->failed;
    t->history = session_history(t->history, calls->size > 0 ? 'c' : 'a', content, size);
    replace_text(&t->last_answer, content, size);
    add_end(t, t->text.size);
}

static void add_message(struct transcript *t, enum role role, const struct text *content)
{
    struct text *const to = role == ROLE_SYSTEM && !t->any_turn && !t->any_user ? &t->system : &t->user;
    if (role == ROLE_TOOL) {
        tools_add_result(to, content->bytes, content->size);
    } else {
        text_add(to, "\n", to->size > 0);
        text_add(to, content->bytes, content->size);
    }
    t->any_user = t->any_user || to == &t->user;
}

/* Reads message content: a string, null, or a list of parts {"type":"text","text":".."}. */
static bool read_content(const cJSON *content, const char *param, struct text *out, struct api_error *e)
{
    if (!content || cJSON_IsNull(content))
        return true;
    if (cJSON_IsString(content)) {
        text_add_string(out, content->valuestring);
        return true;
    }
    if (!cJSON_IsArray(content))
        return error_request(e, param, "%s: expected a string or a list of parts", param);
    for (const cJSON *part = content->child; part; part = part->next) {
        const cJSON *const type = cJSON_GetObjectItemCaseSensitive(part, "type");
        const cJSON *const text = cJSON_GetObjectItemCaseSensitive(part, "text");
        if (!cJSON_IsString(type) || strcmp(type->valuestring, "text") != 0 || !cJSON_IsString(text))
            return error_request(e, param, "%s: expected parts of the type 'text', found '%.60s'", param,
                                 cJSON_IsString(type) ? type->valuestring : "something else");
        text_add_string(out, text->valuestring);
    }
    return true;
}

static bool read_role(const cJSON *message, const char *param, enum role *role, struct api_error *e)
{
    static const struct {
        const char *name;
        enum role role;
    } roles[] = {{"system", ROLE_SYSTEM},       {"developer", ROLE_SYSTEM}, {"user", ROLE_USER},
                 {"assistant", ROLE_ASSISTANT}, {"tool", ROLE_TOOL},        {"function", ROLE_TOOL}};
    const cJSON *const name = cJSON_GetObjectItemCaseSensitive(message, "role");
    for (size_t i = 0; cJSON_IsString(name) && i < sizeof roles / sizeof *roles; i++)
        if (strcmp(name->valuestring, roles[i].name) == 0) {
            *role = roles[i].role;
            return true;
        }
    return error_request(e, param, "%s: expected the role system, developer, user, assistant or tool, found '%.60s'",
                         param, cJSON_IsString(name) ? name->valuestring : "something else");
}

static bool read_message(struct transcript *t, const cJSON *message, int index, struct api_error *e)
{
    char param[48];
    enum role role = ROLE_USER;
    struct text content = {0}, calls = {0};
    snprintf(param, sizeof param, "messages[%d]", index);
    if (!read_role(message, param, &role, e))
        return false;
    const cJSON *const value = cJSON_GetObjectItemCaseSensitive(message, "content");
    const bool has_content = value && !cJSON_IsNull(value);
    bool fine = read_content(value, param, &content, e);
    if (fine && (role == ROLE_SYSTEM || role == ROLE_USER) && !has_content)
        fine = error_request(e, param, "%s: expected content, a string or a list of parts", param);
    if (fine && role == ROLE_ASSISTANT)
        fine = tool_fields_add_calls(cJSON_GetObjectItemCaseSensitive(message, "tool_calls"), param, &calls, e);
    if (fine && calls.size > 0 && !message->next)
        fine = error_request(e, param, "%s: expected a message with the results after tool_calls", param);
    t->text.failed = t->text.failed || content.failed;
    if (fine && role == ROLE_ASSISTANT)
        add_answer(t, content.bytes, content.size, &calls);
    else if (fine)
        add_message(t, role, &content);
    text_free(&content);
    text_free(&calls);
    return fine;
}

/* Returns whether the messages are only the new ones of a session. */
static bool are_new(const cJSON *messages)
{
    enum role role = ROLE_USER;
    struct api_error ignored = {0};
    for (const cJSON *one = messages->child; one; one = one->next)
        if (read_role(one, "", &role, &ignored) &&
            (role == ROLE_ASSISTANT || (role == ROLE_SYSTEM && one == messages->child)))
            return false;
    return true;
}

/* Prepares to continue a session. */
static void begin_session(struct transcript *t, const cJSON *messages, struct session_use *use)
{
    const struct session_text *const text = &use->text;
    const bool at_root = text->turn_count == 0 && !text->rootless;
    t->undone = SIZE_MAX;
    if (at_root || are_new(messages)) {
        t->history = text->history;
        t->gap = text->gap;
        return;
    }
    t->past = text;
    if (!text->rootless) {
        t->history = text->turns[0].history;
        t->gap = text->turns[0].gap;
    }
}

/* Sets the session back to where the prompt begins. */
static bool end_session(struct transcript *t, struct session_use *use, bool prefilled)
{
    if (t->past && t->undone == SIZE_MAX)
        session_text_restart(&use->text);
    else if (t->past)
        session_text_undo(&use->text, t->undone);
    use->history = use->reads_only ? t->history : t->asked;
    use->gap = t->gap;
    text_add(&t->last_user, "", 1);
    if (prefilled)
        text_add(&use->visible, t->last_answer.bytes, t->last_answer.size);
    if (!t->last_user.failed)
        use->user = mem_string(t->last_user.bytes, t->last_user.size - 1);
    return use->user && !t->last_answer.failed && !use->visible.failed;
}

/*
 * Builds the prompt of the whole conversation. *prefilled: the last message is the start of the
 * answer.
 */
static bool read_messages(struct transcript *t, const struct fields *f, struct session_use *use, bool *prefilled)
{
    const cJSON *const messages = field_of(f, "messages");
    int index = 0;
    if (!cJSON_IsArray(messages) || !messages->child)
        return error_request(f->error, "messages", "messages: expected a list of messages");
    if (use) {
        begin_session(t, messages, use);
        t->intro = &use->intro;
    }
    for (const cJSON *one = messages->child; one; one = one->next)
        if (!read_message(t, one, index++, f->error))
            return false;
    *prefilled = t->any_turn && !t->any_user;
    if (use && use->reads_only) {
        if (t->any_user)
            return error_request(f->error, "messages", "messages: expected no message of the user at the end");
        if (!t->any_turn)
            add_system(t);
    } else if (!*prefilled && !t->any_user) {
        return error_request(f->error, "messages", "messages: expected a message of the user");
    } else if (!*prefilled) {
        add_turn(t, t->thinking);
    }
    if (use && !end_session(t, use, *prefilled))
        t->text.failed = true;
    if (t->text.failed || t->user.failed)
        return error_other(f->error, 500, NULL, "out of memory for the prompt");
    return true;
}

bool chat_prompt_read(const struct chat_template *template, const struct tools *tools, enum thinking thinking,
                      const struct fields *f, struct session_use *use, struct chat_prompt *out)
{
    struct transcript t = {.template = template, .tools = tools, .thinking = thinking, .out = out};
    const bool fine = read_messages(&t, f, use, &out->prefilled);
    out->answer = t.answer;
    out->text = t.text; /* the caller frees it, on failure too */
    text_free(&t.user);
    text_free(&t.system);
    text_free(&t.last_user);
    text_free(&t.last_answer);
    return fine;
}
