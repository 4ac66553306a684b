/* ollama_request.h - reads requests in the form of Ollama's API. */
#ifndef SERVER_OLLAMA_REQUEST_H
#define SERVER_OLLAMA_REQUEST_H

#include "server/handlers.h"

job_reader ollama_read_generate, ollama_read_chat;

/*
 * Returns whether the request has no prompt and no messages. It then only asks to load the model,
 * or to unload it: *unload.
 */
bool ollama_is_empty(const cJSON *request, bool *unload);

#endif
