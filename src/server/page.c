/* page.c - GET /: the web page, or a line of text for programs. GET /openapi.json. */
#include <string.h>

#include "server/assets.h"
#include "server/handlers.h"

/*
 * Browsers name text/html in Accept. Other clients get what Ollama answers, because clients of its
 * API check for that text.
 */
void page_handler(const struct call *call, struct reply *reply)
{
    static const char text[] = "Ollama is running";
    if (call->server->options->page && call->accept && strstr(call->accept, "text/html")) {
        reply->asset = asset_page();
        return;
    }
    reply->type = "text/plain; charset=utf-8";
    if ((reply->body = cJSON_malloc(sizeof text)))
        memcpy(reply->body, text, sizeof text);
}

void openapi_handler(const struct call *call, struct reply *reply)
{
    (void)call;
    reply->asset = asset_openapi();
}
