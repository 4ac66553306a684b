/*
 * convert.h - rewrites a request of another protocol as one of /v1/chat/completions, in place.
 *
 * A protocol rewrites the members that have another form there, and renames those that only have
 * another name. All other members keep their names: every protocol takes the options of chats
 * ("seed", "min_p", "grammar", ...). chat_read then reads the result, so equal messages and options
 * are the same request in every protocol.
 */
#ifndef SERVER_CONVERT_H
#define SERVER_CONVERT_H

#include "server/job.h"

struct conversion {
    struct json_tree request; /* its root is the request */
    cJSON *messages;          /* new ones, after convert_begin_messages; a member of the request */
    cJSON *last;              /* the newest of them; NULL: none */
    struct api_error *error;
};

/* A member by the name of the protocol, and by its name in chats. */
struct renamed {
    const char *own, *chat;
};

void convert_begin(struct conversion *c, cJSON *request, struct api_error *e);
/*
 * Begins a new list of messages, which replaces the member `name`. Returns that member, which the
 * caller owns; NULL: absent or null.
 */
cJSON *convert_begin_messages(struct conversion *c, const char *name);
/*
 * Renames the members of the table that are left and reads the request as a chat with one answer.
 * Errors name the fields as the client does. False: see c->error.
 */
bool convert_read(struct conversion *c, struct job *job, const struct renamed *names, size_t count);

/* Removes a member and returns it; NULL: absent or null. The caller owns it. */
cJSON *convert_take(cJSON *object, const char *name);
/* Moves a member to another object, with another name. Does nothing if it is absent or null. */
void convert_move(struct conversion *c, cJSON *from, const char *name, cJSON *to, const char *new_name);
/* Sets a member and returns it. NULL: out of memory, also if the item is NULL. */
cJSON *convert_set(struct conversion *c, const char *name, cJSON *item);
/* Appends a message without content. */
cJSON *convert_add_message(struct conversion *c, const char *role);
/* Adds a call of a tool to a message. arguments: an object, or a string of its JSON text; taken over. */
void convert_add_call(struct conversion *c, cJSON *message, const char *id, const char *name, cJSON *arguments);
/* Returns the text of a string member; "" if it is none. */
const char *convert_string(const cJSON *object, const char *name);
/*
 * Checks that the content is a string, null, or a list of objects with the member "type" `type` and
 * a string "text", as chats have. param: its name in messages.
 */
bool convert_check_text(const cJSON *content, const char *type, const char *param, struct api_error *e);

#endif
