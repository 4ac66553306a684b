/*
 * rwkv7.h - the public interface of librwkv7, an engine for RWKV language models on a CPU.
 *
 * Six nouns:
 *
 *   runtime    the machine: which SIMD kernels run and on how many threads
 *   model      the weights; immutable after loading, may be shared by any number of sessions
 *   session    the recurrent state: everything that the model remembers of the text so far, a few megabytes
 *   tokenizer  bytes <-> token ids (World vocabulary format); immutable, may be shared
 *   sampler    logits -> the next token id
 *   generator  a prompt in, its continuation out, a token at a time: all of the above at work on one session
 *
 * Conventions. A function that can fail returns `enum rwkv7_status` and takes `struct rwkv7_error *` last (may be NULL),
 * which it fills only on failure. An object made by `rwkv7_<noun>_open/create/clone` belongs to the caller, who gives it
 * back with `rwkv7_<noun>_close`; passing NULL to a close is allowed. The library never prints, exits or aborts.
 * Sessions of one runtime may be evaluated from different threads; the evaluations then take turns.
 *
 * A child of fork() may go on with everything that was opened before, even if other threads were evaluating meanwhile: it starts
 * threads of its own with its first evaluation, and shares the pages of mapped weights with its parent. A session that another thread
 * was evaluating has a state that is half changed: rwkv7_session_reset or load it first. No other thread may be opening, converting,
 * saving or closing anything while the process forks.
 *
 * No function writes over a file that is mapped at that time, such as the weights of any open model, under whatever name: RWKV7_ERR_USAGE.
 *
 * Callbacks. Each comes with its call, on the thread that made the call, and must return: no longjmp, no exception through it. It
 * must not close what the call works on, nor fork a child that goes on to use the library. Where it says so, the threads of the
 * runtime are waiting for it, so that it must not evaluate, open or convert anything with this runtime, which would wait for them
 * in turn; otherwise it may, with other sessions.
 *
 * The numeric promise: same model, same tokens, same bits - on every CPU and with every thread count - as long as
 * `rwkv7_math` is RWKV7_MATH_EXACT (the default). The floating-point environment of the calling thread (rounding mode, flushing
 * of denormals, traps) changes nothing: the library computes in the default environment and restores the caller's.
 */
#ifndef RWKV7_H
#define RWKV7_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define RWKV7_API __attribute__((visibility("default")))
#define RWKV7_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define RWKV7_API
#define RWKV7_PRINTF(fmt, args)
#endif

/* ------------------------------------------------------------------------------------------------ errors, version */

enum rwkv7_status {
    RWKV7_OK = 0,
    RWKV7_ERR_IO,      /* a file or pipe could not be read or written */
    RWKV7_ERR_MEMORY,  /* out of memory */
    RWKV7_ERR_NUMERIC, /* a NaN or an infinity where a number was needed */
    RWKV7_ERR_USAGE,   /* the caller asked for something that does not exist (option, token id, CPU tier) */
    RWKV7_ERR_MODEL,   /* a model file was rejected */
    RWKV7_ERR_VOCAB,   /* a vocabulary was rejected, or does not belong to the model */
    RWKV7_ERR_STATE,   /* a state file was rejected, or does not belong to the model */
    RWKV7_ERR_STOPPED, /* cancelled by a signal or by the progress callback */
};

struct rwkv7_error {
    enum rwkv7_status status;
    char message[256]; /* one line, no newline, NUL-terminated: what, where, expected, found */
};

/*
 * Makes text out of a file (metadata, names) fit for a terminal: bytes of control characters, C1 and those of text direction
 * among them, and of broken UTF-8 become '?'. Messages are so already.
 */
RWKV7_API void rwkv7_text_plain(char *text);

/*
 * The version of this header; CMake takes the project's version from here. The functions give the version of the library that the
 * program runs with, which may be newer: within one RWKV7_SOVERSION, a program works with every library that is at least as new as the
 * header it was compiled with.
 */
#define RWKV7_VERSION_MAJOR 0
#define RWKV7_VERSION_MINOR 1
#define RWKV7_VERSION_PATCH 0
#define RWKV7_SOVERSION 0 /* in the name of the shared library, librwkv7.so.0 */
#define RWKV7_VERSION_NUMBER (RWKV7_VERSION_MAJOR * 1000000 + RWKV7_VERSION_MINOR * 1000 + RWKV7_VERSION_PATCH)

RWKV7_API const char *rwkv7_version(void); /* "0.1.0" */
RWKV7_API int rwkv7_version_number(void);  /* RWKV7_VERSION_NUMBER of the library */

/* A short name for messages, "memory" for RWKV7_ERR_MEMORY; "unknown" for a value that this library does not have. */
RWKV7_API const char *rwkv7_status_name(enum rwkv7_status status);

/* ---------------------------------------------------------------------------------------------------------- runtime */

enum rwkv7_math {
    RWKV7_MATH_EXACT, /* every sum has one defined order: identical bits on every CPU and thread count */
    /*
     * Many-token products of bfloat16 matrices go through the CPU's tile units where it has them (AMX): several times as fast, and
     * results agree to a tolerance only (logits: 1e-3). On other CPUs, for other types and for single tokens: exact.
     */
    RWKV7_MATH_FAST,
    /*
     * Many-token products go through OpenBLAS: results agree to a tolerance only. RWKV7_ERR_USAGE where there is none. The first
     * rwkv7_runtime_create with it has effects on the whole process: it loads the library, for good, with OPENBLAS_NUM_THREADS=1 in
     * the environment, which is as before when it returns; and OpenBLAS uses one thread from then on (openblas_set_num_threads),
     * for everybody. No other thread may read or change the environment meanwhile. The environment is left alone when the program has
     * loaded the same library itself.
     */
    RWKV7_MATH_BLAS,
};

