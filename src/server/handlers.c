/* handlers.c - see handlers.h. */
#include "server/handlers.h"

#include "server/json_body.h"

void handle_job(const struct call *call, const struct protocol *protocol, job_reader *read, struct reply *reply)
{
    cJSON *const json = json_body_parse(call->body, call->size, &reply->error);
    struct job *const job = json ? job_create(call->server, protocol) : NULL;
    if (json && !job)
        error_other(&reply->error, 500, NULL, "out of memory for the request");
    else if (job && read(job, json, &reply->error))
        reply->job = job;
    else if (job)
        job_release(job);
    cJSON_Delete(json);
}
