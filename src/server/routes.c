/* routes.c - see routes.h. */
#include "server/routes.h"

#include <string.h>

/* clang-format off: one endpoint per line */
static const struct route routes[] = {
    {"/completions", true, false, completions_handler},
    {"/chat/completions", true, false, chat_handler},
    {"/models", false, false, models_handler},
    {"/models/", false, false, model_handler},
    {"/health", false, true, health_handler},
    {"/tokenize", true, false, tokenize_handler},
    {"/detokenize", true, false, detokenize_handler},
    {"/tokenizer_info", false, false, tokenizer_info_handler},
    {"/", false, true, page_handler},
    {"/openapi.json", false, true, openapi_handler},
    {"/metrics", false, false, metrics_handler},
    {"/messages", true, false, messages_handler},
    {"/messages/count_tokens", true, false, count_tokens_handler},
    {"/responses", true, false, responses_handler},
    {"/responses/", true, false, response_handler},
    {"/api/generate", true, false, ollama_generate_handler},
    {"/api/chat", true, false, ollama_chat_handler},
    {"/api/embed", true, false, ollama_embed_handler},
    {"/api/embeddings", true, false, ollama_embeddings_handler},
    {"/api/show", true, false, ollama_show_handler},
    {"/api/tags", false, false, ollama_tags_handler},
    {"/api/ps", false, false, ollama_ps_handler},
    {"/api/version", false, false, ollama_version_handler},
    {"/choose", true, false, choose_handler},
    {"/apply-template", true, false, apply_template_handler},
    {"/props", false, false, props_handler},
    {"/slots", false, false, slots_handler},
    {"/embeddings", true, false, embeddings_handler},
    {"/states", true, false, states_handler},
    {"/states/", true, false, state_handler},
};
/* clang-format on */
#define COUNT (sizeof routes / sizeof *routes)
_Static_assert(COUNT < METRIC_ENDPOINTS, "metrics count every endpoint, and unknown paths as the last one");

const struct route *route_find(const char *path, unsigned *index, const char **name)
{
    if (strncmp(path, "/v1/", 4) == 0 && path[4])
        path += 3;
    *name = NULL;
    for (*index = 0; *index < COUNT; ++*index) {
        const struct route *const r = &routes[*index];
        const size_t n = strlen(r->path);
        const bool named = n > 1 && r->path[n - 1] == '/';
        if (named ? strncmp(path, r->path, n) == 0 && path[n] : strcmp(path, r->path) == 0) {
            if (named)
                *name = path + n;
            return r;
        }
    }
    *index = METRIC_ENDPOINTS - 1;
    return NULL;
}

enum error_form route_errors(const char *path)
{
    static const struct {
        const char *path;
        enum error_form form;
    } forms[] = {{"/messages", ERRORS_ANTHROPIC}, {"/api", ERRORS_OLLAMA}};
    if (strncmp(path, "/v1/", 4) == 0)
        path += 3;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        const size_t n = strlen(forms[i].path);
        if (strncmp(path, forms[i].path, n) == 0 && (!path[n] || path[n] == '/'))
            return forms[i].form;
    }
    return ERRORS_OPENAI;
}

const char *route_methods(const struct route *r, const char *name)
{
    const bool action = name && strchr(name, '/'); /* fork, undo */
    return r->handle == states_handler     ? "GET, POST"
           : r->handle == state_handler    ? action ? "POST" : "GET, PUT, DELETE"
           : r->handle == response_handler ? "DELETE"
           : r->post                       ? "POST"
                                           : "GET";
}

bool route_reads_states(const struct route *r, const char *method)
{
    return (r->handle == states_handler || r->handle == state_handler) &&
           (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0);
}

bool route_is_quick(const struct route *r)
{
    return !r->post;
}

bool route_allows(const struct route *r, const char *name, const char *method)
{
    const char *const wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;
    const size_t size = strlen(wanted);
    for (const char *at = route_methods(r, name); *at; at += strcspn(at, " "), at += *at == ' ')
        if (strcspn(at, ",") == size && strncmp(at, wanted, size) == 0)
            return true;
    return false;
}

const char *route_path(unsigned index)
{
    return index < COUNT ? routes[index].path : index == METRIC_ENDPOINTS - 1 ? "other" : NULL;
}
