/*
 * chat_request.h - reads the fields of a chat request into a job. Every protocol with conversations
 * uses it, so equal messages and options give equal texts in all of them.
 */
#ifndef SERVER_CHAT_REQUEST_H
#define SERVER_CHAT_REQUEST_H

#include "server/job.h"

/*
 * Reads a request in the form of /v1/chat/completions: prompt, options and choices of the job.
 * False: see *e.
 */
bool chat_read(struct job *job, cJSON *request, struct api_error *e);
extern const struct protocol chat_protocol; /* how /v1/chat/completions answers (chat.c) */
/* Reads "messages" into the prompt of a job whose session, if any, and thinking are set. */
bool chat_read_prompt(struct job *job, const struct fields *f);

#endif