struct rwkv7_runtime;

struct rwkv7_runtime_options {
    int threads;     /* 0: one per physical core this process may use */
    const char *cpu; /* NULL or "": the widest tier; else cap at this tier ("ref", "avx2", "avx512", "neon") */
    enum rwkv7_math math;
};

/* Starts the threads. `opt` may be NULL for defaults. An unknown or unsupported tier is RWKV7_ERR_USAGE. */
RWKV7_API enum rwkv7_status rwkv7_runtime_create(const struct rwkv7_runtime_options *opt, struct rwkv7_runtime **out,
                                                 struct rwkv7_error *err);
RWKV7_API void rwkv7_runtime_close(struct rwkv7_runtime *rt); /* after the models that use it */
RWKV7_API int rwkv7_runtime_threads(const struct rwkv7_runtime *rt);
RWKV7_API const char *rwkv7_runtime_cpu(const struct rwkv7_runtime *rt); /* the tier that runs, e.g. "avx512" */
/* The tiers supported on this machine, narrowest first, "ref avx2 avx512"; until the next call of this thread. */
RWKV7_API const char *rwkv7_runtime_cpus(void);

/*
 * Description of one linked library or build property for --version; index 0, 1, ... until NULL. The text lasts until the next call
 * of this thread.
 */
RWKV7_API const char *rwkv7_build_info(int index);

/* The largest resident memory of this process so far, in bytes, mapped weights included; 0 when unknown. */
RWKV7_API uint64_t rwkv7_memory_peak(void);

/*
 * Read bandwidth of this machine in bytes per second: the runtime's threads each read their share of `bytes` of memory
 * (allocated for the purpose) as several streams with prefetch. One pass, about 0.1 s per GB.
 */
RWKV7_API enum rwkv7_status rwkv7_runtime_bandwidth(struct rwkv7_runtime *rt, size_t bytes, double *bytes_per_second,
                                                    struct rwkv7_error *err);

/* ------------------------------------------------------------------------------------------------------------ model */

/*
 * Q8, Q4, Q6: integers of 8, 4 and 6 bits with scales, 8.06, 4.31 and 6.13 bits per weight; see docs/FORMATS.md. GGML: in the blocks
 * of a GGUF file; kept for the embedding only.
 */
enum rwkv7_type { RWKV7_F32, RWKV7_F16, RWKV7_BF16, RWKV7_Q8, RWKV7_Q4, RWKV7_Q6, RWKV7_GGML, RWKV7_TYPES };
RWKV7_API const char *rwkv7_type_name(enum rwkv7_type type); /* "f32", "f16", "bf16", "q8", "q4", "q6", "ggml" */

/* Architectures: RWKV-7 (x070a is x070 with `deep` above 0), RWKV-6, RWKV-5.2, 5.1 and 5.0, RWKV-4. */
enum rwkv7_arch {
    RWKV7_ARCH_X070,
    RWKV7_ARCH_X060,
    RWKV7_ARCH_X052,
    RWKV7_ARCH_X051,
    RWKV7_ARCH_X050,
    RWKV7_ARCH_X040
};

/* Sizes of a model; the letters are those of the paper. */
struct rwkv7_shape {
    int vocab;                          /* V: rows of the embedding and of the head */
    int layers;                         /* L */
    int channels;                       /* C = heads * head_size */
    int heads, head_size;               /* H, N; 0 in RWKV-4, which has none */
    int ffn;                            /* F: hidden width of the channel mix */
    int rank_w, rank_a, rank_v, rank_g; /* widths of the low-rank factors; rank_v is 0 when layers is 1 */
    int deep;                           /* E: side of the matrix that a token has in each layer of x070a; 0: x070 */
    enum rwkv7_arch arch;
    int rank_m; /* width of the factors of the token shift; RWKV-6 only */
};

struct rwkv7_model;

struct rwkv7_model_info {
    struct rwkv7_shape shape;
    const char *path;         /* as given to open; "(random)" for rwkv7_model_random */
    const char *container;    /* "safetensors", "safetensors, 4 shards", "PyTorch", "GGUF", "memory" */
    const char *naming;       /* "BlinkDL (.pth orientation)", "fla / Hugging Face", "llama.cpp", ... */
    const char *prefix;       /* what precedes all names in the file and was stripped, "module."; "": nothing */
    const char *architecture; /* "RWKV-7 (x070)", "RWKV-6", "RWKV-4" */
    const char *version;      /* "x070", "x070a", "x052" */
    uint64_t parameters;      /* numbers stored in the tensors that the engine uses */
    uint64_t tensors;         /* tensors in the file, used or not */
    uint64_t ignored_tensors; /* tensors that are known and unused (layer 0's v0, v1, v2; a tuned state) */
    uint64_t weight_bytes;    /* bytes of weights held: mapped in place plus copies */
    uint64_t copied_bytes;    /* the part of weight_bytes that had to be copied (transposed, converted, misaligned) */
    uint64_t step_bytes;      /* bytes of weights and state read to evaluate one token, logits included */
    uint64_t skipped_bytes;   /* the part of step_bytes that is only read as far as rwkv7_session_density says */
    uint64_t session_bytes;   /* one session's state */
    uint64_t work_bytes;      /* scratch memory of the runtime that evaluations use at most, shared by all sessions */
    uint64_t type_parameters[RWKV7_TYPES]; /* parameters stored in each type */
    float rate_scale;                      /* of RWKV-7: what the in-context learning rate is multiplied by; else 1 */
    size_t metadata;                       /* number of metadata pairs, see rwkv7_model_metadata */
    const char *chat_template;             /* that the file states, or the folder (tokenizer_config.json); NULL: none */
    bool tuned_state; /* the file also holds a state to begin with; only rwkv7_session_load_tuned uses it */
};

