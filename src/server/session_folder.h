/* session_folder.h - the folder in which a server keeps the files of sessions and states. */
#ifndef SERVER_SESSION_FOLDER_H
#define SERVER_SESSION_FOLDER_H

#include "rwkv7.h"

/*
 * Creates the folder unless it exists. RWKV7_ERR_IO: it cannot be used, or other users may write to
 * it: they could exchange states.
 */
enum rwkv7_status session_folder_open(const char *folder, struct rwkv7_error *err);

#endif
