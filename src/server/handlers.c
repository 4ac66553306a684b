/* handlers.c - see handlers.h. */
#include "server/handlers.h"

#include "server/json_body.h"

void handle_request(const struct call *call, cJSON *request, const struct protocol *protocol, job_reader *read,
                    struct reply *reply)
{
    struct job *const job = job_create(call->server, protocol);
    if (job)
        job->session_header = call->session;
    if (!job)
        error_other(&reply->error, 500, NULL, "out of memory for the request");
    else if (read(job, request, &reply->error))
        reply->job = job;
    else
        job_release(job);
    cJSON_Delete(request);
}

void handle_job(const struct call *call, const struct protocol *protocol, job_reader *read, struct reply *reply)
{
    cJSON *const request = json_body_parse(call->body, call->size, &reply->error);
    if (request)
        handle_request(call, request, protocol, read, reply);
}