/*
 * What becomes of the matrices while loading. With Q4 and Q6, the head and the low-rank factors take 8 bits. STORED: floats stay as they
 * are, and what a GGUF file holds in integers, of 2 to 8 bits, becomes Q8.
 */
enum rwkv7_weights { RWKV7_WEIGHTS_STORED, RWKV7_WEIGHTS_Q8, RWKV7_WEIGHTS_Q4, RWKV7_WEIGHTS_Q6, RWKV7_WEIGHTS_COUNT };

/*
 * The squared ReLU leaves most hidden units of trained models at zero, and decoding need not read the columns of ffn.value that
 * belong to them, if these lie together in memory. AUTO: where weights are made into integers anyway; ON: always, which copies a
 * quarter of the weights while loading; OFF: never. Integers that a file of rwkv7_convert holds stay as they lie in it. The results are
 * the same.
 */
enum rwkv7_sparse { RWKV7_SPARSE_AUTO, RWKV7_SPARSE_ON, RWKV7_SPARSE_OFF };

struct rwkv7_model_options {
    enum rwkv7_weights weights;
    enum rwkv7_sparse sparse;
    bool
        lock; /* keep all weights in memory, never to be paged out; RWKV7_ERR_MEMORY where the system does not allow it */
    /*
     * RWKV-7: the in-context learning rate is rate_scale * sigmoid(...), above 0 and at most 2. Models with an extended rate (2) have
     * the same names and shapes as others, so it must be given, unless the metadata "rwkv7.rate_scale" of the file tell, as those of
     * rwkv7_convert do. 0: as the file says, else 1. RWKV7_ERR_USAGE for other architectures, unless it is 1.
     */
    float rate_scale;
    /*
     * Called now and then while loading takes long, with done <= total in bytes; may be NULL. The threads of the runtime are waiting
     * for it: see Callbacks above.
     */
    void (*progress)(void *arg, uint64_t done, uint64_t total);
    void *progress_arg;
};

/*
 * Opens a checkpoint: a .safetensors/.st, .pth or .gguf file, the index.json of shards, or a folder that holds one of them. The
 * file is mapped, not read: weights stay in place wherever their type and alignment allow. It must not change while it is open. `opt`
 * may be NULL for defaults.
 */
RWKV7_API enum rwkv7_status rwkv7_model_open(struct rwkv7_runtime *rt, const char *path,
                                             const struct rwkv7_model_options *opt, struct rwkv7_model **out,
                                             struct rwkv7_error *err);

/* Opens the image of a single file in memory. `data` must outlive the model; `name` appears in messages; `opt` may be NULL. */
RWKV7_API enum rwkv7_status rwkv7_model_open_memory(struct rwkv7_runtime *rt, const void *data, size_t size,
                                                    const char *name, const struct rwkv7_model_options *opt,
                                                    struct rwkv7_model **out, struct rwkv7_error *err);

struct rwkv7_random_options {
    enum rwkv7_type type;
    enum rwkv7_sparse sparse; /* AUTO: where ffn_density makes it faster */
    float
        ffn_density; /* this part of the hidden units of the channel mix is never zero, the others always are; 0: as it comes */
    uint64_t seed;
};

/* A model of the given shape with random weights, for benchmarks and tests. `opt` must not be NULL. */
RWKV7_API enum rwkv7_status rwkv7_model_random(struct rwkv7_runtime *rt, const struct rwkv7_shape *shape,
                                               const struct rwkv7_random_options *opt, struct rwkv7_model **out,
                                               struct rwkv7_error *err);
/*
 * The info of the model that rwkv7_model_random would make, without making it: what a published size needs and reads, for models
 * that do not fit into this machine's memory too. `path` and what else describes a file are NULL or 0.
 */
RWKV7_API enum rwkv7_status rwkv7_model_random_info(struct rwkv7_runtime *rt, const struct rwkv7_shape *shape,
                                                    const struct rwkv7_random_options *opt,
                                                    struct rwkv7_model_info *out, struct rwkv7_error *err);
RWKV7_API void rwkv7_model_close(struct rwkv7_model *model); /* after its sessions */
RWKV7_API const struct rwkv7_model_info *rwkv7_model_info(const struct rwkv7_model *model);
/*
 * Identifies what a model computes: two models have the same fingerprint if their architecture, sizes, weights, epsilons and scales are
 * the same to the bit, whatever file they came in and however the weights lie in memory. Floats of 16 bits count as the float32
 * numbers that they stand for; integers as they are, so q8 differs from the weights that it was made of.
 *
 * The first call reads all weights, with all threads of the runtime, and takes about as long as evaluating three tokens; the model then
 * remembers the value. States carry it: saving and loading a session call this. RWKV7_ERR_MEMORY.
 */
struct rwkv7_fingerprint {
    uint8_t bytes[16];
};
RWKV7_API enum rwkv7_status rwkv7_model_fingerprint(const struct rwkv7_model *model, struct rwkv7_fingerprint *out,
                                                    struct rwkv7_error *err);
