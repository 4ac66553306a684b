/* table.c - the tables of all commands and options; see args.h. */
#include <string.h>

#include "cli/commands/commands.h"
#include "cli/options/args.h"
#include "generate/chat_template.h"

enum {
    RUN = 1,
    BENCH = 2,
    INFO = 4,
    TOKENIZE = 8,
    LOGITS = 16,
    HELP = 32,
    EVAL = 64,
    BATCH = 128,
    CHAT = 256,
    CONVERT = 512,
    COMPLETIONS = 1024,
    VERSION = 2048,
    PULL = 4096
};
#define WRITE (RUN | BATCH)
#define TALK (RUN | CHAT)
#define WRITING (WRITE | CHAT)
#define ANY_MODEL (WRITING | BENCH | INFO | TOKENIZE | LOGITS | EVAL)
#define ENGINE (WRITING | BENCH | LOGITS | EVAL)
#define AT(field) offsetof(struct args, field)

/* clang-format off */
/* Values of options: the field of struct args, the argument's name in the help, the range. */
#define FLAG(field) {FLAG, AT(field), NULL, 0, 0, NULL}
#define NAME(field, argument) {NAME, AT(field), argument, 0, 0, NULL}
#define INPUT(field, argument) {INPUT, AT(field), argument, 0, 0, NULL}
#define TEXT(field, argument) {TEXT, AT(field), argument, 0, 0, NULL}
#define INPUT_ENV(field, argument, name) {INPUT, AT(field), argument, 0, 0, name}
#define ENV(field, argument, name) {NAME, AT(field), argument, 0, 0, name}
#define TEXTS(field, argument) {TEXTS, AT(field), argument, 0, 0, NULL}
#define CHOICE(field, words) {CHOICE, AT(field), words, 0, 0, NULL}
#define SHAPE(field, argument) {SHAPE, AT(field), argument, 0, 0, NULL}
#define WHOLE(field, argument, least, most) {WHOLE, AT(field), argument, least, most, NULL}
#define REAL(field, argument, least, most) {REAL, AT(field), argument, least, most, NULL}
#define COUNTS(field, argument, least, most) {COUNTS, AT(field), argument, least, most, NULL}
#define SEED(field, argument) {SEED, AT(field), argument, 0, 0, NULL}
#define BANS(field, argument) {BANS, AT(field), argument, 0, 0, NULL}
#define BIASES(field, argument) {BIASES, AT(field), argument, 0, 0, NULL}
#define HEADING(title, commands) {NULL, 0, commands, {FLAG, 0, NULL, 0, 0, NULL}, NULL, title}
/* clang-format on */

const struct command command_table[] = {
    {"run", RUN, "[PROMPT]", 1, 0, "continue a text",
     "Continues a text. The prompt is standard input, unless that is a terminal or\n"
     "--no-stdin is given, then the prompt file, then PROMPT, as one text. '-' means\n"
     "standard input.",
     false, run_command},
    {"batch", BATCH, "[FILE]", 1, 1, "continue many texts",
     "Continues many texts at once. Every line of FILE, or of standard input, is a\n"
     "JSON object with a \"prompt\", an optional \"id\", and options: \"tokens\",\n"
     "\"stop\", \"temp\", \"top_p\", ... The results are lines of JSON in the same order.",
     false, batch_command},
    {"chat", CHAT, "[MODEL]", 1, 0, "chat with a model",
     "Chats with a model that was trained for it. Every line of standard input is a\n"
     "message or a command; /help lists the commands.",
     true, chat_command},
    {"bench", BENCH, "", 0, 0, "measure speed",
     "Measures the speed of reading prompts (prefill) and of generating (decode), and\n"
     "compares decoding with the memory bandwidth of this machine. Without -m and\n"
     "--shape: a table of all published sizes, in less than a minute.",
     false, bench_command},
    {"info", INFO, "[MODEL]", 1, 0, "describe a model",
     "Describes a model: sizes, types, memory needed, where its vocabulary is.", true, info_command},
    {"tokenize", TOKENIZE, "[TEXT]", 1, 0, "text to token ids and back",
     "Converts TEXT, or standard input, to token ids; with --decode, ids to text.", false, tokenize_command},
    {"convert", CONVERT, "IN OUT", 2, 1, "convert or quantize a model",
     "Writes the model IN, in any supported format, as one safetensors file OUT that\n"
     "includes the vocabulary and opens instantly. --type changes the type of the\n"
     "weights: q8 quantizes them to 8 bits and q4 to 4; bf16 has 16.",
     false, convert_command},
    {"eval", EVAL, "FILE...", -1, -1, "measure how well a model predicts",
     "Measures how well a model predicts texts: loss and perplexity. Each file is one\n"
     "document. --against adds the KL divergence from another model, such as the\n"
     "original of a quantized one. --task measures accuracy instead.",
     false, eval_command},
    {"logits", LOGITS, "[MODEL]", 1, 0, "write logits, to check another implementation",
     "Evaluates token ids, starting from the zero state, and writes the logits after\n"
     "every token as a float32 array [tokens, vocabulary] in NumPy's format. Needs no\n"
     "vocabulary.",
     true, logits_command},
    {"pull", PULL, "SIZE", 1, 0, "download a published model",
     "Downloads a published model and the vocabulary to the user's data folder, where\n"
     "-m finds it by the same name: rwkv7 pull 0.4b, then rwkv7 chat 0.4b.\n"
     "An interrupted download continues where it stopped.",
     false, pull_command},
    {"completions", COMPLETIONS, "SHELL", 1, 0, "print shell completions",
     "Prints the completions for SHELL (bash, zsh or fish).\n"
     "An installation already includes them.",
     false, completions_command},
    {"help", HELP, "[COMMAND]", 1, 0, "explain a command", "Explains a command.", false, help_command},
    {"version", VERSION, "", 0, 0, "show the version and the build",
     "Prints the version, the kernels in use, the kernels available, the number of\n"
     "threads, the build options and the versions of the libraries.",
     false, version_command},
    {NULL, 0, NULL, 0, 0, NULL, NULL, false, NULL},
};

