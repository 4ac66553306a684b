/* metrics.h - counters and histograms for GET /metrics, in the text format of Prometheus. */
#ifndef SERVER_METRICS_H
#define SERVER_METRICS_H

#include <pthread.h>
#include <stdint.h>

#include "server/text.h"

enum metric_counter {
    METRIC_PROMPT_TOKENS,
    METRIC_CACHED_TOKENS,
    METRIC_GENERATED_TOKENS,
    METRIC_STEPS,
    METRIC_STEP_TOKENS,
    METRIC_CANCELLED,
    METRIC_SLOW,
    METRIC_COUNTERS
};

enum metric_gauge {
    METRIC_RUNNING,
    METRIC_PAUSED,
    METRIC_WAITING,
    METRIC_STORED,
    METRIC_STATE_BYTES,
    METRIC_CONNECTIONS,
    METRIC_GAUGES
};

enum metric_time { METRIC_FIRST_TOKEN, METRIC_TOKEN, METRIC_REQUEST, METRIC_QUEUE, METRIC_TIMES };

#define METRIC_BUCKETS 14
#define METRIC_ENDPOINTS 64
#define METRIC_STATUSES 14

struct metrics {
    pthread_mutex_t lock; /* protects the rest */
    uint64_t counters[METRIC_COUNTERS];
    double gauges[METRIC_GAUGES];
    struct {
        uint64_t buckets[METRIC_BUCKETS + 1];
        double sum;
    } times[METRIC_TIMES];
    uint64_t requests[METRIC_ENDPOINTS][METRIC_STATUSES];
};

void metrics_init(struct metrics *m);
void metrics_free(struct metrics *m);
void metrics_count(struct metrics *m, enum metric_counter counter, uint64_t more);
void metrics_set(struct metrics *m, enum metric_gauge gauge, double value);
double metrics_gauge(struct metrics *m, enum metric_gauge gauge);
void metrics_add(struct metrics *m, enum metric_gauge gauge, double more);
void metrics_time(struct metrics *m, enum metric_time time, double seconds);
/* endpoint: index of the route, below METRIC_ENDPOINTS. */
void metrics_request(struct metrics *m, unsigned endpoint, int status);
/* endpoints: [METRIC_ENDPOINTS] paths by index, or NULL. */
void metrics_print(struct metrics *m, const char *const *endpoints, const char *model, const char *cpu,
                   struct text *out);

#endif