/* Metadata pair `index` of the file; false past the end. The strings live as long as the model. */
RWKV7_API bool rwkv7_model_metadata(const struct rwkv7_model *model, size_t index, const char **key,
                                    const char **value);

/*
 * What a user should know of a file that was accepted, one line each: tensors that were skipped, numbers that were rounded, what was
 * taken for granted. NULL past the end; they live as long as the model.
 */
RWKV7_API const char *rwkv7_model_note(const struct rwkv7_model *model, size_t index);

struct rwkv7_convert_options {
    enum rwkv7_type type; /* of the matrices; RWKV7_TYPES: as they are stored */
    /* [vocab_size] text in the World format to put into the file; NULL: that of the checkpoint, if any */
    const char *vocab;
    size_t vocab_size;
    /*
     * Path of a LoRA file to merge, or of a folder of PEFT: X.lora_A, X.lora_B, and whole tensors that replace others; NULL: none.
     */
    const char *lora;
    float rate_scale;      /* as in struct rwkv7_model_options; kept in the metadata of the result */
    const char *lora_init; /* path of the factors before training, which PiSSA needs; NULL: none */
    double lora_alpha; /* that it was trained with; 0: as "lora_alpha" in its metadata or adapter_config.json says */
    /* Called now and then, with done <= total in bytes of the result; false ends the conversion. May be NULL. */
    bool (*progress)(void *arg, uint64_t done, uint64_t total);
    void *progress_arg;
    /* Called for each note (rwkv7_model_note) on what was read, once the file is complete. May be NULL. */
    void (*note)(void *arg, const char *text);
    void *note_arg;
};

/*
 * Writes any checkpoint that can be opened as one safetensors file, piece by piece: neither is ever in memory as a whole. `to`
 * appears when it is complete and is untouched after an error. Vectors become float32; the embedding keeps its type if the others
 * become Q8 or Q4, and the logits are then those of rwkv7_model_open with the same type. Integers are used where they lie, so
 * such a file is open at once. docs/FORMATS.md describes it. `opt` must not be NULL. RWKV7_ERR_USAGE: there is no such type, `to` is
 * one of the files that are read, or integers would be made of integers; RWKV7_ERR_MODEL: the checkpoint or the LoRA file was
 * rejected; RWKV7_ERR_VOCAB: the vocabulary was, or is not one for this model; RWKV7_ERR_STOPPED: progress said so.
 */
RWKV7_API enum rwkv7_status rwkv7_convert(struct rwkv7_runtime *rt, const char *from, const char *to,
                                          const struct rwkv7_convert_options *opt, struct rwkv7_error *err);

/* Names of published shapes, those of RWKV-7 first ("0.1b"), then older versions' ("rwkv6-1.6b"); NULL past the end. */
RWKV7_API const char *rwkv7_shape_name(size_t index);
/* The published shape of that name, in any case; false when there is none. */
RWKV7_API bool rwkv7_shape_named(const char *name, struct rwkv7_shape *out);

/* ------------------------------------------------------------------------------------------------------- checkpoint */

/* The tensors of a file that rwkv7_model_open would read, whether they make up a model or not. */
struct rwkv7_checkpoint;

struct rwkv7_tensor {
    const char *name, *type; /* "blocks.0.att.x_r", without a prefix, "BF16"; live as long as the checkpoint */
    int rank;                /* number of axes, 0 for a single number */
    const uint64_t *shape;   /* [rank], outermost first */
    uint64_t bytes;
    bool belongs; /* an RWKV-7 model has a tensor of this name, in one of the spellings, or a tuned state has */
};

RWKV7_API enum rwkv7_status rwkv7_checkpoint_open(const char *path, struct rwkv7_checkpoint **out,
                                                  struct rwkv7_error *err);
RWKV7_API void rwkv7_checkpoint_close(struct rwkv7_checkpoint *c);
RWKV7_API const char *rwkv7_checkpoint_container(const struct rwkv7_checkpoint *c); /* "PyTorch", as in model_info */
/* Tensor `index` in the order of the names; false past the end. */
RWKV7_API bool rwkv7_checkpoint_tensor(const struct rwkv7_checkpoint *c, size_t index, struct rwkv7_tensor *out);

/* ---------------------------------------------------------------------------------------------------------- session */

struct rwkv7_session;

/* A session at the start of a document (zero state). It refers to the model, which must outlive it. */
RWKV7_API enum rwkv7_status rwkv7_session_create(struct rwkv7_model *model, struct rwkv7_session **out,
                                                 struct rwkv7_error *err);
RWKV7_API void rwkv7_session_close(struct rwkv7_session *s);
RWKV7_API void rwkv7_session_reset(struct rwkv7_session *s); /* back to the start of a document */
RWKV7_API enum rwkv7_status rwkv7_session_clone(const struct rwkv7_session *s, struct rwkv7_session **out,
                                                struct rwkv7_error *err);
/* dst becomes equal to src; both of the same model. */
RWKV7_API void rwkv7_session_copy(struct rwkv7_session *dst, const struct rwkv7_session *src);
RWKV7_API const struct rwkv7_model *rwkv7_session_model(const struct rwkv7_session *s);
RWKV7_API uint64_t rwkv7_session_tokens(const struct rwkv7_session *s); /* tokens evaluated since the start */
/* The part of ffn.value that single tokens had to read, 0 .. 1, since this was asked last (see enum rwkv7_sparse). */
RWKV7_API double rwkv7_session_density(struct rwkv7_session *s);

