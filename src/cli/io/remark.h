/* remark.h - notices for the user on the terminal: neither an answer nor an error. */
#ifndef CLI_REMARK_H
#define CLI_REMARK_H

#include "rwkv7.h"

void remark(const char *fmt, ...) RWKV7_PRINTF(1, 2);
void remark_disable(void); /* for --quiet */

#endif
