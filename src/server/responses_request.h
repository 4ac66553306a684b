/* responses_request.h - reads requests in the form of OpenAI's Responses API. */
#ifndef SERVER_RESPONSES_REQUEST_H
#define SERVER_RESPONSES_REQUEST_H

#include "server/handlers.h"

job_reader responses_read;

#endif
