/*
 * eval_tasks.c - tasks with right answers, one JSON object per line.
 *
 * LAMBADA   {"text": "..."}: predicts the last word, with the space before it, from the rest of the
 *           text. Scored as in the RWKV author's script: the loss of a line is that of its last
 *           word, and the line is right if greedy decoding gives every token of the word.
 * choices   {"context": "...", "choices": ["...", ...], "answer": 0}: selects the most likely
 *           choice after the context. acc compares log likelihoods. acc_norm divides them by the
 *           length of the choice in characters, without one leading space: lm-evaluation-harness
 *           counts that space as the delimiter, not as part of the choice.
 *
 * Context and prediction are encoded separately, so that no token spans both.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json_tree.h"
#include "cli/commands/eval.h"
#include "cli/commands/json_line.h"
#include "cli/io/line_input.h"
#include "cli/io/messages.h"
#include "cli/io/signals.h"
#include "cli/io/terminal.h"

/* The position of an example, for messages. */
struct place {
    const char *path;
    uint64_t line;
};

struct ids {
    uint32_t *at;
    size_t count;
};

static int complain_line(const struct place *place, const char *what)
{
    return complain(FAILED, "%s:%" PRIu64 ": %s", place->path, place->line, what);
}

/* Encodes a text, with token 0 first if `bos`. The caller frees ids->at. */
static int encode(const struct evaluation *e, const struct place *place, const char *text, size_t size, bool bos,
                  struct ids *ids)
{
    struct rwkv7_error err;
    size_t covered;
    ids->count = 0;
    const size_t room = 3 * size + 1; /* BPE gives up to three tokens per byte */
    ids->at = malloc((room + 1) * sizeof *ids->at);
    if (!ids->at)
        return complain(FAILED, "out of memory for the token ids");
    ids->at[0] = RWKV7_END_OF_TEXT;
    if (rwkv7_tokenizer_encode(e->tokenizer, text, size, true, ids->at + bos, room, &ids->count, &covered, &err) !=
        RWKV7_OK)
        return complain_line(place, err.message);
    ids->count += bos;
    return DONE;
}

/* Evaluates the context from the zero state; leaves the logits after its last token in row 0. */
static int feed_context(struct evaluation *e, const struct place *place, const char *text, size_t size)
{
    struct ids ids = {0};
    rwkv7_session_reset(e->model.session);
    int code = encode(e, place, text, size, e->bos, &ids);
    if (code == DONE && ids.count == 0)
        code = complain_line(place, "expected text before the prediction, found none");
    if (code == DONE)
        code = reader_feed(&e->model, ids.at, ids.count, RWKV7_LOGITS_LAST);
    free(ids.at);
    return code;
}

/*
 * Computes *log_p, the log probability of `text` after the context; the last logits of the context
 * are in row 0. *greedy: each token is the most likely one at its position.
 */
static int predict(struct evaluation *e, const struct place *place, const char *text, size_t size, double *log_p,
                   bool *greedy)
{
    struct ids ids = {0};
    size_t rows = 1; /* of logits, for the tokens from `first` on */
    *log_p = 0;
    *greedy = true;
    int code = encode(e, place, text, size, false, &ids);
    for (size_t first = 0; first < ids.count && code == DONE; first += rows) {
        if (first > 0) {
            rows = ids.count - first < e->rows ? ids.count - first : e->rows;
            code = reader_feed(&e->model, ids.at + first - 1, rows, RWKV7_LOGITS_ALL);
        }
        for (size_t i = 0; i < rows && code == DONE; i++) {
            const struct distribution d = distribution_of(e->model.logits + i * (size_t)e->vocab, e->vocab);
            *log_p += log_probability(&d, ids.at[first + i]);
            *greedy = *greedy && d.best == ids.at[first + i];
        }
    }
    e->tokens += ids.count;
    free(ids.at);
    return code;
}

static int score_lambada(struct evaluation *e, const struct place *place, const cJSON *example)
{
    const cJSON *const text = cJSON_GetObjectItemCaseSensitive(example, "text");
    const char *const last = cJSON_IsString(text) ? strrchr(text->valuestring, ' ') : NULL;
    double log_p = 0;
    bool greedy = false;
    if (!last)
        return complain_line(place, "expected {\"text\": \"...\"} with a space before the last word");
    int code = feed_context(e, place, text->valuestring, (size_t)(last - text->valuestring));
    if (code == DONE)
        code = predict(e, place, last, strlen(last), &log_p, &greedy);
    e->loss -= log_p;
    e->bytes += strlen(last);
    e->right += greedy;
    return code;
}

/* Number of characters of a choice (UTF-8), without one leading space. */
static size_t length_of_choice(const char *text)
{
    size_t length = 0;
    for (text += *text == ' '; *text; text++)
        length += ((unsigned char)*text & 0xc0) != 0x80;
    return length;
}

/*
 * Finds the choices with the highest log probability and the highest one per character; the first
 * of equal ones wins. Adds the loss of the right answer, number `answer`.
 */
