/* ollama_info.h - what Ollama's API tells about the server, and the form of its answers. */
#ifndef SERVER_OLLAMA_INFO_H
#define SERVER_OLLAMA_INFO_H

#include <stdint.h>

#define OLLAMA_LINES "application/x-ndjson" /* content type of a stream */

enum { OLLAMA_TIME = 40 };
/* Writes a time as in RFC 3339, in UTC. nanoseconds: below 1e9. */
void ollama_time(int64_t seconds, long nanoseconds, char text[OLLAMA_TIME]);
void ollama_now(char text[OLLAMA_TIME]);

#endif