enum rwkv7_logits {
    RWKV7_LOGITS_NONE, /* only update the state; the head is not evaluated */
    RWKV7_LOGITS_LAST, /* float[V]: after the last token */
    RWKV7_LOGITS_ALL,  /* float[count][V]: after every token */
};

/*
 * Feeds `count` tokens (ids below V) and updates the state. Many tokens at once are much faster than one by one, and in
 * exact math give the same bits. `logits` as `which` says (NULL with NONE). Takes the tokens in chunks of at most
 * RWKV7_CHUNK, each weight read once per chunk. On RWKV7_ERR_NUMERIC the message names the layer or the logits, and the
 * position; after any error the state is unspecified, but reset and copy still work. count = 0 is allowed except with LAST.
 */
#define RWKV7_CHUNK 512
RWKV7_API enum rwkv7_status rwkv7_session_eval(struct rwkv7_session *s, const uint32_t *tokens, size_t count,
                                               enum rwkv7_logits which, float *logits, struct rwkv7_error *err);

/*
 * Several sessions at once: each weight is read once for all their tokens, so that eight conversations cost little more than one. The
 * bits are those that each session would get alone.
 */
struct rwkv7_batch; /* buffers for sessions of one model */
RWKV7_API enum rwkv7_status rwkv7_batch_create(struct rwkv7_model *model, struct rwkv7_batch **out,
                                               struct rwkv7_error *err);
RWKV7_API void rwkv7_batch_close(struct rwkv7_batch *b);

/* Tokens for one session. Its error concerns no other. */
struct rwkv7_feed {
    struct rwkv7_session *session; /* of the model; each only once */
    const uint32_t *tokens;        /* [count], ids below V, at least one */
    size_t count;
    bool logits; /* those after the last token are wanted */
    struct rwkv7_error
        err; /* set: status RWKV7_OK, or RWKV7_ERR_NUMERIC, and then this session's state is unspecified */
};
/*
 * Feeds them all; no more than RWKV7_CHUNK tokens together. logits: float[n][V], n the number of feeds that want them, in the order
 * of the feeds. A failure here is one of the call (arguments, memory), and has changed no session.
 */
RWKV7_API enum rwkv7_status rwkv7_batch_eval(struct rwkv7_batch *b, struct rwkv7_feed *feeds, size_t count,
                                             float *logits, struct rwkv7_error *err);

/*
 * The state as float32 arrays in the order and orientation of the specification: att_prev [L][C], wkv [L][H][N value][N key] (RWKV-4:
 * aa, bb and pp, [L][3][C]),
 * ffn_prev [L][C]. Any pointer may be NULL.
 */
RWKV7_API void rwkv7_session_get_state(const struct rwkv7_session *s, float *att_prev, float *wkv, float *ffn_prev);
RWKV7_API void rwkv7_session_set_state(struct rwkv7_session *s, const float *att_prev, const float *wkv,
                                       const float *ffn_prev);

/* How the matrices of a tuned state are stored. They are square, so nothing but a statement tells. */
enum rwkv7_state_order {
    RWKV7_STATE_AS_STATED, /* as the metadata "time_state" of the file say: "value-key" or "key-value" */
    RWKV7_STATE_VALUE_KEY, /* [H][N value][N key]: .pth files as trained */
    RWKV7_STATE_KEY_VALUE, /* [H][N key][N value]: .st files of converters */
};

/*
 * Starts the session from a state that was trained (state tuning): the tensors `blocks.<i>.att.time_state` [H][N][N], one per
 * layer, F32, F16 or BF16, of a .pth or safetensors file, which may be a whole checkpoint; the shift vectors are zero, and no
 * token counts as evaluated. RWKV7_ERR_USAGE when the order is to be as stated and the file does not state it, RWKV7_ERR_STATE when it
 * holds something else or is of a model with other sizes; after an error the session is as before. A reset goes back to zeroes.
 */
RWKV7_API enum rwkv7_status rwkv7_session_load_tuned(struct rwkv7_session *s, const char *path,
                                                     enum rwkv7_state_order order, struct rwkv7_error *err);

/* Bytes that a program keeps beside a state, in the same file; the library does not look at them. */
struct rwkv7_note {
    void *data;
    size_t size;
};
RWKV7_API void rwkv7_note_clear(struct rwkv7_note *note); /* frees what the library has put into it */

/*
 * Writes the state, and `note` unless NULL, to a file: complete under a temporary name, then renamed. The file is for its owner only,
 * also where it replaces one that others could read.
 * RWKV7_ERR_USAGE: the path leads to a file of an open model.
 */
RWKV7_API enum rwkv7_status rwkv7_session_save(const struct rwkv7_session *s, const char *path,
                                               const struct rwkv7_note *note, struct rwkv7_error *err);
/*
 * Replaces the state by that of a file of the same model. The note goes to *note, unless NULL; give it back with
 * rwkv7_note_clear. A file that is torn, damaged or of other weights is RWKV7_ERR_STATE and changes nothing.
 */
RWKV7_API enum rwkv7_status rwkv7_session_load(struct rwkv7_session *s, const char *path, struct rwkv7_note *note,
                                               struct rwkv7_error *err);

/* -------------------------------------------------------------------------------------------------------- tokenizer */

#define RWKV7_END_OF_TEXT 0u /* the document separator, unless the vocabulary gives id 0 a text */

struct rwkv7_tokenizer;

/*
 * Reads a vocabulary of one of two kinds, which the file tells: the World format, one `ID LITERAL LENGTH` per line, or the
 * tokenizer.json of GPT-NeoX-20B (byte-level BPE), which RWKV-4 and the Pile models of later versions use.
 */
