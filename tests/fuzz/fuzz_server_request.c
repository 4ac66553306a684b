/*
 * fuzz_server_request.c - any bytes as a request to `rwkv7 serve`: the first byte chooses what they
 * are for, the rest is the body, or a header. A body becomes an error with a message, an answer that
 * is JSON, or a job whose tokens and options are within their limits. Runs under libFuzzer and, over
 * the corpus, under replay.c.
 */
#include "fuzz.h"

#include "generate/chat_template.h"
#include "server/guard.h"
#include "server/handlers.h"
#include "server/json_body.h"
#include "server/routes.h"

static const char *const keys[] = {"secret", "other"};
static struct server_options options = {.host = "127.0.0.1",
                                        .keys = keys,
                                        .key_count = 2,
                                        .cors = "https://example.org,https://a.example",
                                        .max_prompt = 2000,
                                        .max_tokens = 100};
static struct server server = {.options = &options, .name = "demo", .end_text = "<|rwkv_tokenizer_end_of_text|>"};

static void open_model(void)
{
    const struct rwkv7_runtime_options threads = {.threads = 1};
    struct rwkv7_tokenizer *tokenizer = NULL;
    struct rwkv7_session *start = NULL;
    size_t size;
    if (options.model)
        return;
    REQUIRE(rwkv7_runtime_create(&threads, &options.runtime, NULL) == RWKV7_OK);
    const void *const image = rwkv7_builtin_model(&size);
    REQUIRE(rwkv7_model_open_memory(options.runtime, image, size, "demo", NULL, &options.model, NULL) == RWKV7_OK);
    const char *const vocab = rwkv7_builtin_vocab(&size);
    REQUIRE(rwkv7_tokenizer_open_memory(vocab, size, "demo", &tokenizer, NULL) == RWKV7_OK);
    REQUIRE(rwkv7_session_create(options.model, &start, NULL) == RWKV7_OK);
    options.tokenizer = tokenizer;
    options.start = start;
    options.template = chat_template_at(0);
    metrics_init(&server.metrics);
}

/* The generator accepts the options of the job. */
static void check_job(const struct job *job)
{
    const uint32_t vocab = (uint32_t)rwkv7_model_info(options.model)->shape.vocab;
    struct rwkv7_sampler_options sampling;
    const struct rwkv7_generator_options generate = generation_options(&job->generation, 0, &sampling);
    struct request request;
    REQUIRE(job->prompt_count > 0 && job->choice_count == job->prompt_count * job->generation.choices);
    REQUIRE(job->prompt_tokens <= options.max_prompt && job->generation.max_tokens <= options.max_tokens);
    for (size_t i = 0; i < job->prompt_count; i++) {
        const struct job_prompt *const p = &job->prompts[i];
        REQUIRE(p->count > 0 && p->hidden <= 1);
        for (size_t j = 0; j < p->count; j++)
            REQUIRE(p->ids[j] < vocab);
    }
    REQUIRE(request_open(&request, options.tokenizer, (int)vocab, &generate, NULL) == RWKV7_OK);
    if (tools_are_used(&job->tools))
        REQUIRE(request_follow(&request, job->given.bytes, job->given.size, NULL) == RWKV7_OK);
    request_clear(&request);
}

static void check_error(const struct api_error *e)
{
    REQUIRE(e->status >= 400 && e->status < 500 && e->message[0]);
    for (int form = ERRORS_OPENAI; form <= ERRORS_OLLAMA; form++) {
        char *const body = error_body(e, (enum error_form)form, "id");
        cJSON *const json = cJSON_Parse(body);
        REQUIRE(json);
        cJSON_Delete(json);
        cJSON_free(body);
    }
}

static void send_body(handler *handle, const char *body, size_t size)
{
    const struct call call = {.server = &server, .method = "POST", .body = body, .size = size};
    struct reply reply = {0};
    handle(&call, &reply);
    if (reply.error.status) {
        REQUIRE(!reply.job && !reply.body);
        check_error(&reply.error);
    } else if (reply.job) {
        check_job(reply.job);
        job_release(reply.job);
    } else {
        struct api_error e = {0};
        REQUIRE(reply.body);
        cJSON *const json = json_body_parse(reply.body, strlen(reply.body), &e);
        REQUIRE(json || strstr(e.message, "u0000") || strstr(e.message, "values"));
        cJSON_Delete(json);
    }
    cJSON_free(reply.body);
}

static void send_header(const char *text)
{
    unsigned index;
    const char *name;
    const struct route *const route = route_find(text, &index, &name);
    REQUIRE((route != NULL) == (index != METRIC_ENDPOINTS - 1) && route_path(index));
    if (guard_key(&options, text, NULL))
        REQUIRE(strcmp(text + 7, keys[0]) == 0 || strcmp(text + 7, keys[1]) == 0);
    REQUIRE(guard_key(&options, NULL, text) == (strcmp(text, keys[0]) == 0 || strcmp(text, keys[1]) == 0));
    if (guard_request_id(text))
        REQUIRE(strlen(text) <= 64 && !strpbrk(text, "\r\n \"<"));
    guard_host(&options, text);
    guard_origin(&options, text, text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* by the first byte, from 'A' on; NULL: a header */
    static handler *const handlers[] = {
        completions_handler, chat_handler,           tokenize_handler,     detokenize_handler,      NULL,
        responses_handler,   messages_handler,       count_tokens_handler, ollama_generate_handler, ollama_chat_handler,
        ollama_show_handler, apply_template_handler, choose_handler};
    const size_t count = sizeof handlers / sizeof *handlers;
    if (size == 0)
        return 0;
    open_model();
    const size_t which = (size_t)(unsigned char)(data[0] - 'A') % count;
    char *const rest = malloc(size); /* with a NUL, in memory of exactly this size */
    REQUIRE(rest);
    memcpy(rest, data + 1, size - 1);
    rest[size - 1] = '\0';
    if (handlers[which])
        send_body(handlers[which], rest, size - 1);
    else
        send_header(rest);
    free(rest);
    return 0;
}
