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
    PULL = 4096,
    SERVE = 8192
};
#define WRITE (RUN | BATCH)
#define TALK (RUN | CHAT)
#define WRITING (WRITE | CHAT)
#define ANSWERING (WRITING | SERVE)
#define ANY_MODEL (ANSWERING | BENCH | INFO | TOKENIZE | LOGITS | EVAL)
#define ENGINE (ANSWERING | BENCH | LOGITS | EVAL)
/* Where the value of an option is stored: the field of struct GROUP_args. */
#define AT(group, field) GROUP_##group, offsetof(struct group##_args, field)

/* clang-format off */
/* Values of options: the group and the field, the argument's name in the help, the range. */
#define FLAG(group, field) {FLAG, AT(group, field), NULL, 0, 0, NULL}
#define NAME(group, field, argument) {NAME, AT(group, field), argument, 0, 0, NULL}
#define INPUT(group, field, argument) {INPUT, AT(group, field), argument, 0, 0, NULL}
#define TEXT(group, field, argument) {TEXT, AT(group, field), argument, 0, 0, NULL}
#define INPUT_ENV(group, field, argument, name) {INPUT, AT(group, field), argument, 0, 0, name}
#define ENV(group, field, argument, name) {NAME, AT(group, field), argument, 0, 0, name}
#define TEXTS(group, field, argument) {TEXTS, AT(group, field), argument, 0, 0, NULL}
#define CHOICE(group, field, words) {CHOICE, AT(group, field), words, 0, 0, NULL}
#define SHAPE(group, field, argument) {SHAPE, AT(group, field), argument, 0, 0, NULL}
#define WHOLE(group, field, argument, least, most) {WHOLE, AT(group, field), argument, least, most, NULL}
#define REAL(group, field, argument, least, most) {REAL, AT(group, field), argument, least, most, NULL}
#define COUNTS(group, field, argument, least, most) {COUNTS, AT(group, field), argument, least, most, NULL}
#define SEED(group, field, argument) {SEED, AT(group, field), argument, 0, 0, NULL}
#define BANS(group, field, argument) {BANS, AT(group, field), argument, 0, 0, NULL}
#define BIASES(group, field, argument) {BIASES, AT(group, field), argument, 0, 0, NULL}
#define HEADING(title, commands) {NULL, 0, commands, {FLAG, GROUP_none, 0, NULL, 0, 0, NULL}, NULL, title}
/* clang-format on */

/*
 * The groups that each command's struct consists of, and their offsets there. A command's own
 * options are fields of the struct itself: offset 0.
 */
/* clang-format off */
#define PART(command, group) {GROUP_##group, offsetof(struct command##_args, group)}
#define PART_OF(command, outer, group) {GROUP_##group, offsetof(struct command##_args, outer.group)}
#define OWN(command) {GROUP_##command, 0}
#define END {GROUP_none, 0}