RWKV7_API enum rwkv7_status rwkv7_tokenizer_open(const char *path, struct rwkv7_tokenizer **out,
                                                 struct rwkv7_error *err);
/* The same from memory, which may be freed afterwards; `name` appears in messages. */
RWKV7_API enum rwkv7_status rwkv7_tokenizer_open_memory(const char *text, size_t size, const char *name,
                                                        struct rwkv7_tokenizer **out, struct rwkv7_error *err);
/* The vocabulary that a checkpoint holds itself, as GGUF files do; *out is NULL when it holds none. */
RWKV7_API enum rwkv7_status rwkv7_tokenizer_open_model(const char *path, struct rwkv7_tokenizer **out,
                                                       struct rwkv7_error *err);
RWKV7_API void rwkv7_tokenizer_close(struct rwkv7_tokenizer *t);
RWKV7_API uint32_t rwkv7_tokenizer_size(const struct rwkv7_tokenizer *t);        /* largest id + 1 */
RWKV7_API size_t rwkv7_tokenizer_max_length(const struct rwkv7_tokenizer *t);    /* no token has more bytes */
RWKV7_API bool rwkv7_tokenizer_has_end_of_text(const struct rwkv7_tokenizer *t); /* id 0 has no text of its own */
/* The bytes of an id, which live as long as the tokenizer; length 0 for ids without an entry. */
RWKV7_API const uint8_t *rwkv7_tokenizer_bytes(const struct rwkv7_tokenizer *t, uint32_t id, size_t *length);

/*
 * World: greedy longest match from the left. BPE: special tokens, NFC, words, merges (docs/FORMATS.md); broken UTF-8 becomes U+FFFD.
 * Writes at most `room` ids and reports how many, and how many bytes of `text` they cover. With `final` false it stops where the next token could still change with more text (fewer than max_length bytes
 * from the end), so that a long text can be fed piece by piece: keep the uncovered bytes and put the next piece behind them. With
 * `final` true and room >= size (BPE: 3 * size) all of the text is covered. BPE covers whole words as a rule, and RWKV7_ERR_VOCAB says
 * when not even one character's tokens have room (never with room for 4096). A byte that no token starts with (vocabularies without all 256
 * single bytes) is RWKV7_ERR_VOCAB.
 */
RWKV7_API enum rwkv7_status rwkv7_tokenizer_encode(const struct rwkv7_tokenizer *t, const void *text, size_t size,
                                                   bool final, uint32_t *ids, size_t room, size_t *count,
                                                   size_t *covered, struct rwkv7_error *err);

/*
 * RWKV7_OK when the vocabulary can serve a model with `model_vocab` rows: as many as it has ids, or up to 1024 more, as padding; else
 * RWKV7_ERR_VOCAB and both sizes in the message.
 */
RWKV7_API enum rwkv7_status rwkv7_tokenizer_check(const struct rwkv7_tokenizer *t, int model_vocab,
                                                  struct rwkv7_error *err);

/* --------------------------------------------------------------------------------------------------------- text out */

/*
 * Bytes of tokens in, valid UTF-8 out: holds back an incomplete character until it is completed (or shown to be broken:
 * then U+FFFD), and, when stop strings are set, every tail that could still become one, across token borders.
 */
struct rwkv7_stream;
RWKV7_API enum rwkv7_status rwkv7_stream_create(const char *const *stops, size_t stop_count, struct rwkv7_stream **out,
                                                struct rwkv7_error *err);
RWKV7_API void rwkv7_stream_close(struct rwkv7_stream *s);
/*
 * Adds bytes. *text, *length: what may be shown now (valid until the next call). *stop: index of the stop string that was
 * found (the text ends before it; later pushes give nothing), or -1. The first one to be complete wins; among those complete at
 * the same byte, the longest.
 */
RWKV7_API enum rwkv7_status rwkv7_stream_push(struct rwkv7_stream *s, const uint8_t *bytes, size_t size,
                                              const char **text, size_t *length, int *stop, struct rwkv7_error *err);
/* The bytes that are held back now, valid until the next call: pushed to a new stream with the same stop strings, they make it go on here. */
RWKV7_API const uint8_t *rwkv7_stream_held(const struct rwkv7_stream *s, size_t *size);
/* The end: what was held back. */
RWKV7_API enum rwkv7_status rwkv7_stream_finish(struct rwkv7_stream *s, const char **text, size_t *length,
                                                struct rwkv7_error *err);

/* ---------------------------------------------------------------------------------------------------------- sampler */

struct rwkv7_token_bias {
    uint32_t id;
    float bias; /* added to the logit; -INFINITY bans the token */
};

struct rwkv7_sampler_options {
    float temperature;       /* 0: greedy (the lowest id among equals) */
    float top_p;             /* keep the fewest tokens that have this probability together; 1: all, 0: the likeliest */
    int top_k;               /* 0: off */
    float min_p;             /* drop tokens less probable than min_p times the best; 0: off */
    float presence_penalty;  /* taken off the logit of every token already generated */
    float frequency_penalty; /* the same, times its decayed count */
    float penalty_decay;     /* counts are multiplied by this after every token */
    uint64_t seed;
    const struct rwkv7_token_bias *biases; /* copied by create */
    size_t bias_count;
    bool any_id; /* also draw ids that have no text in the vocabulary: rows of padding, and gaps between the ids */
};

/* temperature 1, top_p 0.85, penalties 0, decay 0.996, no bias: a neutral start. */
RWKV7_API void rwkv7_sampler_defaults(struct rwkv7_sampler_options *opt);

