/* state_path.h - a look at where a state is to be saved, before the work that leads to it. */
#ifndef CLI_STATE_PATH_H
#define CLI_STATE_PATH_H

/* Could a state be written there now, and replace no file that is read? Prints why not. A disk may fill up later. */
int state_path_check(const char *path);

#endif