static const struct part run_parts[] = {
    PART(run, common), PART(run, model), PART(run, machine), PART(run, prompt),
    PART(run, request), PART_OF(run, request, bos), PART_OF(run, request, sampling),
    PART_OF(run, request, draft), PART(run, constraint), PART(run, tuned), PART(run, saved),
    PART(run, print), OWN(run), END,
};
static const struct part batch_parts[] = {
    PART(batch, common), PART(batch, model), PART(batch, machine), PART(batch, request),
    PART_OF(batch, request, bos), PART_OF(batch, request, sampling),
    PART_OF(batch, request, draft), PART(batch, constraint), PART(batch, tuned),
    PART(batch, print), OWN(batch), END,
};
static const struct part chat_parts[] = {
    PART(chat, common), PART(chat, model), PART(chat, machine), PART(chat, request),
    PART_OF(chat, request, bos), PART_OF(chat, request, sampling),
    PART_OF(chat, request, draft), PART(chat, constraint), PART(chat, tuned),
    PART(chat, saved), PART(chat, print), PART(chat, template), OWN(chat), END,
};
static const struct part serve_parts[] = {
    PART(serve, common), PART(serve, model), PART(serve, machine), PART(serve, bos),
    PART(serve, tuned), PART(serve, saved), PART(serve, print), PART(serve, template), OWN(serve), END,
};
static const struct part bench_parts[] = {
    PART(bench, common), PART(bench, model), PART(bench, machine), PART(bench, print), OWN(bench),
    END,
};
static const struct part info_parts[] = {
    PART(info, common), PART(info, model), PART(info, print), OWN(info), END,
};
static const struct part tokenize_parts[] = {
    PART(tokenize, common), PART(tokenize, model), OWN(tokenize), END,
};
static const struct part convert_parts[] = {
    PART(convert, common), PART(convert, model), PART(convert, machine), PART(convert, print),
    OWN(convert), END,
};
static const struct part eval_parts[] = {
    PART(eval, common), PART(eval, model), PART(eval, machine), PART(eval, bos),
    PART(eval, print), OWN(eval), END,
};
static const struct part logits_parts[] = {
    PART(logits, common), PART(logits, model), PART(logits, machine), PART(logits, tuned),
    OWN(logits), END,
};
static const struct part pull_parts[] = {
    PART(pull, common), OWN(pull), END,
};
static const struct part help_parts[] = {
    PART(help, common), OWN(help), END,
};
static const struct part common_parts[] = {{GROUP_common, 0}, END};
const struct part request_parts[] = {
    OWN(request), PART(request, bos), PART(request, sampling), PART(request, draft), END,
};
/* clang-format on */

const struct command command_table[] = {
    {"run", RUN, "[PROMPT]", 1, 0, "continue a text",
     "Continues a text. The prompt is standard input, unless that is a terminal or\n"
     "--no-stdin is given, then the prompt file, then PROMPT, as one text. '-' means\n"
     "standard input.",
     "prompt", sizeof(struct run_args), run_parts, run_command},
    {"batch", BATCH, "[FILE]", 1, 1, "continue many texts",
     "Continues many texts at once. Every line of FILE, or of standard input, is a\n"
     "JSON object with a \"prompt\", an optional \"id\", and options: \"tokens\",\n"
     "\"stop\", \"temp\", \"top_p\", ... The results are lines of JSON in the same order.",
     NULL, sizeof(struct batch_args), batch_parts, batch_command},
    {"chat", CHAT, "[MODEL]", 1, 0, "chat with a model",
     "Chats with a model that was trained for it. Every line of standard input is a\n"
     "message or a command; /help lists the commands.",
     "model", sizeof(struct chat_args), chat_parts, chat_command},
    {"serve", SERVE, "[MODEL]", 1, 0, "answer requests over HTTP",
     "Serves a model over HTTP, on this computer only unless --host says otherwise.\n"
     "Clients of OpenAI's API work with http://127.0.0.1:8080/v1, those of Anthropic's\n"
     "and of Ollama's with http://127.0.0.1:8080. Many requests are answered at once,\n"
     "and an answer does not depend on the others.",
     "model", sizeof(struct serve_args), serve_parts, serve_command},
    {"bench", BENCH, "", 0, 0, "measure speed",
     "Measures the speed of reading prompts (prefill) and of generating (decode), and\n"
     "compares decoding with the memory bandwidth of this machine. Without -m and\n"
     "--shape: a table of all published sizes, in less than a minute.",
     NULL, sizeof(struct bench_args), bench_parts, bench_command},
    {"info", INFO, "[MODEL]", 1, 0, "describe a model",
     "Describes a model: sizes, types, memory needed, where its vocabulary is.", "model", sizeof(struct info_args),
     info_parts, info_command},
    {"tokenize", TOKENIZE, "[TEXT]", 1, 0, "text to token ids and back",
     "Converts TEXT, or standard input, to token ids; with --decode, ids to text.", NULL, sizeof(struct tokenize_args),
     tokenize_parts, tokenize_command},
    {"convert", CONVERT, "IN OUT", 2, 1, "convert or quantize a model",
     "Writes the model IN, in any supported format, as one safetensors file OUT that\n"
     "includes the vocabulary and opens instantly. --type changes the type of the\n"
     "weights: q8 quantizes them to 8 bits and q4 to 4; bf16 has 16.",
     NULL, sizeof(struct convert_args), convert_parts, convert_command},
    {"eval", EVAL, "FILE...", -1, -1, "measure how well a model predicts",
     "Measures how well a model predicts texts: loss and perplexity. Each file is one\n"
     "document. --against adds the KL divergence from another model, such as the\n"
     "original of a quantized one. --task measures accuracy instead.",
     NULL, sizeof(struct eval_args), eval_parts, eval_command},
    {"logits", LOGITS, "[MODEL]", 1, 0, "write logits, to check another implementation",
     "Evaluates token ids, starting from the zero state, and writes the logits after\n"
     "every token as a float32 array [tokens, vocabulary] in NumPy's format. Needs no\n"
     "vocabulary.",
     "model", sizeof(struct logits_args), logits_parts, logits_command},
    {"pull", PULL, "SIZE", 1, 0, "download a published model",
     "Downloads a published model and the vocabulary to the user's data folder, where\n"
     "-m finds it by the same name: rwkv7 pull 0.4b, then rwkv7 chat 0.4b.\n"
     "An interrupted download continues where it stopped.",
     NULL, sizeof(struct pull_args), pull_parts, pull_command},
    {"completions", COMPLETIONS, "SHELL", 1, 0, "print shell completions",
     "Prints the completions for SHELL (bash, zsh or fish).\n"
     "An installation already includes them.",
     NULL, sizeof(struct completions_args), common_parts, completions_command},
    {"help", HELP, "[COMMAND]", 1, 0, "explain a command", "Explains a command.", NULL, sizeof(struct help_args),
     help_parts, help_command},
    {"version", VERSION, "", 0, 0, "show the version and the build",
     "Prints the version, the kernels in use, the kernels available, the number of\n"
     "threads, the build options and the versions of the libraries.",
     NULL, sizeof(struct version_args), common_parts, version_command},
    {NULL, 0, NULL, 0, 0, NULL, NULL, NULL, 0, NULL, NULL},
};