struct rwkv7_sampler;
/*
 * `opt` must not be NULL; `tokenizer` may be. With it, ids that have no text are never drawn (but the end of text, and unless
 * opt->any_id), and tokens whose text is a substring of " \t0123456789" are not counted for the frequency penalty, as in the author's
 * reference.
 */
RWKV7_API enum rwkv7_status rwkv7_sampler_create(const struct rwkv7_sampler_options *opt, int vocab,
                                                 const struct rwkv7_tokenizer *tokenizer, struct rwkv7_sampler **out,
                                                 struct rwkv7_error *err);
RWKV7_API void rwkv7_sampler_close(struct rwkv7_sampler *s);
/*
 * Draws the next token from logits[vocab] (not changed) and counts it for the penalties. The generator is SplitMix64
 * started with the seed; one 64-bit number per draw, none when greedy. RWKV7_ERR_NUMERIC for a NaN or +infinity, and when
 * everything is banned.
 */
RWKV7_API enum rwkv7_status rwkv7_sampler_next(struct rwkv7_sampler *s, const float *logits, uint32_t *id,
                                               struct rwkv7_error *err);
/*
 * The memory of a sampler, its generator and its counts, as bytes: another one made with the same options and vocabulary that
 * recalls them goes on as this one would. Give the note back with rwkv7_note_clear. Bytes that are no such memory are
 * RWKV7_ERR_STATE, and the sampler has then no counts.
 */
RWKV7_API enum rwkv7_status rwkv7_sampler_remember(const struct rwkv7_sampler *s, struct rwkv7_note *note,
                                                   struct rwkv7_error *err);
RWKV7_API enum rwkv7_status rwkv7_sampler_recall(struct rwkv7_sampler *s, const struct rwkv7_note *note,
                                                 struct rwkv7_error *err);

/* -------------------------------------------------------------------------------------------------------- generator */

/*
 * Continues a text, one token per call:
 *
 *     rwkv7_generator_create(session, tokenizer, NULL, &generator, &err);
 *     rwkv7_generator_feed(generator, prompt, strlen(prompt), &err);
 *     do {
 *         if (rwkv7_generator_next(generator, &step, &err) != RWKV7_OK)
 *             ...
 *         fwrite(step.text, 1, step.length, stdout);
 *     } while (step.end == RWKV7_END_NONE);
 *
 * An id that has no text in the vocabulary is never drawn, except that of the end of text, and unless sampling->any_id.
 */
struct rwkv7_generator;

/* Does a prompt begin with token 0, which separates documents in training? AUTO: at the start of a document, if the vocabulary has it. */
enum rwkv7_bos { RWKV7_BOS_AUTO, RWKV7_BOS_ALWAYS, RWKV7_BOS_NEVER };

#define RWKV7_LOGPROBS_MAX 100

/* Zeroes are the defaults: `struct rwkv7_generator_options options = {0};` */
struct rwkv7_generator_options {
    const struct rwkv7_sampler_options *sampling; /* copied; NULL: those of rwkv7_sampler_defaults */
    const char *const *stops;                     /* [stop_count] strings that end the text; copied */
    size_t stop_count;
    uint64_t max_tokens; /* 0: no limit */
    int logprobs;        /* report the so many likeliest tokens of each step, at most RWKV7_LOGPROBS_MAX; 0: none */
    enum rwkv7_bos bos;
    bool ignore_end; /* never draw the end of text */
    /*
     * The text will be saved and continued later. What the stream holds back at its end (the beginning of a stop string, half a
     * character) then stays in the generator, for rwkv7_generator_save, and does not become text. A second state is kept for this.
     */
    bool resumable;
    bool
        reseed; /* after rwkv7_generator_load, begin with the seed of `sampling`, not where the saved random numbers were */
    /*
     * Called before each step, and in a prompt before each RWKV7_CHUNK tokens, with the number of prompt tokens that are evaluated and
     * that wait for it; false cancels. May be NULL.
     */
    bool (*progress)(void *arg, uint64_t done, uint64_t waiting);
    void *progress_arg;
};

enum rwkv7_end {
    RWKV7_END_NONE,      /* the text goes on */
    RWKV7_END_STOP,      /* a stop string was found */
    RWKV7_END_TOKEN,     /* the model drew the end of text */
    RWKV7_END_LENGTH,    /* there are max_tokens tokens */
    RWKV7_END_CANCELLED, /* by rwkv7_generator_cancel or the progress callback */
};

struct rwkv7_logprob {
    uint32_t id;
    double logprob; /* natural logarithm of the probability at temperature 1, without biases and penalties */
};

/* What one step gave. */
struct rwkv7_step {
    enum rwkv7_end end;
    const char
        *text; /* [length] what may be shown now, UTF-8, perhaps nothing; no NUL follows; valid until the next call */
    size_t length;
    bool drawn;  /* there is a token; not if the text was cancelled, or was loaded in front of a stop string */
    uint32_t id; /* of the token; RWKV7_END_OF_TEXT with RWKV7_END_TOKEN */
    int stop;    /* index of the stop string that was found, else -1 */
    /* If options.logprobs > 0: that of the token, and of the likeliest, the likeliest first, of equals the lowest id. */
    double logprob;
    const struct rwkv7_logprob *top; /* [top_count]; valid until the next call */
    size_t top_count;
};

