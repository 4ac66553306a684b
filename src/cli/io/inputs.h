/*
 * inputs.h - registers the files that a command reads, before any work is done, so that no output
 * replaces them (base/inputs.h).
 *
 * Files named on the command line are registered before the command starts; files found later
 * (shards, a vocabulary beside the model) when they are mapped. A saved state (--state-in, /load)
 * is not registered: it is read at once, and may be replaced.
 */
#ifndef CLI_INPUTS_H
#define CLI_INPUTS_H

/*
 * Registers standard input, options of kind INPUT, and operands. args: the struct of a command. A
 * missing file is not an error here; opening it is.
 */
int inputs_add(const void *args);
/*
 * Registers every file beside a model, or in its folder, that some command reads with it. `convert`
 * calls this itself, because its model is an operand.
 */
int inputs_add_model(const char *model);
/* Registers the file of an option that is not always a file (--tokens @FILE). */
int inputs_add_file(const char *path);
/* Registers an open file; for input_open. */
int inputs_add_open(int fd, const char *name);
/*
 * Rejects standard output if it is an input: a command that reads a file and appends to it would
 * never end.
 */
int inputs_refuse_stdout(void);

#endif