static int compare_choices(struct evaluation *e, const struct place *place, const cJSON *choices, int answer,
                           struct rwkv7_session *context, const float *logits, int *best, int *best_normalized)
{
    double best_log_p = -INFINITY, best_per_character = -INFINITY;
    const cJSON *choice;
    int number = 0;
    cJSON_ArrayForEach(choice, choices)
    {
        double log_p;
        bool greedy;
        const size_t length = cJSON_IsString(choice) ? length_of_choice(choice->valuestring) : 0;
        if (length == 0)
            return complain_line(place, "expected choices that are strings with text");
        const size_t size = strlen(choice->valuestring);
        rwkv7_session_copy(e->model.session, context);
        memcpy(e->model.logits, logits, (size_t)e->vocab * sizeof *logits);
        const int code = predict(e, place, choice->valuestring, size, &log_p, &greedy);
        if (code != DONE)
            return code;
        if (log_p > best_log_p) {
            best_log_p = log_p;
            *best = number;
        }
        if (log_p / (double)length > best_per_character) {
            best_per_character = log_p / (double)length;
            *best_normalized = number;
        }
        if (number == answer) {
            e->loss -= log_p;
            e->bytes += size;
        }
        number++;
    }
    return DONE;
}

static int score_choices(struct evaluation *e, const struct place *place, const cJSON *example)
{
    const cJSON *const context = cJSON_GetObjectItemCaseSensitive(example, "context");
    const cJSON *const choices = cJSON_GetObjectItemCaseSensitive(example, "choices");
    const cJSON *const answer = cJSON_GetObjectItemCaseSensitive(example, "answer");
    if (!cJSON_IsString(context) || !cJSON_IsArray(choices) || cJSON_GetArraySize(choices) < 2 ||
        !cJSON_IsNumber(answer) || answer->valuedouble != (double)answer->valueint || answer->valueint < 0 ||
        answer->valueint >= cJSON_GetArraySize(choices))
        return complain_line(place, "expected {\"context\": \"...\", \"choices\": [\"...\", ...], \"answer\": 0}");

    struct rwkv7_session *before = NULL;
    struct rwkv7_error err;
    const size_t row = (size_t)e->vocab * sizeof(float);
    float *const logits = malloc(row);
    int best = -1, best_normalized = -1;
    int code = logits ? feed_context(e, place, context->valuestring, strlen(context->valuestring))
                      : complain(FAILED, "out of memory for the logits");
    if (code == DONE && rwkv7_session_clone(e->model.session, &before, &err) != RWKV7_OK)
        code = report(&err);
    if (code == DONE) {
        memcpy(logits, e->model.logits, row);
        code = compare_choices(e, place, choices, answer->valueint, before, logits, &best, &best_normalized);
    }
    e->right += best == answer->valueint;
    e->right_normalized += best_normalized == answer->valueint;
    rwkv7_session_close(before);
    free(logits);
    return code;
}

/* ---------------------------------------------------------------------------------------- lines */

typedef int score_fn(struct evaluation *e, const struct place *place, const cJSON *example);

static int score_line(struct evaluation *e, const struct place *place, const char *line, size_t length, score_fn *score)
{
    static const char *const members[] = {"text", "context", "choices", "answer", NULL};
    char why[256];
    if (strspn(line, " \t\r") == length)
        return DONE;
    cJSON *const example = json_line_parse(line, length, NULL, why);
    for (int i = 0; !*why && members[i]; i++)
        json_line_duplicate(example, members[i], why);
    const int code = *why ? complain_line(place, why) : score(e, place, example);
    cJSON_Delete(example);
    e->examples += code == DONE;
    return code;
}

static int score_lines(struct evaluation *e, const char *path, score_fn *score)
{
    struct line_input in;
    struct stat st;
    enum line_kind kind = LINE_READY;
    char *line;
    size_t length;
    int code = line_input_open(&in, path);
    if (code != DONE)
        return code;
    const bool known = fstat(in.in.fd, &st) == 0 && S_ISREG(st.st_mode);
    while (code == DONE && !interrupted && kind != LINE_END) {
        code = line_input_next(&in, true, &kind, &line, &length);
        const struct place place = {in.in.name, in.number};
        if (code == DONE && kind == LINE_TOO_LONG)
            code =
                complain(FAILED, "%s:%" PRIu64 ": the line is longer than %zu bytes", place.path, place.line, in.most);
        else if (code == DONE && kind == LINE_READY)
            code = score_line(e, &place, line, length, score);
        progress_show("eval", known ? (double)in.bytes / ((double)st.st_size + 1) : -1, (double)e->examples,
                      "examples");
    }
    line_input_close(&in);
    return code == DONE && interrupted ? INTERRUPTED : code;
}

int eval_lambada(struct evaluation *e, const char *path)
{
    return score_lines(e, path, score_lambada);
}

int eval_choices(struct evaluation *e, const char *path)
{
    return score_lines(e, path, score_choices);
}
