/* metrics.c - see metrics.h. */
#include "server/metrics.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/c_numbers.h"
#include "rwkv7.h"

/* Upper limits of the buckets, in seconds. */
static const double limits[METRIC_BUCKETS] = {.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 60};
static const int statuses[METRIC_STATUSES] = {200, 204, 304, 400, 401, 403, 404, 405, 409, 413, 429, 499, 500, 503};

static const struct {
    const char *name, *help;
} counters[METRIC_COUNTERS] =
    {
        [METRIC_PROMPT_TOKENS] = {"prompt_tokens_total", "Tokens of prompts, cached ones included."},
        [METRIC_CACHED_TOKENS] = {"cached_prompt_tokens_total", "Tokens of prompts whose state was cached."},
        [METRIC_GENERATED_TOKENS] = {"generated_tokens_total", "Tokens generated."},
        [METRIC_STEPS] = {"steps_total", "Evaluations of the model."},
        [METRIC_STEP_TOKENS] = {"step_tokens_total", "Tokens in these evaluations."},
        [METRIC_CANCELLED] = {"cancelled_total", "Requests whose client left."},
        [METRIC_SLOW] = {"slow_clients_total", "Requests that were ended because their client did not read."},
},
  gauges[METRIC_GAUGES] =
      {
          [METRIC_RUNNING] = {"sessions_running", "Texts being read or generated, and paused ones."},
          [METRIC_PAUSED] = {"sessions_paused", "Texts that wait for their clients to read."},
          [METRIC_WAITING] = {"sessions_waiting", "Requests in the queue."},
          [METRIC_STORED] = {"sessions_stored", "Sessions and named states in memory."},
          [METRIC_STATE_BYTES] = {"state_bytes", "Bytes of states in memory, those of prompts included."},
          [METRIC_CONNECTIONS] = {"connections", "Open connections."},
},
  times[METRIC_TIMES] = {
      [METRIC_FIRST_TOKEN] = {"time_to_first_token_seconds", "From the request to its first token."},
      [METRIC_TOKEN] = {"token_seconds", "Time of one evaluation."},
      [METRIC_REQUEST] = {"request_seconds", "From the request to its end."},
      [METRIC_QUEUE] = {"queue_seconds", "From the request to the start of its first text."},
};

void metrics_init(struct metrics *m)
{
    *m = (struct metrics){0};
    pthread_mutex_init(&m->lock, NULL);
}

void metrics_free(struct metrics *m)
{
    pthread_mutex_destroy(&m->lock);
}

void metrics_count(struct metrics *m, enum metric_counter counter, uint64_t more)
{
    pthread_mutex_lock(&m->lock);
    m->counters[counter] += more;
    pthread_mutex_unlock(&m->lock);
}

void metrics_set(struct metrics *m, enum metric_gauge gauge, double value)
{
    pthread_mutex_lock(&m->lock);
    m->gauges[gauge] = value;
    pthread_mutex_unlock(&m->lock);
}

double metrics_gauge(struct metrics *m, enum metric_gauge gauge)
{
    pthread_mutex_lock(&m->lock);
    const double value = m->gauges[gauge];
    pthread_mutex_unlock(&m->lock);
    return value;
}

void metrics_add(struct metrics *m, enum metric_gauge gauge, double more)
{
    pthread_mutex_lock(&m->lock);
    m->gauges[gauge] += more;
    pthread_mutex_unlock(&m->lock);
}

void metrics_time(struct metrics *m, enum metric_time time, double seconds)
{
    size_t i = 0;
    while (i < METRIC_BUCKETS && seconds > limits[i])
        i++;
    pthread_mutex_lock(&m->lock);
    m->times[time].buckets[i]++;
    m->times[time].sum += seconds;
    pthread_mutex_unlock(&m->lock);
}

void metrics_request(struct metrics *m, unsigned endpoint, int status)
{
    size_t i = 0;
    while (i < METRIC_STATUSES && statuses[i] != status)
        i++;
    if (i == METRIC_STATUSES || endpoint >= METRIC_ENDPOINTS)
        return;
    pthread_mutex_lock(&m->lock);
    m->requests[endpoint][i]++;
    pthread_mutex_unlock(&m->lock);
}

/* ------------------------------------------------------------------------------------- printing */

static void print(struct text *out, const char *fmt, ...) RWKV7_PRINTF(2, 3);
static void print(struct text *out, const char *fmt, ...)
{
    char line[512];
    va_list list;
    va_start(list, fmt);
    vsnprintf(line, sizeof line, fmt, list);
    va_end(list);
    text_add_string(out, line);
}

static void print_head(struct text *out, const char *name, const char *help, const char *type)
{
    print(out, "# HELP rwkv7_%s %s\n# TYPE rwkv7_%s %s\n", name, help, name, type);
}

static void print_time(const struct metrics *m, enum metric_time time, struct text *out)
{
    const char *const name = times[time].name;
    uint64_t count = 0;
    print_head(out, name, times[time].help, "histogram");
    for (size_t i = 0; i < METRIC_BUCKETS; i++) {
        count += m->times[time].buckets[i];
        print(out, "rwkv7_%s_bucket{le=\"%g\"} %" PRIu64 "\n", name, limits[i], count);
    }
    count += m->times[time].buckets[METRIC_BUCKETS];
    print(out, "rwkv7_%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, count);
    print(out, "rwkv7_%s_sum %.9g\nrwkv7_%s_count %" PRIu64 "\n", name, m->times[time].sum, name, count);
}

static void print_requests(const struct metrics *m, const char *const *endpoints, struct text *out)
{
    print_head(out, "requests_total", "Requests by endpoint and HTTP status.", "counter");
    for (size_t i = 0; i < METRIC_ENDPOINTS; i++)
        for (size_t j = 0; j < METRIC_STATUSES; j++)
            if (endpoints[i] && m->requests[i][j] > 0)
                print(out, "rwkv7_requests_total{endpoint=\"%s\",status=\"%d\"} %" PRIu64 "\n", endpoints[i],
                      statuses[j], m->requests[i][j]);
}

/* Prints a label value without quotes, backslashes and control characters. */
static void print_label(struct text *out, const char *value)
{
    for (; *value; value++)
        if ((unsigned char)*value >= 0x20 && *value != '"' && *value != '\\')
            text_add(out, value, 1);
}

void metrics_print(struct metrics *m, const char *const *endpoints, const char *model, const char *cpu,
                   struct text *out)
{
    C_NUMBERS;
    print_head(out, "build_info", "Constant 1.", "gauge");
    print(out, "rwkv7_build_info{version=\"%s\",model=\"", rwkv7_version());
    print_label(out, model);
    print(out, "\",cpu=\"%s\"} 1\n", cpu);
    pthread_mutex_lock(&m->lock);
    print_requests(m, endpoints, out);
    for (size_t i = 0; i < METRIC_COUNTERS; i++) {
        print_head(out, counters[i].name, counters[i].help, "counter");
        print(out, "rwkv7_%s %" PRIu64 "\n", counters[i].name, m->counters[i]);
    }
    for (size_t i = 0; i < METRIC_GAUGES; i++) {
        print_head(out, gauges[i].name, gauges[i].help, "gauge");
        print(out, "rwkv7_%s %.17g\n", gauges[i].name, m->gauges[i]);
    }
    for (int i = 0; i < METRIC_TIMES; i++)
        print_time(m, (enum metric_time)i, out);
    pthread_mutex_unlock(&m->lock);
}