/* One option, one row: name, letter, commands, value, default, help. */
/* clang-format off */
const struct option option_table[] = {
    {"help", 'h', ~0u, FLAG(common, help), NULL, "print this help"},
    {"version", 'V', ~0u, FLAG(common, version), NULL, "print the version and the build"},
    {"no-config", 0, ENGINE | INFO | TOKENIZE | CONVERT, FLAG(common, no_config), NULL, "do not read the config file"},
    {"list", 0, PULL, FLAG(pull, list), NULL, "list the models and their sizes"},
    {"man", 0, HELP, FLAG(help, man), NULL, "print the options part of the manual page"},

    HEADING("Model", ANY_MODEL | CONVERT),
    {"model", 'm', ANY_MODEL, INPUT_ENV(model, model, "FILE", "RWKV7_MODEL"), NULL,
     "file, folder or pulled SIZE; default: RWKV7_MODEL"},
    {"vocab", 0, ANSWERING | INFO | TOKENIZE | EVAL, INPUT(model, vocab, "FILE"), NULL,
     "vocabulary; default: searched beside the model"},
    {"shape", 0, BENCH, SHAPE(bench, shape, "NAME"), NULL, "random weights of a published shape"},
    {"type", 0, ANSWERING | LOGITS | EVAL, CHOICE(model, type, WEIGHTS), "stored", "qN: quantize the weights to N bits"},
    {"type", 0, BENCH, CHOICE(model, type, WEIGHTS FLOATS), "stored", "f32, f16, bf16: with --shape only"},
    {"sparse", 0, ANSWERING | LOGITS | BENCH | EVAL, CHOICE(model, sparse, "auto|on|off"), "auto",
     "skip weights that would be multiplied by zero"},
    {"rate-scale", 0, ANSWERING | LOGITS | EVAL | INFO | CONVERT, REAL(model, rate_scale, "X", 0, 2), "0",
     "factor of the in-context learning rate; 0: auto"},
    {"mlock", 0, ANSWERING | LOGITS | EVAL, FLAG(model, lock), NULL, "lock the weights in memory, never paged out"},

    HEADING("Conversion", CONVERT),
    {"type", 0, CONVERT, CHOICE(model, type, WEIGHTS FLOATS), "stored", "type of the matrices; qN: quantize to N bits"},
    {"vocab", 0, CONVERT, INPUT(model, vocab, "FILE"), NULL, "vocabulary to include; default: that of IN"},
    {"lora", 0, CONVERT, INPUT(convert, lora, "FILE"), NULL, "merge a LoRA file or PEFT folder into the weights"},
    {"lora-init", 0, CONVERT, INPUT(convert, lora_init, "FILE"), NULL, "LoRA factors before training, for PiSSA"},
    {"lora-alpha", 0, CONVERT, REAL(convert, lora_alpha, "A", 0, 1e6), "0", "alpha of the LoRA file; 0: from its metadata"},

    HEADING("Evaluation", EVAL),
    {"against", 0, EVAL, INPUT(eval, against, "MODEL"), NULL, "also print KL divergence and agreement with MODEL"},
    {"task", 0, EVAL, CHOICE(eval, task, "text|lambada|choices"), "text", "lambada, choices: FILEs hold JSON lines"},

    HEADING("Conversation", CHAT | SERVE),
    {"system", 0, CHAT, TEXT(chat, system, "TEXT"), NULL, "system prompt, read before the first message"},
    {"template", 0, CHAT | SERVE, INPUT(template, template, "FILE"), NULL, "chat template: g1, world, raven, instruction, FILE"},
    {"think", 0, CHAT | SERVE, CHOICE(template, thinking, THINKING_WORDS), "off", "think before answering; empty, fake: do not"},
    {"tools", 0, CHAT, INPUT(chat, tools, "FILE"), NULL, "functions that the model may call, a JSON array"},
    {"tool-choice", 0, CHAT, TEXT(chat, tool_choice, "WORD"), "auto", "auto, required, or the name of a function"},
    {"thoughts", 0, CHAT, CHOICE(chat, thoughts, "show|hide"), "show", "show or hide the thoughts"},
    {"history", 0, CHAT, TEXT(chat, history, "FILE"), NULL, "save typed lines in FILE; '': do not save them"},
    {"no-history", 0, CHAT, FLAG(chat, no_history), NULL, "do not save typed lines"},

    HEADING("Prompt", WRITE | SERVE | EVAL),
    {"prompt", 'p', RUN, TEXT(prompt, prompt, "TEXT"), NULL, "the prompt, the same as PROMPT"},
    {"prompt-file", 'f', RUN, INPUT(prompt, prompt_file, "FILE"), NULL, "read the prompt from a file"},
    {"no-stdin", 'N', RUN, FLAG(prompt, no_stdin), NULL, "do not read standard input as the first part"},
    {"strip", 0, WRITE, FLAG(request, strip), NULL, "remove white space at the end of the prompt"},
    {"echo", 0, RUN, FLAG(prompt, echo), NULL, "print the prompt before the text"},
    {"bos", 0, ANSWERING | EVAL, FLAG(bos, bos), NULL, "start with token 0, the document separator"},
    {"no-bos", 0, ANSWERING | EVAL, FLAG(bos, no_bos), NULL, "do not; the default if token 0 has a text"},

    HEADING("State", ANSWERING | LOGITS),
    {"state", 0, ANSWERING | LOGITS, INPUT(tuned, state, "FILE"), NULL, "start from a tuned state (time_state)"},
    {"state-order", 0, ANSWERING | LOGITS, CHOICE(tuned, state_order, "stated|value-key|key-value"), "stated",
     "layout of its matrices; stated: see metadata"},
    {"state-in", 0, TALK, NAME(saved, state_in, "FILE"), NULL, "continue from a saved state"},
    {"state-out", 0, TALK, NAME(saved, state_out, "FILE"), NULL, "save the state at the end"},
    {"prompt-cache", 0, TALK | SERVE, NAME(saved, prompt_cache, "DIR"), NULL, "save states of prompts in DIR and reuse them"},
    {"prompt-cache-size", 0, TALK | SERVE, WHOLE(saved, prompt_cache_size, "MB", 0, INT32_MAX), "2000",
     "maximum size of the cache"},

    HEADING("Length", WRITING),
    {"tokens", 'n', WRITE, WHOLE(request, tokens, "N", -1, INT32_MAX), "256", "at most N tokens; -1: until the text ends"},
    {"tokens", 'n', CHAT, WHOLE(request, tokens, "N", -1, INT32_MAX), "4096", "at most N tokens per answer; -1: no limit"},
    {"stop", 0, WRITING, TEXTS(request, stops, "STRING"), NULL, "end before STRING (\\n is a newline); repeatable"},
    {"ignore-eos", 0, WRITE, FLAG(request, ignore_eos), NULL, "never draw the end-of-text token"},

    HEADING("Constraints", WRITING),
    {"schema", 0, WRITING, INPUT(constraint, schema, "FILE"), NULL, "only JSON of the JSON Schema in FILE"},
    {"any-json", 0, WRITING, FLAG(constraint, any_json), NULL, "only a JSON object or array"},
    {"grammar", 0, WRITING, INPUT(constraint, grammar, "FILE"), NULL, "only texts of the grammar in FILE (GBNF)"},
    {"regex", 0, WRITING, TEXT(constraint, regex, "REGEX"), NULL, "only texts that match REGEX as a whole"},
    {"choice", 0, WRITING, TEXTS(constraint, choices, "STRING"), NULL, "only one of these strings; repeatable"},

    HEADING("Sampling", WRITING),
    {"temp", 0, WRITING, REAL(sampling, temperature, "T", 0, 100), "1", "temperature; 0: always the most likely token"},
    {"top-p", 0, WRITE, REAL(sampling, top_p, "P", 0, 1), "0.85", "keep the most likely tokens that sum to P"},
    {"top-p", 0, CHAT, REAL(sampling, top_p, "P", 0, 1), "0.3", "keep the most likely tokens that sum to P"},
    {"top-k", 0, WRITING, WHOLE(sampling, top_k, "K", 0, INT32_MAX), "0", "keep the K most likely tokens; 0: all"},
    {"min-p", 0, WRITING, REAL(sampling, min_p, "P", 0, 1), "0", "drop tokens less likely than P times the top one"},
    {"presence", 0, WRITE, REAL(sampling, presence, "X", -100, 100), "0", "subtracted from logits of generated tokens"},
    {"presence", 0, CHAT, REAL(sampling, presence, "X", -100, 100), "0.5", "subtracted from logits of generated tokens"},
    {"frequency", 0, WRITE, REAL(sampling, frequency, "X", -100, 100), "0", "subtracted once per time a token was generated"},
    {"frequency", 0, CHAT, REAL(sampling, frequency, "X", -100, 100), "0.5", "subtracted once per time a token was generated"},
    {"penalty-decay", 0, WRITING, REAL(sampling, penalty_decay, "D", 0, 1), "0.996", "decay of the repetition counts per token"},
    {"ban", 0, WRITING, BANS(sampling, biases, "ID,..."), NULL, "never draw these tokens"},
    {"bias", 0, WRITING, BIASES(sampling, biases, "ID=X,..."), NULL, "add X to the logit of a token"},
    {"seed", 0, WRITING, SEED(sampling, seed, "N"), NULL, "random seed; default: chosen and printed"},

    HEADING("Speed", WRITING),
    {"speculate", 0, WRITING, NAME(draft, speculate, "auto|off|N"), "auto", "guess up to N tokens; never changes the text"},
    {"draft-model", 0, WRITING, INPUT(draft, draft_model, "FILE"), NULL, "a smaller model that guesses them"},

    HEADING("Measurement", BENCH),
    {"prompt", 'p', BENCH, COUNTS(bench, prompts, "N,...", 0, 1 << 24), "64,512", "tokens per prefill; 0: none"},
    {"tokens", 'n', BENCH, WHOLE(bench, tokens, "N", 0, 1 << 24), "64", "tokens to decode; 0: none"},
    {"context", 0, BENCH, WHOLE(bench, context, "N", 0, 1 << 24), "0", "tokens evaluated before decoding"},
    {"ffn-density", 0, BENCH, REAL(bench, ffn_density, "D", 0.01, 1), "1", "also decode with this share of nonzero units"},
    {"draft-acceptance", 0, BENCH, REAL(bench, draft_acceptance, "A", 0, 1), "0",
     "simulate guesses that are right with probability A"},
    {"sizes", 0, BENCH, CHOICE(bench, sizes, SIZES_WORDS), "auto", "print the table of published sizes of a version"},
    {"budget", 0, BENCH, WHOLE(bench, budget, "SECONDS", 0, 86400), "45", "time limit of the table; the rest is estimated"},
    {"repetitions", 'r', BENCH, WHOLE(bench, repetitions, "N", 1, 10000), "5", "repetitions of each measurement, after a warm-up"},

    HEADING("Tokens", TOKENIZE),
    {"decode", 'd', TOKENIZE, FLAG(tokenize, decode), NULL, "ids to text; ids are separated by spaces or commas"},
    {"count", 'c', TOKENIZE, FLAG(tokenize, count), NULL, "print only the number of tokens"},
    {"lines", 'l', TOKENIZE, FLAG(tokenize, lines), NULL, "print one token per line: id, text"},

    HEADING("Logits", LOGITS),
    {"tokens", 0, LOGITS, NAME(logits, ids, "IDS"), NULL, "token ids 1,2,3 or @FILE"},
    {"output", 'o', LOGITS, NAME(logits, output, "FILE"), NULL, "the .npy file to write; -: standard output"},
    {"step", 0, LOGITS, FLAG(logits, step), NULL, "evaluate token by token instead of in chunks"},

    HEADING("Batch", BATCH),
    {"parallel", 0, BATCH, WHOLE(batch, parallel, "N", 1, RWKV7_CHUNK), "8", "number of texts generated at once"},
    {"output", 'o', BATCH, NAME(batch, output, "FILE"), NULL, "write the results to FILE; -: standard output"},
    {"resume", 0, BATCH, FLAG(batch, resume), NULL, "continue after the results in FILE"},

    HEADING("Server", SERVE),
    {"host", 0, SERVE, NAME(serve, host, "ADDRESS"), "127.0.0.1", "listen here; a FILE.sock: a UNIX socket"},
    {"port", 0, SERVE, WHOLE(serve, port, "N", 0, 65535), "8080", "TCP port; 0: any, which is printed"},
    {"api-key", 0, SERVE, TEXTS(serve, keys, "KEY"), NULL, "refuse requests without this key; repeatable"},
    {"api-key-file", 0, SERVE, INPUT(serve, key_file, "FILE"), NULL, "the same with the lines of FILE"},
    {"cors", 0, SERVE, TEXT(serve, cors, "ORIGIN,..."), NULL, "web pages that may use the server; *: all"},
    {"parallel", 0, SERVE, WHOLE(serve, parallel, "N", 1, RWKV7_CHUNK), "8", "number of texts generated at once"},
    {"queue", 0, SERVE, WHOLE(serve, queue, "N", 0, 100000), "64", "number of requests that may wait"},
    {"max-connections", 0, SERVE, WHOLE(serve, max_connections, "N", 1, 60000), "256", "number of open connections"},
    {"max-body", 0, SERVE, WHOLE(serve, max_body, "MB", 1, 1024), "16", "maximum size of a request"},
    {"max-prompt", 0, SERVE, WHOLE(serve, max_prompt, "N", 1, 1 << 24), "1048576", "maximum tokens in the prompts of a request"},
    {"max-tokens", 0, SERVE, WHOLE(serve, max_tokens, "N", 1, 1 << 24), "4096", "maximum tokens in an answer"},
    {"cache-size", 0, SERVE, WHOLE(serve, cache, "MB", 0, 1 << 20), "256", "memory for states of prompts; 0: keep none"},
    {"state-ram", 0, SERVE, WHOLE(serve, state_ram, "MB", 0, 1 << 20), "512", "memory for sessions; 0: no sessions"},
    {"state-dir", 0, SERVE, NAME(serve, state_dir, "DIR"), NULL, "save sessions here beyond that, and at the end"},
    {"grace", 0, SERVE, WHOLE(serve, grace, "SECONDS", 0, 86400), "30", "time to finish answers after a signal"},
    {"no-metrics", 0, SERVE, FLAG(serve, no_metrics), NULL, "do not serve /metrics"},
    {"no-page", 0, SERVE, FLAG(serve, no_page), NULL, "do not serve the web page at /"},
    {"name", 0, SERVE, NAME(serve, name, "NAME"), NULL, "name of the model in answers; default: its file"},
    {"strict-model", 0, SERVE, FLAG(serve, strict_model), NULL, "refuse requests for a model of another name"},

    HEADING("Machine", ENGINE | CONVERT),
    {"threads", 't', ANSWERING | LOGITS | EVAL | CONVERT, WHOLE(machine, threads, "N", 0, 1024), "0", "number of threads; 0: one per physical core"},
    {"threads", 't', BENCH, COUNTS(bench, team, "N,...", 0, 1024), "0", "numbers of threads; 0: one per physical core"},
    {"cpu", 0, ENGINE, ENV(machine, cpu, "TIER", "RWKV7_CPU"), NULL, "highest instruction set; default: RWKV7_CPU"},
    {"math", 0, ENGINE, CHOICE(machine, math, "exact|fast|blas"), "exact", "exact: the same bits on every machine"},

    HEADING("Output", ANSWERING | BENCH | INFO | EVAL | CONVERT),
    {"quiet", 'q', ANSWERING | EVAL | CONVERT, FLAG(print, quiet), NULL, "no progress, no summary"},
    {"verbose", 'v', TALK, FLAG(print, verbose), NULL, "also print the model, vocabulary and kernels"},
    {"verbose", 'v', SERVE, FLAG(print, verbose), NULL, "also print the model and a line for each request"},
    {"stats", 0, RUN, FLAG(run, stats), NULL, "print detailed timings"},
    {"json", 0, BENCH | INFO | EVAL, FLAG(print, json), NULL, "print JSON"},
    {"json", 0, RUN, FLAG(print, json), NULL, "print the text and its details as JSON at the end"},
    {"logprobs", 0, WRITE, WHOLE(request, logprobs, "N", 0, 100), "0", "JSON: add the N most likely tokens per position"},
    {"tensors", 0, INFO, FLAG(info, list), NULL, "list the tensors of any checkpoint"},
    {"csv", 0, BENCH, FLAG(bench, csv), NULL, "print CSV"},
    {"plot", 0, BENCH, NAME(bench, plot, "FILE"), NULL, "draw the decode speeds of the table as SVG"},

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

void *option_field(const struct option *o, const struct part *parts, void *base)
{
    for (; parts->group != GROUP_none; parts++)
        if (parts->group == o->value.group)
            return (char *)base + parts->at + o->value.at;
    return NULL;
}

void *args_field(const struct option *o, void *args)
{
    const struct common_args *const common = args;
    return option_field(o, common->command->parts, args);
}

const void *args_value(const struct option *o, const void *args)
{
    return args_field(o, (void *)(uintptr_t)args);
}