/* One option, one row: name, letter, commands, value, default, help. */
/* clang-format off */
const struct option option_table[] = {
    {"help", 'h', ~0u, FLAG(help), NULL, "print this help"},
    {"version", 'V', ~0u, FLAG(version), NULL, "print the version and the build"},
    {"no-config", 0, ENGINE | INFO | TOKENIZE | CONVERT, FLAG(no_config), NULL, "do not read the config file"},
    {"list", 0, PULL, FLAG(models), NULL, "list the models and their sizes"},
    {"man", 0, HELP, FLAG(man), NULL, "print the options part of the manual page"},

    HEADING("Model", ANY_MODEL | CONVERT),
    {"model", 'm', ANY_MODEL, INPUT_ENV(model, "FILE", "RWKV7_MODEL"), NULL,
     "file, folder or pulled SIZE; default: RWKV7_MODEL"},
    {"vocab", 0, WRITING | INFO | TOKENIZE | EVAL, INPUT(vocab, "FILE"), NULL,
     "vocabulary; default: searched beside the model"},
    {"shape", 0, BENCH, SHAPE(shape, "NAME"), NULL, "random weights of a published shape"},
    {"type", 0, WRITING | LOGITS | EVAL, CHOICE(type, WEIGHTS), "stored", "qN: quantize the weights to N bits"},
    {"type", 0, BENCH, CHOICE(type, WEIGHTS FLOATS), "stored", "f32, f16, bf16: with --shape only"},
    {"sparse", 0, WRITING | LOGITS | BENCH | EVAL, CHOICE(sparse, "auto|on|off"), "auto",
     "skip weights that would be multiplied by zero"},
    {"rate-scale", 0, WRITING | LOGITS | EVAL | INFO | CONVERT, REAL(rate_scale, "X", 0, 2), "0",
     "factor of the in-context learning rate; 0: auto"},
    {"mlock", 0, WRITING | LOGITS | EVAL, FLAG(lock), NULL, "lock the weights in memory, never paged out"},

    HEADING("Conversion", CONVERT),
    {"type", 0, CONVERT, CHOICE(type, WEIGHTS FLOATS), "stored", "type of the matrices; qN: quantize to N bits"},
    {"vocab", 0, CONVERT, INPUT(vocab, "FILE"), NULL, "vocabulary to include; default: that of IN"},
    {"lora", 0, CONVERT, INPUT(lora, "FILE"), NULL, "merge a LoRA file or PEFT folder into the weights"},
    {"lora-init", 0, CONVERT, INPUT(lora_init, "FILE"), NULL, "LoRA factors before training, for PiSSA"},
    {"lora-alpha", 0, CONVERT, REAL(lora_alpha, "A", 0, 1e6), "0", "alpha of the LoRA file; 0: from its metadata"},

    HEADING("Evaluation", EVAL),
    {"against", 0, EVAL, INPUT(against, "MODEL"), NULL, "also print KL divergence and agreement with MODEL"},
    {"task", 0, EVAL, CHOICE(task, "text|lambada|choices"), "text", "lambada, choices: FILEs hold JSON lines"},

    HEADING("Conversation", CHAT),
    {"system", 0, CHAT, TEXT(system, "TEXT"), NULL, "system prompt, read before the first message"},
    {"template", 0, CHAT, INPUT(template, "FILE"), NULL, "chat template: g1, world, raven, instruction, FILE"},
    {"think", 0, CHAT, CHOICE(thinking, THINKING_WORDS), "off", "think before answering; empty, fake: do not"},
    {"thoughts", 0, CHAT, CHOICE(thoughts, "show|hide"), "show", "show or hide the thoughts"},
    {"history", 0, CHAT, TEXT(history, "FILE"), NULL, "save typed lines in FILE; '': do not save them"},
    {"no-history", 0, CHAT, FLAG(no_history), NULL, "do not save typed lines"},

    HEADING("Prompt", WRITE | EVAL),
    {"prompt", 'p', RUN, TEXT(prompt, "TEXT"), NULL, "the prompt, the same as PROMPT"},
    {"prompt-file", 'f', RUN, INPUT(prompt_file, "FILE"), NULL, "read the prompt from a file"},
    {"no-stdin", 'N', RUN, FLAG(no_stdin), NULL, "do not read standard input as the first part"},
    {"strip", 0, WRITE, FLAG(strip), NULL, "remove white space at the end of the prompt"},
    {"echo", 0, RUN, FLAG(echo), NULL, "print the prompt before the text"},
    {"bos", 0, WRITING | EVAL, FLAG(bos), NULL, "start with token 0, the document separator"},
    {"no-bos", 0, WRITING | EVAL, FLAG(no_bos), NULL, "do not; the default if token 0 has a text"},

    HEADING("State", WRITING | LOGITS),
    {"state", 0, WRITING | LOGITS, INPUT(state, "FILE"), NULL, "start from a trained state (time_state)"},
    {"state-order", 0, WRITING | LOGITS, CHOICE(state_order, "stated|value-key|key-value"), "stated",
     "layout of its matrices; stated: see metadata"},
    {"state-in", 0, TALK, NAME(state_in, "FILE"), NULL, "continue from a saved state"},
    {"state-out", 0, TALK, NAME(state_out, "FILE"), NULL, "save the state at the end"},
    {"prompt-cache", 0, TALK, NAME(prompt_cache, "DIR"), NULL, "save states of prompts in DIR and reuse them"},
    {"prompt-cache-size", 0, TALK, WHOLE(prompt_cache_size, "MB", 0, INT32_MAX), "2000",
     "maximum size of the cache"},

    HEADING("Length", WRITING),
    {"tokens", 'n', WRITE, WHOLE(tokens, "N", -1, INT32_MAX), "256", "at most N tokens; -1: until the text ends"},
    {"tokens", 'n', CHAT, WHOLE(tokens, "N", -1, INT32_MAX), "4096", "at most N tokens per answer; -1: no limit"},
    {"stop", 0, WRITING, TEXTS(stops, "STRING"), NULL, "end before STRING (\\n is a newline); repeatable"},
    {"ignore-eos", 0, WRITE, FLAG(ignore_eos), NULL, "never draw the end-of-text token"},

    HEADING("Sampling", WRITING),
    {"temp", 0, WRITING, REAL(temperature, "T", 0, 100), "1", "temperature; 0: always the most likely token"},
    {"top-p", 0, WRITE, REAL(top_p, "P", 0, 1), "0.85", "keep the most likely tokens that sum to P"},
    {"top-p", 0, CHAT, REAL(top_p, "P", 0, 1), "0.3", "keep the most likely tokens that sum to P"},
    {"top-k", 0, WRITING, WHOLE(top_k, "K", 0, INT32_MAX), "0", "keep the K most likely tokens; 0: all"},
    {"min-p", 0, WRITING, REAL(min_p, "P", 0, 1), "0", "drop tokens less likely than P times the top one"},
    {"presence", 0, WRITE, REAL(presence, "X", -100, 100), "0", "subtracted from logits of generated tokens"},
    {"presence", 0, CHAT, REAL(presence, "X", -100, 100), "0.5", "subtracted from logits of generated tokens"},
    {"frequency", 0, WRITE, REAL(frequency, "X", -100, 100), "0", "subtracted once per time a token was generated"},
    {"frequency", 0, CHAT, REAL(frequency, "X", -100, 100), "0.5", "subtracted once per time a token was generated"},
    {"penalty-decay", 0, WRITING, REAL(penalty_decay, "D", 0, 1), "0.996", "decay of the repetition counts per token"},
    {"ban", 0, WRITING, BANS(biases, "ID,..."), NULL, "never draw these tokens"},
    {"bias", 0, WRITING, BIASES(biases, "ID=X,..."), NULL, "add X to the logit of a token"},
    {"seed", 0, WRITING, SEED(seed, "N"), NULL, "random seed; default: chosen and printed"},

    HEADING("Measurement", BENCH),
    {"prompt", 'p', BENCH, COUNTS(prompts, "N,...", 0, 1 << 24), "64,512", "tokens per prefill; 0: none"},
    {"tokens", 'n', BENCH, WHOLE(tokens, "N", 0, 1 << 24), "64", "tokens to decode; 0: none"},
    {"context", 0, BENCH, WHOLE(context, "N", 0, 1 << 24), "0", "tokens evaluated before decoding"},
    {"ffn-density", 0, BENCH, REAL(ffn_density, "D", 0.01, 1), "1", "also decode with this share of nonzero units"},
    {"sizes", 0, BENCH, CHOICE(sizes, SIZES_WORDS), "auto", "print the table of published sizes of a version"},
    {"budget", 0, BENCH, WHOLE(budget, "SECONDS", 0, 86400), "45", "time limit of the table; the rest is estimated"},
    {"repetitions", 'r', BENCH, WHOLE(repetitions, "N", 1, 10000), "5", "repetitions of each measurement, after a warm-up"},

    HEADING("Tokens", TOKENIZE),
    {"decode", 'd', TOKENIZE, FLAG(decode), NULL, "ids to text; ids are separated by spaces or commas"},
    {"count", 'c', TOKENIZE, FLAG(count), NULL, "print only the number of tokens"},
    {"lines", 'l', TOKENIZE, FLAG(lines), NULL, "print one token per line: id, text"},

    HEADING("Logits", LOGITS),
    {"tokens", 0, LOGITS, NAME(ids, "IDS"), NULL, "token ids 1,2,3 or @FILE"},
    {"output", 'o', LOGITS, NAME(output, "FILE"), NULL, "the .npy file to write; -: standard output"},
    {"step", 0, LOGITS, FLAG(step), NULL, "evaluate token by token instead of in chunks"},

    HEADING("Batch", BATCH),
    {"parallel", 0, BATCH, WHOLE(parallel, "N", 1, RWKV7_CHUNK), "8", "number of texts generated at once"},
    {"output", 'o', BATCH, NAME(output, "FILE"), NULL, "write the results to FILE; -: standard output"},
    {"resume", 0, BATCH, FLAG(resume), NULL, "continue after the results in FILE"},

    HEADING("Machine", ENGINE | CONVERT),
    {"threads", 't', WRITING | LOGITS | EVAL | CONVERT, WHOLE(threads, "N", 0, 1024), "0", "number of threads; 0: one per physical core"},
    {"threads", 't', BENCH, COUNTS(team, "N,...", 0, 1024), "0", "numbers of threads; 0: one per physical core"},
    {"cpu", 0, ENGINE, ENV(cpu, "TIER", "RWKV7_CPU"), NULL, "highest instruction set; default: RWKV7_CPU"},
    {"math", 0, ENGINE, CHOICE(math, "exact|fast|blas"), "exact", "exact: the same bits on every machine"},

    HEADING("Output", WRITING | BENCH | INFO | EVAL | CONVERT),
    {"quiet", 'q', WRITING | EVAL | CONVERT, FLAG(quiet), NULL, "no progress, no summary"},
    {"verbose", 'v', TALK, FLAG(verbose), NULL, "also print the model, vocabulary and kernels"},
    {"stats", 0, RUN, FLAG(stats), NULL, "print detailed timings"},
    {"json", 0, BENCH | INFO | EVAL, FLAG(json), NULL, "print JSON"},
    {"json", 0, RUN, FLAG(json), NULL, "print the text and its details as JSON at the end"},
    {"logprobs", 0, WRITE, WHOLE(logprobs, "N", 0, 100), "0", "JSON: add the N most likely tokens per position"},
    {"tensors", 0, INFO, FLAG(list), NULL, "list the tensors of any checkpoint"},
    {"csv", 0, BENCH, FLAG(csv), NULL, "print CSV"},
    {"plot", 0, BENCH, NAME(plot, "FILE"), NULL, "draw the decode speeds of the table as SVG"},

    HEADING(NULL, 0),
};
/* clang-format on */

_Static_assert(sizeof option_table / sizeof option_table[0] <= OPTIONS_ROOM, "OPTIONS_ROOM");

/* Returns the names of the published shapes, separated by '|'. */
static const char *shape_words(void)
{
    static char words[1024];
    const char *name;
    words[0] = '\0';
    for (size_t i = 0; (name = rwkv7_shape_name(i)) && strlen(words) + strlen(name) + 2 <= sizeof words; i++)
        strcat(strcat(words, i > 0 ? "|" : ""), name);
    return words;
}

const char *option_words(const struct option *o)
{
    return o->value.kind == CHOICE ? o->value.argument : o->value.kind == SHAPE ? shape_words() : NULL;
}
