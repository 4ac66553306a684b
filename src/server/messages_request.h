/* messages_request.h - reads requests in the form of Anthropic's Messages API. */
#ifndef SERVER_MESSAGES_REQUEST_H
#define SERVER_MESSAGES_REQUEST_H

#include "server/handlers.h"

job_reader messages_read;

#endif
