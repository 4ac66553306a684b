/* foreign.c - see foreign.h. */
#include "cli/options/foreign.h"

#include <string.h>

/*
 * Options of llama.cpp and similar programs. A spelling must not be one that the parser accepts:
 * "-fa" is -f with the file "a". A single letter is looked up only if the command has no such
 * option.
 */
static const struct {
    const char *spellings; /* separated by spaces */
    const char *hint;
} table[] = {
    {"-ngl --gpu-layers --n-gpu-layers -dev --device --main-gpu -sm --split-mode -ts --tensor-split",
     "models run on the CPU; leave it out"},
    {"-c --ctx-size --n-ctx --context-size", "the context has no limit; leave it out"},
    {"--keep --context-shift --no-context-shift", "the context has no limit; leave it out"},
    {"--flash-attn --kv-offload --no-kv-offload -ctk --cache-type-k -ctv --cache-type-v --rope-scaling --rope-scale "
     "--rope-freq-base --rope-freq-scale",
     "RWKV models have no attention and no KV cache; leave it out"},
    {"--n-predict --predict --max-tokens --max-new-tokens --max-length", "use --tokens"},
    {"--temperature", "use --temp"},
    {"--greedy", "use --temp 0"},
    {"--repeat-penalty --repeat-last-n --repetition-penalty", "use --presence, --frequency and --penalty-decay"},
    {"--presence-penalty", "use --presence"},
    {"--frequency-penalty", "use --frequency"},
    {"--typical --typical-p --mirostat --mirostat-ent --mirostat-lr --xtc-probability --xtc-threshold --dry-multiplier "
     "--samplers --sampler-seq --sampling-seq --dynatemp-range --top-nsigma",
     "not supported; use --top-p, --top-k or --min-p"},
    {"-l --logit-bias", "use --bias"},
    {"-s --random-seed", "use --seed"},
    {"-r --reverse-prompt --stop-string", "use --stop"},
    {"-tb --threads-batch --n-threads", "use --threads"},
    {"--numa --cpu-mask --cpu-range --cpu-strict", "use taskset or numactl"},
    {"--mmap --no-mmap", "model files are always mapped; --mlock keeps the weights in memory"},
    {"-b --batch-size -ub --ubatch-size", "chosen automatically; leave it out"},
    {"-np", "use rwkv7 batch --parallel"},
    {"-i --interactive --interactive-first -cnv --conversation -ins --instruct", "use rwkv7 chat"},
    {"-sys --system-prompt", "use rwkv7 chat --system"},
    {"--chat-template --chat-template-file", "use rwkv7 chat --template"},
    {"--file", "use --prompt-file"},
    {"-e --escape --no-escape", "escapes are understood in --stop only; in bash, write $'one\\ntwo'"},
    {"--no-display-prompt", "the prompt is shown with --echo only; leave it out"},
    {"--stream --no-stream", "text is always written as it is generated; leave it out"},
    {"--log-disable --silent", "use --quiet"},
    {"--strategy --dtype", "use --type"},
    {"-md --model-draft --spec-draft-model", "use --draft-model"},
    {"--draft --draft-max --draft-n --draft-min --draft-p-min --spec-draft-n-max", "use --speculate"},
};

/* Returns whether the first `n` bytes of `word` are one of `words`. */
static bool is_among(const char *words, const char *word, size_t n)
{
    while (*words) {
        const size_t length = strcspn(words, " ");
        if (length == n && strncmp(words, word, n) == 0)
            return true;
        words += length + (words[length] == ' ');
    }
    return false;
}

const char *foreign_hint(const char *spelling, size_t n)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (is_among(table[i].spellings, spelling, n))
            return table[i].hint;
    return NULL;
}