/*
 * A generator that works on the session, which stays the caller's, must outlive it, and may be cloned, copied or saved between calls.
 * The tokenizer must outlive it, too. `opt` may be NULL. The session reads a token when the next one is asked for, so after a step
 * it has not read the token of that step: see rwkv7_generator_sync. RWKV7_ERR_USAGE: an option is out of range, or a stop string is
 * empty; RWKV7_ERR_VOCAB: the vocabulary does not belong to the model.
 */
RWKV7_API enum rwkv7_status rwkv7_generator_create(struct rwkv7_session *session,
                                                   const struct rwkv7_tokenizer *tokenizer,
                                                   const struct rwkv7_generator_options *opt,
                                                   struct rwkv7_generator **out, struct rwkv7_error *err);
RWKV7_API void rwkv7_generator_close(struct rwkv7_generator *g);
/*
 * Adds text to the prompt, which may come in pieces of any size: the tokens are those of the whole. Evaluates it chunk by chunk, except for
 * its end, so memory does not grow with the prompt. RWKV7_ERR_STOPPED: cancelled; the session has then read a part of it.
 */
RWKV7_API enum rwkv7_status rwkv7_generator_feed(struct rwkv7_generator *g, const void *text, size_t size,
                                                 struct rwkv7_error *err);
/* The same with tokens, ids [count]. Text before them is complete: no token spans both. */
RWKV7_API enum rwkv7_status rwkv7_generator_feed_tokens(struct rwkv7_generator *g, const uint32_t *ids, size_t count,
                                                        struct rwkv7_error *err);
/*
 * Evaluates what the session has not read, draws a token and gives its text. Allocates nothing once the buffers exist. The session's
 * sampler counts the token, unless it is the end of text: a text that is continued behind it draws it again. RWKV7_ERR_USAGE: the
 * prompt is empty, or the text has ended; RWKV7_ERR_NUMERIC as rwkv7_session_eval and rwkv7_sampler_next.
 */
RWKV7_API enum rwkv7_status rwkv7_generator_next(struct rwkv7_generator *g, struct rwkv7_step *step,
                                                 struct rwkv7_error *err);
/*
 * Evaluates what the session has not read: the rest of the prompt, or the last token. RWKV7_ERR_STOPPED: the prompt was cancelled.
 */
RWKV7_API enum rwkv7_status rwkv7_generator_sync(struct rwkv7_generator *g, struct rwkv7_error *err);
/*
 * The text ends at the next chance: before the next token is drawn or the next RWKV7_CHUNK tokens are read. May be called from other
 * threads and from signal handlers.
 */
RWKV7_API void rwkv7_generator_cancel(struct rwkv7_generator *g);

/*
 * Saves everything that a continuation needs: the state, the logits, the sampler's memory and the bytes held back; calls
 * rwkv7_generator_sync before. A generator with the same options that loads the file and gets no prompt goes on as if there had been no
 * interruption; one that gets a prompt reads it after the state, and its sampler starts anew. Load before anything is fed. A load that fails
 * changes nothing, neither the generator nor its session.
 *
 * If the options say resumable, the state in the file is the one after exactly the text that was shown. The stop string that ended it, or bytes that
 * are held back, are kept beside the state: without a prompt they are the beginning of the text, behind a prompt they have
 * never been. The session itself has read all tokens that were drawn; who wants it without the last ones clones it before.
 */
RWKV7_API enum rwkv7_status rwkv7_generator_save(struct rwkv7_generator *g, const char *path, struct rwkv7_error *err);
RWKV7_API enum rwkv7_status rwkv7_generator_load(struct rwkv7_generator *g, const char *path, struct rwkv7_error *err);

struct rwkv7_generator_stats {
    uint64_t seed;          /* the text can be had again with it: that of the options, or where a loaded file stood */
    uint64_t prompt_tokens; /* that the session has read */
    uint64_t cached_tokens; /* of those: found in a prompt cache */
    double prompt_seconds;  /* evaluating the prompt */
    uint64_t tokens;        /* drawn, without the end of text */
    uint64_t evaluated;     /* of those */
    double seconds;         /* evaluating them */
};
RWKV7_API struct rwkv7_generator_stats rwkv7_generator_stats(const struct rwkv7_generator *g);

/* ------------------------------------------------------------------------------------------------------ conveniences */

/*
 * A file that appears under its name only when it is whole: written in the same folder, without a name where the system can do
 * that, else as rwkv7-XXXXXXXX.tmp, then synced and renamed. It replaces a file of that name, or the one that a symbolic link of that name leads to, and takes its permissions. A FIFO,
 * a device, /dev/stdout and /dev/fd/N are written directly. RWKV7_ERR_USAGE: the path leads to a file of an open model.
 */
struct rwkv7_output;
RWKV7_API enum rwkv7_status rwkv7_output_open(const char *path, struct rwkv7_output **out, struct rwkv7_error *err);
RWKV7_API enum rwkv7_status rwkv7_output_write(struct rwkv7_output *o, const void *data, size_t size,
                                               struct rwkv7_error *err);
/* The file is whole. What follows is only close. */
RWKV7_API enum rwkv7_status rwkv7_output_commit(struct rwkv7_output *o, struct rwkv7_error *err);
/* Without commit before it: as if nothing had been written. */
RWKV7_API void rwkv7_output_close(struct rwkv7_output *o);

/*
 * Files that ship with the library or were compiled in; NULL when there is none. The model is a .safetensors image for
 * rwkv7_model_open_memory, the vocabulary text for rwkv7_tokenizer_open_memory.
 */
RWKV7_API const void *rwkv7_builtin_model(size_t *size);
RWKV7_API const char *rwkv7_builtin_vocab(size_t *size);

#ifdef __cplusplus
}
#endif

#endif
