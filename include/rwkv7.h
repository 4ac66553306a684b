/*
 * rwkv7.h - the public interface of librwkv7, which runs RWKV language models on a CPU.
 * docs/LIBRARY.md has a complete program. docs/FORMATS.md describes the files.
 *
 * Objects
 *
 *   runtime    the threads and the SIMD kernels
 *   model      the weights; immutable once open, shared by any number of sessions
 *   session    the recurrent state: all that the model remembers of one text, a few megabytes
 *   batch      buffers for evaluating several sessions together
 *   tokenizer  converts between bytes and token ids; immutable, may be shared
 *   stream     turns the bytes of tokens into valid UTF-8 and finds stop strings
 *   sampler    chooses the next token id from logits
 *   grammar    a set of texts: JSON of a schema, a regular expression, a list of choices
 *   matcher    a position in a text of a grammar: which tokens may come next
 *   generator  continues a text token by token; combines a session, a tokenizer, a sampler and a
 *              stream
 *
 * Ownership. rwkv7_<noun>_open, _create and _clone return an object that the caller owns and frees
 * with rwkv7_<noun>_close. Closing NULL does nothing. Close objects in the reverse order: a session
 * uses its model, a model its runtime, a generator its session and its tokenizer. Pointers that a
 * function returns belong to the object unless the comment says otherwise.
 *
 * Errors. A function that can fail returns enum rwkv7_status and takes a struct rwkv7_error * as
 * its last argument. The record is written on failure only, and may be NULL. RWKV7_ERR_MEMORY is
 * possible everywhere; comments list the others. The library never prints, exits or aborts. Passing
 * NULL where the comment does not allow it is an error of the program and is not checked.
 *
 * Structs of options. Each begins with struct_size. A member that is zero has its default value, so
 * zeroed options are the defaults, and so is NULL in place of the struct.
 *
 *     struct rwkv7_model_options options = RWKV7_OPTIONS(options);    C11 and C++11
 *     options.weights = RWKV7_WEIGHTS_Q8;
 *
 *     struct rwkv7_model_options options = {.struct_size = sizeof options,   C11
 *                                           .weights = RWKV7_WEIGHTS_Q8};
 *
 * Later versions add members at the end and never change the others. The library reads struct_size
 * bytes; missing members count as zero. A larger struct, from a newer header, is accepted if all
 * bytes that this library does not know are zero. Otherwise the program uses an option that this
 * library lacks, and the call fails with RWKV7_ERR_USAGE. A struct_size of 0 means the first
 * version of the struct, which has all members of this header.
 *
 * Structs that the library returns as pointers (rwkv7_model_info, rwkv7_tensor, rwkv7_step,
 * rwkv7_generator_stats) also begin with struct_size and also grow at their end. A program that may
 * run with an older library must check RWKV7_HAS(pointer, member) before it reads a member that was
 * added later.
 *
 * All other structs never change their size. Values of enums are never reused or renumbered.
 *
 * Threads. Any thread may use any object. A session, batch, stream, sampler, matcher or generator
 * must be used by one thread at a time. A runtime, model, tokenizer or grammar may be used by
 * several threads at once; evaluations on one runtime take turns, and so do matchers of one
 * grammar. The library changes no process-wide state, except with RWKV7_MATH_BLAS.
 *
 * Callbacks. Each is called during the call it was given for, on the thread that made that call. It
 * must return normally: no longjmp, no C++ exception. It must not close what the call uses, and
 * must not fork a child that uses the library. Unless its comment says that the runtime is locked,
 * it may use other objects of the library.
 *
 * Cancelling. Every long call takes a progress callback (rwkv7_progress). When it returns false,
 * the call ends with RWKV7_ERR_STOPPED; the comment of the call says what has been done by then.
 * rwkv7_batch_eval takes none: its work is limited to RWKV7_CHUNK tokens.
 *
 * fork(). A child may use every object that its parent had opened. It starts threads of its own
 * with the first evaluation; mapped weights stay shared. A session that another thread was
 * evaluating has an incomplete state in the child: reset it or load one. No other thread may be
 * opening, converting, saving or closing during fork().
 *
 * Environment. Results do not depend on the locale (numbers use the C locale) or on the
 * floating-point environment of the calling thread (rounding mode, flush-to-zero, traps): the
 * library computes in the default environment and restores the caller's. No signal handlers are
 * installed.
 *
 * Exactness. With RWKV7_MATH_EXACT, the default, the same model and tokens give the same bits: on
 * every CPU, with any number of threads, and however the tokens are divided among calls.
 *
 * Token ids. Some ids of a model have no text: padding after the vocabulary, and gaps in it.
 * Generators never choose such an id, and neither do samplers that were created with the tokenizer.
 * A program that chooses ids from logits in another way must exclude them itself.
 *
 * Files. No function overwrites a file that is mapped at that time, such as the weights of an open
 * model, even if the path is a link to it. It fails with RWKV7_ERR_USAGE.
 */
#ifndef RWKV7_H
#define RWKV7_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
template <typename T> inline T rwkv7_options()
{
    T options = T();
    options.struct_size = sizeof options;
    return options;
}
#define RWKV7_OPTIONS(variable) rwkv7_options<decltype(variable)>()
extern "C" {
#else
/* Initializer of a struct of options: its size, and zeros. */
#define RWKV7_OPTIONS(variable)         \
    {                                   \
        .struct_size = sizeof(variable) \
    }
#endif

/* Does the struct that the library returned at `pointer` contain this member? */
#define RWKV7_HAS(pointer, member)                                                                      \
    ((size_t)((const char *)(const void *)&(pointer)->member - (const char *)(const void *)(pointer)) + \
         sizeof(pointer)->member <=                                                                     \
     (pointer)->struct_size)

#if defined(__GNUC__)
#define RWKV7_API __attribute__((visibility("default")))
#define RWKV7_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define RWKV7_API
#define RWKV7_PRINTF(fmt, args)
#endif

/* ------------------------------------------------------------------------------ errors, version */

enum rwkv7_status {
    RWKV7_OK = 0,
    RWKV7_ERR_IO = 1,      /* a file or pipe could not be read or written */
    RWKV7_ERR_MEMORY = 2,  /* out of memory */
    RWKV7_ERR_NUMERIC = 3, /* a NaN or an infinity where a finite number is needed */
    RWKV7_ERR_USAGE = 4,   /* an argument or option is invalid, or not available on this machine */
    RWKV7_ERR_MODEL = 5,   /* a model file was rejected */
    RWKV7_ERR_VOCAB = 6,   /* a vocabulary was rejected, or does not fit the model */
    RWKV7_ERR_STATE = 7,   /* a saved state was rejected, or belongs to another model */
    RWKV7_ERR_STOPPED = 8, /* cancelled by a progress callback or rwkv7_generator_cancel */
};

struct rwkv7_error {
    enum rwkv7_status status;
    char message[256]; /* one line without newline, NUL-terminated: what, where, expected, found */
};

/* A short name for messages, "memory" for RWKV7_ERR_MEMORY; "unknown" for a value out of range. */
RWKV7_API const char *rwkv7_status_name(enum rwkv7_status status);

/*
 * The version of this header. The two functions return the version of the library that the program
 * runs with, which may be newer. A program works with every library that has the same
 * RWKV7_SOVERSION and is at least as new as the header the program was compiled with.
 */
#define RWKV7_VERSION_MAJOR 0
#define RWKV7_VERSION_MINOR 1
#define RWKV7_VERSION_PATCH 0
#define RWKV7_SOVERSION 0 /* in the name of the shared library, librwkv7.so.0 */
#define RWKV7_VERSION_NUMBER (RWKV7_VERSION_MAJOR * 1000000 + RWKV7_VERSION_MINOR * 1000 + RWKV7_VERSION_PATCH)

RWKV7_API const char *rwkv7_version(void); /* "0.1.0" */
RWKV7_API int rwkv7_version_number(void);  /* RWKV7_VERSION_NUMBER of the library */

/*
 * Line `index`, from 0, of the facts about the build and the libraries in use, for --version. NULL
 * past the end. The text is valid until the next call on this thread.
 */
RWKV7_API const char *rwkv7_build_info(int index);

/* Peak resident memory of this process in bytes, mapped weights included; 0 if unknown. */
RWKV7_API uint64_t rwkv7_memory_peak(void);

/*
 * Makes text from a file (metadata, names) safe for a terminal, in place: bytes of control
 * characters, of C1 and bidirectional controls, and of invalid UTF-8 become '?'. The library's
 * messages are safe.
 */
RWKV7_API void rwkv7_text_plain(char *text);

/*
 * Progress of a long call: `done` of `total`, done <= total, in the unit that the call names.
 * Return false to cancel the call. `arg` is the pointer that was given with the callback.
 */
typedef bool rwkv7_progress(void *arg, uint64_t done, uint64_t total);

/* --------------------------------------------------------------------------------------- memory */

/*
 * A block of heap memory. If the library fills the struct, the caller frees it with
 * rwkv7_bytes_clear.
 */
struct rwkv7_bytes {
    void *data; /* [size] */
    size_t size;
};
/*
 * Frees data that the library has allocated, and zeroes the struct. Clearing a zeroed struct does
 * nothing.
 */
RWKV7_API void rwkv7_bytes_clear(struct rwkv7_bytes *bytes);

/* -------------------------------------------------------------------------------------- runtime */

enum rwkv7_math {
    /*
     * Every sum has one defined order: identical bits on every CPU and with any number of threads.
     */
    RWKV7_MATH_EXACT = 0,
    /*
     * Uses AMX tiles, if the CPU has them, for products of bfloat16 matrices with many tokens:
     * several times faster, and logits agree to about 1e-3 only. Everything else is exact.
     */
    RWKV7_MATH_FAST = 1,
    /*
     * Uses OpenBLAS for products with many tokens; logits agree to a tolerance only.
     * RWKV7_ERR_USAGE if OpenBLAS is not installed. The first runtime with this value affects the
     * whole process: it loads OpenBLAS permanently and sets it to one thread for all its users.
     * While loading, it sets OPENBLAS_NUM_THREADS=1 in the environment, which no other thread may
     * use meanwhile. If the program has already loaded OpenBLAS, the environment is not touched.
     */
    RWKV7_MATH_BLAS = 2,
};

enum rwkv7_log_level {
    RWKV7_LOG_INFO = 0, /* what was opened or started, and how */
    /* what a user should know: tensors that were skipped, fewer threads than asked for */
    RWKV7_LOG_WARNING = 1,
};

struct rwkv7_runtime;

struct rwkv7_runtime_options {
    size_t struct_size;
    /* the fastest kernels that may be used, a name of rwkv7_runtime_cpus; NULL or "": no limit */
    const char *cpu;
    int threads;          /* 0: one for each physical core that this process may use */
    enum rwkv7_math math; /* 0: RWKV7_MATH_EXACT */
    /*
     * Receives messages of one line about this runtime and what is opened with it, without newline.
     * NULL: messages are dropped. Called while runtimes are created, models opened and files
     * converted.
     */
    void (*log)(void *arg, enum rwkv7_log_level level, const char *text);
    void *log_arg; /* passed to log */
};

/*
 * Starts the threads. `opt` may be NULL. RWKV7_ERR_USAGE: the CPU does not have these kernels, the
 * number of threads is invalid, or the math is not available. RWKV7_ERR_MEMORY: the threads could
 * not be started; if options.threads is 0, fewer threads are tried first.
 */
RWKV7_API enum rwkv7_status rwkv7_runtime_create(const struct rwkv7_runtime_options *opt, struct rwkv7_runtime **out,
                                                 struct rwkv7_error *err);
RWKV7_API void rwkv7_runtime_close(struct rwkv7_runtime *rt);
RWKV7_API int rwkv7_runtime_threads(const struct rwkv7_runtime *rt);
/* the kernels in use, "avx512" */
RWKV7_API const char *rwkv7_runtime_cpu(const struct rwkv7_runtime *rt);
/*
 * The kernels that this machine supports, from slowest to fastest, "ref avx2 avx512". Valid until
 * the next call on this thread.
 */
RWKV7_API const char *rwkv7_runtime_cpus(void);

/*
 * Measures the read bandwidth in bytes per second: the threads read `bytes` bytes of newly
 * allocated memory once, each its own part. Takes about 0.1 s per GB. RWKV7_ERR_USAGE: less than a
 * page per thread.
 */
RWKV7_API enum rwkv7_status rwkv7_runtime_bandwidth(struct rwkv7_runtime *rt, size_t bytes, double *bytes_per_second,
                                                    struct rwkv7_error *err);

/* ---------------------------------------------------------------------------------------- model */

/*
 * Types of stored numbers. Q8, Q6 and Q4 are integers of 8, 6 and 4 bits with scales: 8.06, 6.13
 * and 4.31 bits per weight. GGML stands for the quantized blocks of a GGUF file, which are kept for
 * the embedding only. RWKV7_TYPES is the number of types in this header and grows with later
 * versions.
 */
enum rwkv7_type { RWKV7_F32, RWKV7_F16, RWKV7_BF16, RWKV7_Q8, RWKV7_Q4, RWKV7_Q6, RWKV7_GGML, RWKV7_TYPES };
#define RWKV7_TYPES_ROOM 32 /* RWKV7_TYPES never exceeds this */
/* "f32", "f16", "bf16", "q8", "q4", "q6", "ggml" */
RWKV7_API const char *rwkv7_type_name(enum rwkv7_type type);

/* x070a (DeepEmbed) is X070 with shape.deep above 0. */
enum rwkv7_arch {
    RWKV7_ARCH_X070, /* RWKV-7 */
    RWKV7_ARCH_X060, /* RWKV-6 */
    RWKV7_ARCH_X052, /* RWKV-5.2 */
    RWKV7_ARCH_X051, /* RWKV-5.1 */
    RWKV7_ARCH_X050, /* RWKV-5.0 */
    RWKV7_ARCH_X040  /* RWKV-4 */
};

/*
 * Sizes of a model. The letters are those of the paper; this header uses them for shapes of arrays.
 */
struct rwkv7_shape {
    int vocab;                          /* V: rows of the embedding and of the head */
    int layers;                         /* L */
    int channels;                       /* C: hidden size; heads * head_size */
    int heads, head_size;               /* H, N; 0 in RWKV-4, which has no heads */
    int ffn;                            /* F: hidden size of the channel mix */
    int rank_w, rank_a, rank_v, rank_g; /* ranks of the low-rank factors; rank_v is 0 if L is 1 */
    /* E: x070a only: each token has an E x E matrix per layer; otherwise 0 */
    int deep;
    enum rwkv7_arch arch;
    int rank_m;      /* rank of the factors of the token shift; RWKV-6 only */
    int reserved[7]; /* must be 0 */
};

struct rwkv7_model;

struct rwkv7_model_info {
    size_t struct_size;
    struct rwkv7_shape shape;
    const char *path; /* as given to open; "(random)" for rwkv7_model_random */
    /* "safetensors", "safetensors, 4 shards", "PyTorch", "GGUF", "memory" */
    const char *container;
    /* how the tensors are named: "BlinkDL (.pth orientation)", "fla / Hugging Face", ... */
    const char *naming;
    /* the prefix of all names that was stripped, such as "module."; "": none */
    const char *prefix;
    const char *architecture; /* "RWKV-7 (x070)", "RWKV-6", "RWKV-4" */
    const char *version;      /* "x070", "x070a", "x052" */
    uint64_t parameters;      /* number of parameters that are used */
    uint64_t tensors;         /* number of tensors in the file */
    /* tensors that are known and not used: layer 0's v0, v1, v2; a tuned state */
    uint64_t ignored_tensors;
    uint64_t weight_bytes; /* bytes of weights: mapped and copied */
    /* of weight_bytes: copied, because transposed, converted or misaligned */
    uint64_t copied_bytes;
    /* bytes of weights and state that are read to evaluate one token and its logits */
    uint64_t step_bytes;
    uint64_t skipped_bytes; /* of step_bytes: read only in part, see rwkv7_session_density */
    uint64_t session_bytes; /* bytes of one session's state */
    uint64_t work_bytes;    /* bytes of scratch memory, which all sessions of the runtime share */
    /* number of parameters stored in each enum rwkv7_type */
    uint64_t type_parameters[RWKV7_TYPES_ROOM];
    /* RWKV-7: factor of the in-context learning rate; otherwise 1 */
    float rate_scale;
    /* the file also holds a tuned state, see rwkv7_session_load_tuned */
    bool tuned_state;
    /* number of metadata pairs, see rwkv7_model_metadata */
    size_t metadata;
    /* from the file or tokenizer_config.json; NULL: none */
    const char *chat_template;
};

/*
 * The type of the matrices in memory. With Q4 and Q6, the head and the low-rank factors have 8
 * bits. STORED keeps the floats of a file as they are; quantized matrices of a GGUF file become Q8.
 */
enum rwkv7_weights { RWKV7_WEIGHTS_STORED, RWKV7_WEIGHTS_Q8, RWKV7_WEIGHTS_Q4, RWKV7_WEIGHTS_Q6, RWKV7_WEIGHTS_COUNT };

/*
 * The squared ReLU of a trained model leaves most hidden units at zero. If ffn.value is
 * column-major, the evaluation of a single token skips the columns of those units. The results are
 * the same.
 */
enum rwkv7_sparse {
    RWKV7_SPARSE_AUTO, /* column-major if the weights are quantized while loading */
    RWKV7_SPARSE_ON,   /* column-major; copies a quarter of the weights while loading */
    /* row-major; quantized matrices in a file of rwkv7_convert keep their layout */
    RWKV7_SPARSE_OFF
};

struct rwkv7_model_options {
    size_t struct_size;
    enum rwkv7_weights weights; /* 0: RWKV7_WEIGHTS_STORED */
    enum rwkv7_sparse sparse;   /* 0: RWKV7_SPARSE_AUTO */
    /*
     * RWKV-7: the in-context learning rate is rate_scale * sigmoid(...), at most 2. A checkpoint
     * with the extended rate (2) looks like any other, so the value must be given unless the file
     * states it ("rwkv7.rate_scale" in its metadata, which rwkv7_convert writes). 0: as the file
     * says, else 1. RWKV7_ERR_USAGE for other architectures unless it is 0 or 1.
     */
    float rate_scale;
    /* lock all weights in memory (mlock); RWKV7_ERR_MEMORY if the system does not allow it */
    bool lock;
    /*
     * May be NULL. Called while weights are transposed or quantized, in bytes of weights. If there
     * are several passes, each counts from 0. The runtime is locked: the callback must not
     * evaluate, open or convert with it.
     */
    rwkv7_progress *progress;
    void *progress_arg; /* passed to progress */
};

/*
 * Opens a checkpoint: a .safetensors, .st, .pth or .gguf file, the index.json of shards, or a
 * folder that holds one of these. The file is mapped and must not change while the model is open.
 * Weights are used in place unless their type, layout or alignment requires a copy. `opt` may be
 * NULL. RWKV7_ERR_IO, RWKV7_ERR_MODEL, RWKV7_ERR_USAGE (options), RWKV7_ERR_STOPPED (nothing is
 * open).
 */
RWKV7_API enum rwkv7_status rwkv7_model_open(struct rwkv7_runtime *rt, const char *path,
                                             const struct rwkv7_model_options *opt, struct rwkv7_model **out,
                                             struct rwkv7_error *err);

/*
 * The same for the image of a single file in memory, `data` [size]. It must outlive the model.
 * `name` stands for the path in messages.
 */
RWKV7_API enum rwkv7_status rwkv7_model_open_memory(struct rwkv7_runtime *rt, const void *data, size_t size,
                                                    const char *name, const struct rwkv7_model_options *opt,
                                                    struct rwkv7_model **out, struct rwkv7_error *err);

struct rwkv7_random_options {
    size_t struct_size;
    enum rwkv7_type type;     /* of the matrices; 0: RWKV7_F32 */
    enum rwkv7_sparse sparse; /* AUTO: column-major if ffn_density makes that faster */
    /*
     * fraction of the hidden units of the channel mix that are never zero; the others are always
     * zero. 0: random
     */
    float ffn_density;
    uint64_t seed;
};

/*
 * A model of the given shape with random weights, for benchmarks and tests. `opt` may be NULL.
 * RWKV7_ERR_USAGE: the shape or an option is invalid.
 */
RWKV7_API enum rwkv7_status rwkv7_model_random(struct rwkv7_runtime *rt, const struct rwkv7_shape *shape,
                                               const struct rwkv7_random_options *opt, struct rwkv7_model **out,
                                               struct rwkv7_error *err);
/*
 * Fills *out with the info that rwkv7_model_random would give, without making the model. Use it to
 * learn how much memory a published size needs and reads, even if it does not fit into this
 * machine. Members that describe a file are NULL or 0. out->struct_size says how much may be
 * written: begin with RWKV7_OPTIONS(info). RWKV7_ERR_USAGE: it is too small, or the shape or an
 * option is invalid.
 */
RWKV7_API enum rwkv7_status rwkv7_model_random_info(struct rwkv7_runtime *rt, const struct rwkv7_shape *shape,
                                                    const struct rwkv7_random_options *opt,
                                                    struct rwkv7_model_info *out, struct rwkv7_error *err);
/* Close the sessions and batches of the model first. */
RWKV7_API void rwkv7_model_close(struct rwkv7_model *model);
/* Valid as long as the model. */
RWKV7_API const struct rwkv7_model_info *rwkv7_model_info(const struct rwkv7_model *model);

/* Identifies what a model computes. */
struct rwkv7_fingerprint {
    uint8_t bytes[16];
};
/*
 * Two models have the same fingerprint if their architecture, sizes, weights, epsilons and scales
 * have the same bits, whatever the file format and the layout in memory. Floats of 16 bits count as
 * the float32 numbers they stand for; quantized weights differ from their originals.
 *
 * The first call reads all weights with all threads, which takes about as long as evaluating three
 * tokens; later calls return the stored value. Saving and loading a state call this function.
 */
RWKV7_API enum rwkv7_status rwkv7_model_fingerprint(const struct rwkv7_model *model, struct rwkv7_fingerprint *out,
                                                    struct rwkv7_error *err);

/* Metadata pair `index` of the file; false past the end. Valid as long as the model. */
RWKV7_API bool rwkv7_model_metadata(const struct rwkv7_model *model, size_t index, const char **key,
                                    const char **value);

/*
 * Remark `index` about a file that was accepted, one line: tensors that were skipped, numbers that
 * were rounded, values that were assumed. NULL past the end. Valid as long as the model. The log
 * receives the same lines as warnings.
 */
RWKV7_API const char *rwkv7_model_note(const struct rwkv7_model *model, size_t index);

struct rwkv7_convert_options {
    size_t struct_size;
    /* type of the matrices, a name of rwkv7_type_name except "ggml"; NULL: as stored */
    const char *type;
    /* [vocab_size] World vocabulary to store in the file; NULL: the checkpoint's, if any */
    const char *vocab;
    size_t vocab_size; /* bytes */
    const char *lora;  /* path of a LoRA file or PEFT folder to merge; NULL: none */
    /* path of the factors before training, which PiSSA needs; NULL: none */
    const char *lora_init;
    /* alpha of the training; 0: as its metadata or adapter_config.json says */
    double lora_alpha;
    /* as in struct rwkv7_model_options; stored in the metadata of the result */
    float rate_scale;
    rwkv7_progress *progress; /* may be NULL; in bytes of the result */
    void *progress_arg;       /* passed to progress */
    /* Receives remarks about the files that were read, see rwkv7_model_note. May be NULL. */
    void (*note)(void *arg, const char *text);
    void *note_arg; /* passed to note */
};

/*
 * Converts any checkpoint that rwkv7_model_open reads into one safetensors file. It works slice by
 * slice, so memory does not grow with the model. `to` is created or replaced only when the result
 * is complete; after an error or cancelling it is unchanged. Vectors become float32. The embedding
 * keeps its type if the matrices are quantized. The logits are those of rwkv7_model_open with the
 * same type. A file with quantized weights opens instantly, because they are used in place. `opt`
 * may be NULL. RWKV7_ERR_USAGE: no such type, `to` is one of the files that are read, or the
 * checkpoint is already quantized to another type. RWKV7_ERR_MODEL: the checkpoint or the LoRA file
 * was rejected. RWKV7_ERR_VOCAB: the vocabulary was rejected or does not fit. RWKV7_ERR_STOPPED:
 * cancelled.
 */
RWKV7_API enum rwkv7_status rwkv7_convert(struct rwkv7_runtime *rt, const char *from, const char *to,
                                          const struct rwkv7_convert_options *opt, struct rwkv7_error *err);

/*
 * Name `index` of a published size: those of RWKV-7 first ("0.1b"), then "rwkv6-1.6b", ...; NULL
 * past the end.
 */
RWKV7_API const char *rwkv7_shape_name(size_t index);
/* The shape of that name, in upper or lower case; false if there is none. */
RWKV7_API bool rwkv7_shape_named(const char *name, struct rwkv7_shape *out);

/* ----------------------------------------------------------------------------------- checkpoint */

/*
 * Lists the tensors of a file that rwkv7_model_open would read, whether or not they form a model.
 */
struct rwkv7_checkpoint;

struct rwkv7_tensor {
    size_t struct_size;
    const char *name;      /* without the common prefix: "blocks.0.att.x_r" */
    const char *type;      /* "BF16" */
    const uint64_t *shape; /* [rank], outermost axis first */
    int rank;              /* number of axes; 0 for a scalar */
    bool belongs;          /* a supported model, or a tuned state, has a tensor of this name */
    uint64_t bytes;
};

/* RWKV7_ERR_IO, RWKV7_ERR_MODEL. */
RWKV7_API enum rwkv7_status rwkv7_checkpoint_open(const char *path, struct rwkv7_checkpoint **out,
                                                  struct rwkv7_error *err);
RWKV7_API void rwkv7_checkpoint_close(struct rwkv7_checkpoint *c);
/* as in rwkv7_model_info */
RWKV7_API const char *rwkv7_checkpoint_container(const struct rwkv7_checkpoint *c);
/* Tensor `index` in the order of the names; NULL past the end. Valid as long as the checkpoint. */
RWKV7_API const struct rwkv7_tensor *rwkv7_checkpoint_tensor(const struct rwkv7_checkpoint *c, size_t index);

/* -------------------------------------------------------------------------------------- session */

struct rwkv7_session;

/* A session at the start of a document, with the initial state. The model must outlive it. */
RWKV7_API enum rwkv7_status rwkv7_session_create(const struct rwkv7_model *model, struct rwkv7_session **out,
                                                 struct rwkv7_error *err);
RWKV7_API void rwkv7_session_close(struct rwkv7_session *s);
RWKV7_API void rwkv7_session_reset(struct rwkv7_session *s); /* back to the start of a document */
/* A new session with the same state. The progress callback is not copied. */
RWKV7_API enum rwkv7_status rwkv7_session_clone(const struct rwkv7_session *s, struct rwkv7_session **out,
                                                struct rwkv7_error *err);
/* Copies the state. Both sessions must belong to the same model. */
RWKV7_API void rwkv7_session_copy(struct rwkv7_session *dst, const struct rwkv7_session *src);
RWKV7_API const struct rwkv7_model *rwkv7_session_model(const struct rwkv7_session *s);
/* number of tokens evaluated since the start of the document */
RWKV7_API uint64_t rwkv7_session_tokens(const struct rwkv7_session *s);
/*
 * The fraction of ffn.value, 0 to 1, that single tokens have read since the last call of this
 * function; 1 if there were no single tokens. See enum rwkv7_sparse.
 */
RWKV7_API double rwkv7_session_density(struct rwkv7_session *s);
/*
 * Sets the progress callback of rwkv7_session_eval. It is called before each chunk of RWKV7_CHUNK
 * tokens and counts the tokens of the call. NULL: none.
 */
RWKV7_API void rwkv7_session_set_progress(struct rwkv7_session *s, rwkv7_progress *progress, void *progress_arg);

/* Which logits an evaluation computes, as float arrays that the caller provides. */
enum rwkv7_logits {
    RWKV7_LOGITS_NONE, /* none; only the state is updated */
    RWKV7_LOGITS_LAST, /* [V]: after the last token */
    RWKV7_LOGITS_ALL,  /* [count][V]: after every token */
};

/*
 * Evaluates tokens [count], ids below V, and updates the state. One call with many tokens is much
 * faster than many calls with one, and with RWKV7_MATH_EXACT gives the same bits. The tokens are
 * evaluated in chunks of at most RWKV7_CHUNK; each weight is read once per chunk. `logits` may be
 * NULL with RWKV7_LOGITS_NONE. A count of 0 is allowed, except with RWKV7_LOGITS_LAST.
 * RWKV7_ERR_USAGE: an id is out of range; nothing has changed. RWKV7_ERR_STOPPED: cancelled; the
 * state is the one after rwkv7_session_tokens tokens. RWKV7_ERR_NUMERIC: a NaN or an infinity; the
 * message names the layer and the position. The state is then unspecified; reset, copy and load
 * make it valid again.
 */
#define RWKV7_CHUNK 512
RWKV7_API enum rwkv7_status rwkv7_session_eval(struct rwkv7_session *s, const uint32_t *tokens, size_t count,
                                               enum rwkv7_logits which, float *logits, struct rwkv7_error *err);

/*
 * Evaluates tokens [count], 1 to RWKV7_TRY, without updating the state: the try is open until
 * rwkv7_session_keep says how many of the tokens are kept. For speculative decoding: the cost of a
 * few tokens at once is close to that of one. logits: [count][V] after every token, the bits of
 * rwkv7_session_eval; NULL: none. The session keeps memory for the tokens of its longest try: per
 * token (n + 2) * L * C floats, with n = 5 in RWKV-7, 3 in RWKV-5 and RWKV-6, 2 in RWKV-4.
 *
 * A session with an open try cannot be evaluated, tried, cloned, saved or loaded: RWKV7_ERR_USAGE.
 * rwkv7_session_copy from it, rwkv7_session_get_state and rwkv7_session_tokens see the state before
 * the try. Closing it, resetting it, setting its state and copying to it cancel the try.
 *
 * RWKV7_ERR_USAGE: the count or an id is out of range. RWKV7_ERR_NUMERIC: a NaN or an infinity at
 * the first token; a later one is not an error, see rwkv7_session_tried. On failure, no try is open
 * and the state has not changed.
 */
#define RWKV7_TRY 64
RWKV7_API enum rwkv7_status rwkv7_session_try(struct rwkv7_session *s, const uint32_t *tokens, size_t count,
                                              float *logits, struct rwkv7_error *err);
/*
 * The tokens of the open try that can be kept: all, or those before the first NaN or infinity. 0:
 * no try is open.
 */
RWKV7_API size_t rwkv7_session_tried(const struct rwkv7_session *s);
/*
 * Closes the try. The state becomes the one after its first `count` tokens, with the bits of
 * rwkv7_session_eval; 0 cancels the try, also if none is open. RWKV7_ERR_USAGE: more than were
 * tried; the try stays open. RWKV7_ERR_NUMERIC: more than rwkv7_session_tried; nothing is kept and
 * the try is closed.
 */
RWKV7_API enum rwkv7_status rwkv7_session_keep(struct rwkv7_session *s, size_t count, struct rwkv7_error *err);
/*
 * Copies to `dst` the state that `src` would have after rwkv7_session_keep of `count` tokens. The
 * try of `src` stays open. Errors as for rwkv7_session_keep; dst is then unchanged.
 */
RWKV7_API enum rwkv7_status rwkv7_session_copy_tried(struct rwkv7_session *dst, const struct rwkv7_session *src,
                                                     size_t count, struct rwkv7_error *err);

/*
 * Evaluates several sessions of one model together: each weight is read once for all, so that eight
 * conversations cost little more than one. Each session gets the bits that it would get alone.
 */
struct rwkv7_batch;
RWKV7_API enum rwkv7_status rwkv7_batch_create(const struct rwkv7_model *model, struct rwkv7_batch **out,
                                               struct rwkv7_error *err);
RWKV7_API void rwkv7_batch_close(struct rwkv7_batch *b);

/* Tokens for one session. */
struct rwkv7_feed {
    struct rwkv7_session *session; /* each session only once per call */
    const uint32_t *tokens;        /* [count], ids below V */
    size_t count;                  /* at least 1 */
    /* compute the logits after the last token, or after every token if tentative */
    bool logits;
    /* as rwkv7_session_try: opens a try, which rwkv7_session_keep closes */
    bool tentative;
    /* set by the call: RWKV7_OK, or RWKV7_ERR_NUMERIC for this session only */
    struct rwkv7_error err;
};
/*
 * Evaluates feeds [count], at most RWKV7_CHUNK tokens in all, and at most RWKV7_TRY in a tentative
 * feed. logits: the rows [V] of the feeds that ask for them, in their order: one row each, or
 * `count` rows if tentative; may be NULL if there are none. On failure of the call
 * (RWKV7_ERR_USAGE), no session has changed and no try is open. RWKV7_ERR_NUMERIC in a feed: see
 * rwkv7_session_eval and rwkv7_session_try.
 */
RWKV7_API enum rwkv7_status rwkv7_batch_eval(struct rwkv7_batch *b, struct rwkv7_feed *feeds, size_t count,
                                             float *logits, struct rwkv7_error *err);

/*
 * Copies the state to or from float arrays: att_prev [L][C], wkv [L][H][N value][N key], ffn_prev
 * [L][C]. RWKV-4 has aa, bb and pp in place of wkv: [L][3][C]. Any pointer may be NULL.
 */
RWKV7_API void rwkv7_session_get_state(const struct rwkv7_session *s, float *att_prev, float *wkv, float *ffn_prev);
RWKV7_API void rwkv7_session_set_state(struct rwkv7_session *s, const float *att_prev, const float *wkv,
                                       const float *ffn_prev);

/* The layout of the matrices of a tuned state. They are square, so it cannot be detected. */
enum rwkv7_state_order {
    /* as the metadata "time_state" of the file says: "value-key" or "key-value" */
    RWKV7_STATE_AS_STATED,
    RWKV7_STATE_VALUE_KEY, /* [H][N value][N key]: .pth files as trained */
    RWKV7_STATE_KEY_VALUE, /* [H][N key][N value]: .st files of converters */
};

/*
 * Starts the session from a tuned state (state tuning): the tensors blocks.<i>.att.time_state
 * [H][N][N] of all layers, F32, F16 or BF16, in a .pth or safetensors file, which may be a whole
 * checkpoint. The shift vectors become zero and the number of tokens 0. rwkv7_session_reset goes
 * back to zeros, not to this state. After an error the session is unchanged. RWKV7_ERR_USAGE: the
 * order is AS_STATED and the file does not state one. RWKV7_ERR_STATE: the file has other tensors
 * or other sizes.
 */
RWKV7_API enum rwkv7_status rwkv7_session_load_tuned(struct rwkv7_session *s, const char *path,
                                                     enum rwkv7_state_order order, struct rwkv7_error *err);

/*
 * Saves the state to a file or to memory, in the same format (docs/FORMATS.md). `note` is data of
 * the program to keep with the state, at most 256 MB; NULL: none. The file is readable by its owner
 * only and appears when it is complete. RWKV7_ERR_USAGE: the path leads to a file of an open model.
 * RWKV7_ERR_IO. In memory, *image is set; the caller clears it.
 */
RWKV7_API enum rwkv7_status rwkv7_session_save(const struct rwkv7_session *s, const char *path,
                                               const struct rwkv7_bytes *note, struct rwkv7_error *err);
RWKV7_API enum rwkv7_status rwkv7_session_save_memory(const struct rwkv7_session *s, const struct rwkv7_bytes *note,
                                                      struct rwkv7_bytes *image, struct rwkv7_error *err);
/*
 * Replaces the state by a saved one of the same model, from a file or from `image` [size]. *note is
 * set to the data that was saved with it, unless note is NULL; the caller clears it.
 * RWKV7_ERR_STATE: not a state, damaged, or of another model; the session is unchanged.
 */
RWKV7_API enum rwkv7_status rwkv7_session_load(struct rwkv7_session *s, const char *path, struct rwkv7_bytes *note,
                                               struct rwkv7_error *err);
RWKV7_API enum rwkv7_status rwkv7_session_load_memory(struct rwkv7_session *s, const void *image, size_t size,
                                                      struct rwkv7_bytes *note, struct rwkv7_error *err);

/* ------------------------------------------------------------------------------------ tokenizer */

#define RWKV7_END_OF_TEXT 0u /* the document separator, unless the vocabulary gives id 0 a text */

struct rwkv7_tokenizer;

/*
 * Reads a vocabulary: the World format, one `ID LITERAL LENGTH` per line, or the tokenizer.json of
 * GPT-NeoX-20B (byte-level BPE), which RWKV-4 and the Pile models use. The format is detected from
 * the content. RWKV7_ERR_IO, RWKV7_ERR_VOCAB.
 */
RWKV7_API enum rwkv7_status rwkv7_tokenizer_open(const char *path, struct rwkv7_tokenizer **out,
                                                 struct rwkv7_error *err);
/*
 * The same from `text` [size], which may be freed afterwards. `name` stands for the path in
 * messages.
 */
RWKV7_API enum rwkv7_status rwkv7_tokenizer_open_memory(const char *text, size_t size, const char *name,
                                                        struct rwkv7_tokenizer **out, struct rwkv7_error *err);
/*
 * The vocabulary inside a checkpoint, as in GGUF files. RWKV7_OK with *out NULL if there is none.
 */
RWKV7_API enum rwkv7_status rwkv7_tokenizer_open_model(const char *path, struct rwkv7_tokenizer **out,
                                                       struct rwkv7_error *err);
RWKV7_API void rwkv7_tokenizer_close(struct rwkv7_tokenizer *t);
/* largest id + 1 */
RWKV7_API uint32_t rwkv7_tokenizer_size(const struct rwkv7_tokenizer *t);
/* bytes of the longest token */
RWKV7_API size_t rwkv7_tokenizer_max_length(const struct rwkv7_tokenizer *t);
/* id 0 has no text */
RWKV7_API bool rwkv7_tokenizer_has_end_of_text(const struct rwkv7_tokenizer *t);
/*
 * The bytes of an id, [*length], no NUL; *length is 0 without text. Valid as long as the tokenizer.
 */
RWKV7_API const uint8_t *rwkv7_tokenizer_bytes(const struct rwkv7_tokenizer *t, uint32_t id, size_t *length);

/*
 * Encodes `text` [size]. World: greedy longest match from the left. BPE: special tokens, NFC,
 * words, merges (docs/FORMATS.md); invalid UTF-8 becomes U+FFFD.
 *
 * Writes at most `room` ids, sets *count to their number and *covered to the bytes of text that
 * they stand for. With `final` true and room >= size (BPE: 3 * size), all text is covered. With
 * `final` false it stops where the next token could change with more text; the caller appends the
 * next piece to the bytes that are not covered, and the ids are those of the whole text.
 *
 * RWKV7_ERR_VOCAB: no token begins with a byte of the text; or, BPE, the next word has more than
 * `room` tokens and cannot be divided (never with room for 4096).
 */
RWKV7_API enum rwkv7_status rwkv7_tokenizer_encode(const struct rwkv7_tokenizer *t, const void *text, size_t size,
                                                   bool final, uint32_t *ids, size_t room, size_t *count,
                                                   size_t *covered, struct rwkv7_error *err);

/*
 * Does the vocabulary fit a model with `model_vocab` rows? RWKV7_OK: it has as many ids, or up to
 * 1024 fewer (padding). RWKV7_ERR_VOCAB: otherwise; the message has both sizes.
 */
RWKV7_API enum rwkv7_status rwkv7_tokenizer_check(const struct rwkv7_tokenizer *t, int model_vocab,
                                                  struct rwkv7_error *err);

/* --------------------------------------------------------------------------------------- stream */

/*
 * Bytes of tokens in, valid UTF-8 out. An incomplete character is held back until it is complete,
 * or becomes U+FFFD if it is invalid. An ending that may be the beginning of a stop string is held
 * back, too, even across tokens.
 */
struct rwkv7_stream;
/* stops: [stop_count] NUL-terminated strings, copied. RWKV7_ERR_USAGE: one is empty. */
RWKV7_API enum rwkv7_status rwkv7_stream_create(const char *const *stops, size_t stop_count, struct rwkv7_stream **out,
                                                struct rwkv7_error *err);
RWKV7_API void rwkv7_stream_close(struct rwkv7_stream *s);
/*
 * Adds `bytes` [size]. *text [*length] is the new text to show, not NUL-terminated, valid until the
 * next call. *stop is the index of the stop string that was found, or -1. The text ends before it,
 * and later calls add nothing. The stop string that is complete first is reported; of those that
 * end at the same byte, the longest.
 */
RWKV7_API enum rwkv7_status rwkv7_stream_push(struct rwkv7_stream *s, const uint8_t *bytes, size_t size,
                                              const char **text, size_t *length, int *stop, struct rwkv7_error *err);
/*
 * The bytes that are held back, [*size], valid until the next call. A new stream with the same stop
 * strings that is given these bytes first continues in the same way.
 */
RWKV7_API const uint8_t *rwkv7_stream_held(const struct rwkv7_stream *s, size_t *size);
/* Ends the text: *text [*length] is what was held back, an incomplete character as U+FFFD. */
RWKV7_API enum rwkv7_status rwkv7_stream_finish(struct rwkv7_stream *s, const char **text, size_t *length,
                                                struct rwkv7_error *err);

/* -------------------------------------------------------------------------------------- sampler */

struct rwkv7_token_bias {
    uint32_t id;
    float bias; /* added to the logit; -INFINITY bans the token */
};

/*
 * Stands for the value 0 in temperature, top_p and penalty_decay. A 0 in these members means their
 * default, which is not 0.
 */
#define RWKV7_ZERO (-1.0f)

/*
 * Applied in this order: biases and penalties, top-p, top-k and min-p at temperature 1,
 * temperature.
 */
struct rwkv7_sampler_options {
    size_t struct_size;
    /* 0: 1; RWKV7_ZERO: greedy, the most probable token, the lowest id among equals */
    float temperature;
    /*
     * keep the fewest tokens with this total probability, 0 to 1; 0: 0.85; 1: all; RWKV7_ZERO: only
     * the most probable
     */
    float top_p;
    int top_k; /* keep this many tokens; 0: all */
    /* drop tokens with less than min_p times the highest probability, 0 to 1 */
    float min_p;
    float presence_penalty;  /* subtracted from the logit of each token that was drawn before */
    float frequency_penalty; /* the same, times the decayed count of the token */
    /*
     * all counts are multiplied by it after each token; 0: 0.996; 1: no decay; RWKV7_ZERO: counts
     * last for one token
     */
    float penalty_decay;
    bool any_id; /* also draw ids that have no text in the vocabulary */
    uint64_t seed;
    const struct rwkv7_token_bias *biases; /* [bias_count], copied */
    size_t bias_count;
};

struct rwkv7_sampler;
/*
 * A sampler for logits [vocab]. `opt` and `tokenizer` may be NULL. With a tokenizer, ids without
 * text, except the end of text, are never drawn unless any_id is set. Tokens whose text is a
 * substring of " \t0123456789" are then exempt from the frequency penalty, as in the reference
 * implementation. The tokenizer may be closed afterwards. RWKV7_ERR_USAGE: an option is out of
 * range.
 */
RWKV7_API enum rwkv7_status rwkv7_sampler_create(const struct rwkv7_sampler_options *opt, int vocab,
                                                 const struct rwkv7_tokenizer *tokenizer, struct rwkv7_sampler **out,
                                                 struct rwkv7_error *err);
RWKV7_API void rwkv7_sampler_close(struct rwkv7_sampler *s);
/*
 * Draws a token from logits [vocab], which are not changed, and counts it for the penalties. The
 * random numbers are SplitMix64 from the seed: one 64-bit number per token, none if greedy.
 * RWKV7_ERR_NUMERIC: a logit is NaN or +infinity, or every token is banned.
 */
RWKV7_API enum rwkv7_status rwkv7_sampler_next(struct rwkv7_sampler *s, const float *logits, uint32_t *id,
                                               struct rwkv7_error *err);
/*
 * The same with only the tokens of `mask`, one bit for each of the first `bits` ids, as
 * rwkv7_matcher_mask returns it; others are banned before everything else. The random number is
 * drawn even if only one token is left. RWKV7_ERR_NUMERIC: no token is left.
 */
RWKV7_API enum rwkv7_status rwkv7_sampler_next_masked(struct rwkv7_sampler *s, const float *logits,
                                                      const uint64_t *mask, size_t bits, uint32_t *id,
                                                      struct rwkv7_error *err);
/*
 * Saves the counts and the position in the random numbers. A sampler with the same options and
 * vocabulary that loads them draws the same tokens. *image is set; the caller clears it.
 */
RWKV7_API enum rwkv7_status rwkv7_sampler_save_memory(const struct rwkv7_sampler *s, struct rwkv7_bytes *image,
                                                      struct rwkv7_error *err);
/*
 * RWKV7_ERR_STATE: `image` [size] was not saved by such a sampler; the counts of this one are then
 * cleared.
 */
RWKV7_API enum rwkv7_status rwkv7_sampler_load_memory(struct rwkv7_sampler *s, const void *image, size_t size,
                                                      struct rwkv7_error *err);

/* -------------------------------------------------------------------------- grammar and matcher */

/*
 * A grammar is a set of texts. A matcher reads a text token by token and knows which tokens may
 * come next: exactly those after which the text can still be completed to a text of the grammar.
 *
 *     struct rwkv7_grammar_options options = RWKV7_OPTIONS(options);
 *     options.kind = RWKV7_GRAMMAR_REGEX;
 *     options.text = "(yes|no), because [a-z ]{1,80}";
 *     rwkv7_grammar_create(&options, tokenizer, &grammar, &err);
 *     rwkv7_matcher_create(grammar, &matcher, &err);
 *     while (...) {
 *         rwkv7_matcher_mask(matcher, &mask, &allowed, &err);
 *         rwkv7_sampler_next_masked(sampler, logits, mask, rwkv7_tokenizer_size(tokenizer), &id,
 *                                   &err);
 *         if (id == RWKV7_END_OF_TEXT)
 *             break;
 *         rwkv7_matcher_advance(matcher, id, &err);
 *         ...
 *     }
 *
 * A generator does the same with rwkv7_generator_options.grammar. docs/CONSTRAINED.md describes the
 * forms.
 */
struct rwkv7_grammar;
struct rwkv7_matcher;

enum rwkv7_grammar_kind {
    RWKV7_GRAMMAR_JSON = 0,    /* any JSON object or array; `text` is not used */
    RWKV7_GRAMMAR_SCHEMA = 1,  /* JSON of the JSON Schema in `text` */
    RWKV7_GRAMMAR_GBNF = 2,    /* the grammar in `text`, in the notation of llama.cpp */
    RWKV7_GRAMMAR_REGEX = 3,   /* texts that the regular expression in `text` matches as a whole */
    RWKV7_GRAMMAR_CHOICES = 4, /* one of `choices` */
};

#define RWKV7_NO_MASK_CACHE SIZE_MAX

struct rwkv7_grammar_options {
    size_t struct_size;
    enum rwkv7_grammar_kind kind;
    /* schemas: additionalProperties is false unless the schema says otherwise */
    bool strict;
    bool compact; /* JSON: no white space between its parts */
    /*
     * schemas: the members of an object come in the order of the schema, those without a name in it
     * last. Otherwise in any order. Each named key comes at most once.
     */
    bool in_order;
    const char *text;           /* [size] */
    size_t size;                /* 0: up to the NUL that ends `text` */
    const char *const *choices; /* [choice_count] */
    size_t choice_count;
    /* memory for cached masks; 0: 32 MiB; RWKV7_NO_MASK_CACHE: no cache */
    size_t mask_bytes;
};

/*
 * Compiles a grammar for the tokens of `tokenizer`, which must outlive it. The tokenizer caches
 * recently used grammars, so creating the same one again is quick. RWKV7_ERR_USAGE: the text is
 * invalid or uses what is not supported; the message has the position (a character, a line, a JSON
 * pointer).
 */
RWKV7_API enum rwkv7_status rwkv7_grammar_create(const struct rwkv7_grammar_options *opt,
                                                 const struct rwkv7_tokenizer *tokenizer, struct rwkv7_grammar **out,
                                                 struct rwkv7_error *err);
RWKV7_API void rwkv7_grammar_close(struct rwkv7_grammar *g);

/*
 * A matcher at the start of a text. It keeps the grammar; the program may close its own first. In
 * all calls below, RWKV7_ERR_USAGE may also mean that the grammar is too ambiguous or too large for
 * this text; a call fails rather than return a wrong mask. After an error, the matcher has not
 * moved.
 */
RWKV7_API enum rwkv7_status rwkv7_matcher_create(struct rwkv7_grammar *grammar, struct rwkv7_matcher **out,
                                                 struct rwkv7_error *err);
RWKV7_API void rwkv7_matcher_close(struct rwkv7_matcher *m);
/*
 * `to` gets the position of `from`, a matcher of the same grammar. RWKV7_ERR_USAGE: of another
 * grammar.
 */
RWKV7_API enum rwkv7_status rwkv7_matcher_copy(struct rwkv7_matcher *to, const struct rwkv7_matcher *from,
                                               struct rwkv7_error *err);
RWKV7_API void rwkv7_matcher_reset(struct rwkv7_matcher *m); /* to the start */
/*
 * Adds a token. The end of text is allowed where the text may end. RWKV7_ERR_USAGE: the token is
 * not allowed here.
 */
RWKV7_API enum rwkv7_status rwkv7_matcher_advance(struct rwkv7_matcher *m, uint32_t id, struct rwkv7_error *err);
/* Removes the last `count` tokens, or all if there are fewer. */
RWKV7_API void rwkv7_matcher_undo(struct rwkv7_matcher *m, size_t count);
/* The number of tokens since the start, without the end of text. */
RWKV7_API size_t rwkv7_matcher_tokens(const struct rwkv7_matcher *m);
/* Whether the text may end here. */
RWKV7_API bool rwkv7_matcher_is_accepting(const struct rwkv7_matcher *m);
/*
 * Computes which tokens may come next: bit i % 64 of (*mask)[i / 64] is set if token i may, for all
 * ids below rwkv7_tokenizer_size. RWKV7_END_OF_TEXT is included if the text may end and the
 * vocabulary has an end of text. *allowed is the number of other tokens; 0: the text is complete.
 * The mask is valid until the next call with this matcher.
 */
RWKV7_API enum rwkv7_status rwkv7_matcher_mask(struct rwkv7_matcher *m, const uint64_t **mask, size_t *allowed,
                                               struct rwkv7_error *err);
/*
 * Writes to ids [room] the tokens that must follow, because each is the only one allowed; *count is
 * their number. The matcher does not move.
 */
RWKV7_API enum rwkv7_status rwkv7_matcher_forced(struct rwkv7_matcher *m, uint32_t *ids, size_t room, size_t *count,
                                                 struct rwkv7_error *err);

/* ------------------------------------------------------------------------------------ generator */

/*
 * Continues a text, one token per call:
 *
 *     const struct rwkv7_step *step;
 *     rwkv7_generator_create(session, tokenizer, NULL, &generator, &err);
 *     rwkv7_generator_feed(generator, prompt, strlen(prompt), &err);
 *     do {
 *         if (rwkv7_generator_next(generator, &step, &err) != RWKV7_OK)
 *             ...
 *         fwrite(step->text, 1, step->length, stdout);
 *     } while (step->end == RWKV7_END_NONE);
 */
struct rwkv7_generator;

/* Does the prompt begin with token 0, which separates documents in training? */
enum rwkv7_bos {
    RWKV7_BOS_AUTO,   /* at the start of a document, if the vocabulary has an end of text */
    RWKV7_BOS_ALWAYS, /* yes */
    RWKV7_BOS_NEVER   /* no */
};

#define RWKV7_LOGPROBS_MAX 100
#define RWKV7_SPECULATE_AUTO (-1)

struct rwkv7_generator_options {
    size_t struct_size;
    const struct rwkv7_sampler_options *sampling; /* copied; NULL: defaults */
    /* [stop_count] strings that end the text; copied */
    const char *const *stops;
    size_t stop_count;
    uint64_t max_tokens; /* 0: no limit */
    /* report this many of the most probable tokens in each step, 0 to RWKV7_LOGPROBS_MAX */
    int logprobs;
    enum rwkv7_bos bos; /* 0: RWKV7_BOS_AUTO */
    bool ignore_end;    /* never draw the end of text */
    /*
     * Set this if the text will be saved and continued. What the stream holds back at the end (the
     * beginning of a stop string, an incomplete character) then stays in the generator for
     * rwkv7_generator_save instead of becoming text. Needs memory for one more state.
     */
    bool resumable;
    /*
     * after rwkv7_generator_load: start from the seed of `sampling`, not from the saved random
     * numbers
     */
    bool reseed;
    /*
     * Called before each step and before each RWKV7_CHUNK tokens of the prompt, in tokens of the
     * prompt. May be NULL.
     */
    rwkv7_progress *progress;
    void *progress_arg; /* passed to progress */
    /*
     * Speculative decoding: guesses up to this many tokens ahead and evaluates them together with
     * the last drawn one, which costs little more. Each token is drawn as always, from the same
     * logits, so nothing in the result depends on the guesses (with RWKV7_MATH_EXACT). Guesses come
     * from the text (what followed the same tokens earlier), from the grammar (where it allows only
     * one token) and from draft_model. 0: none. At most RWKV7_TRY - 1. RWKV7_SPECULATE_AUTO:
     * chooses the number by costs measured while generating; none if guessing does not pay. Call
     * rwkv7_generator_sync before you clone, copy or save the session.
     */
    int64_t speculate;
    /*
     * A smaller model with the same vocabulary that guesses where the text gives no better guess;
     * NULL: none. RWKV7_ERR_VOCAB: it has another vocabulary size.
     */
    const struct rwkv7_model *draft_model;
    /*
     * Constrains the text to this grammar, from the first token that is drawn; NULL: any text. A
     * complete text ends with RWKV7_END_TOKEN. Stop strings and max_tokens may end it earlier. The
     * grammar must be compiled for the same tokenizer; the generator keeps it, so the program may
     * close its own. After rwkv7_generator_load, a grammar needs a prompt: it cannot continue the
     * loaded text.
     */
    struct rwkv7_grammar *grammar;
};

enum rwkv7_end {
    RWKV7_END_NONE,      /* the text continues */
    RWKV7_END_STOP,      /* a stop string was found */
    RWKV7_END_TOKEN,     /* the model drew the end of text */
    RWKV7_END_LENGTH,    /* max_tokens were drawn */
    RWKV7_END_CANCELLED, /* by rwkv7_generator_cancel or the progress callback */
};

struct rwkv7_logprob {
    uint32_t id;
    /* natural logarithm of the probability at temperature 1, without biases and penalties */
    double logprob;
};

/* The result of one step. */
struct rwkv7_step {
    size_t struct_size;
    const char *text; /* [length] new text to show, valid UTF-8, may be empty; not NUL-terminated */
    size_t length;
    enum rwkv7_end end;
    uint32_t id; /* the token, if drawn; RWKV7_END_OF_TEXT with RWKV7_END_TOKEN */
    /*
     * a token was drawn; false after cancelling, and if the loaded text ends before a stop string
     */
    bool drawn;
    int stop;       /* index of the stop string that was found, or -1 */
    double logprob; /* of the token; only if options.logprobs > 0 */
    /* [top_count] tokens, the most probable first; of equals, the lower id first */
    const struct rwkv7_logprob *top;
    size_t top_count;
};

/*
 * A generator that uses `session` and `tokenizer`, which must outlive it. `opt` may be NULL.
 * Between calls, the caller may clone, copy or save the session; with options.speculate, only after
 * rwkv7_generator_sync. The token of a step is evaluated by the next call, so after a step the
 * session has not read it yet; see rwkv7_generator_sync. RWKV7_ERR_USAGE: an option is out of
 * range, or a stop string is empty. RWKV7_ERR_VOCAB: the vocabulary does not fit the model.
 */
RWKV7_API enum rwkv7_status rwkv7_generator_create(struct rwkv7_session *session,
                                                   const struct rwkv7_tokenizer *tokenizer,
                                                   const struct rwkv7_generator_options *opt,
                                                   struct rwkv7_generator **out, struct rwkv7_error *err);
RWKV7_API void rwkv7_generator_close(struct rwkv7_generator *g);
/*
 * Adds `text` [size] to the prompt. A prompt may be divided among calls anywhere; its tokens are
 * those of the whole text. All but its end is evaluated at once, in chunks, so memory does not grow
 * with the prompt. RWKV7_ERR_STOPPED: cancelled; the session has read a part of the prompt.
 * RWKV7_ERR_VOCAB, RWKV7_ERR_NUMERIC.
 */
RWKV7_API enum rwkv7_status rwkv7_generator_feed(struct rwkv7_generator *g, const void *text, size_t size,
                                                 struct rwkv7_error *err);
/* The same with token ids [count]. RWKV7_ERR_USAGE: an id is out of range. */
RWKV7_API enum rwkv7_status rwkv7_generator_feed_tokens(struct rwkv7_generator *g, const uint32_t *ids, size_t count,
                                                        struct rwkv7_error *err);
/*
 * Evaluates the tokens that the session has not read, draws one token and returns its text. *step
 * is valid until the next call that takes the generator. Allocates nothing after the first steps,
 * unless options.speculate is set. The end of text does not count for penalties. Drawing it does
 * not advance the random numbers, so a text that is continued draws it again. RWKV7_ERR_USAGE: the
 * prompt is empty, or the text has ended. RWKV7_ERR_NUMERIC as in rwkv7_session_eval and
 * rwkv7_sampler_next. Cancelling is not an error: the step ends with RWKV7_END_CANCELLED.
 */
RWKV7_API enum rwkv7_status rwkv7_generator_next(struct rwkv7_generator *g, const struct rwkv7_step **step,
                                                 struct rwkv7_error *err);
/*
 * Evaluates what the session has not read: the rest of the prompt, or the last token.
 * RWKV7_ERR_STOPPED: cancelled.
 */
RWKV7_API enum rwkv7_status rwkv7_generator_sync(struct rwkv7_generator *g, struct rwkv7_error *err);
/*
 * Ends the text before the next token is drawn or the next RWKV7_CHUNK tokens are read. May be
 * called from other threads and from signal handlers.
 */
RWKV7_API void rwkv7_generator_cancel(struct rwkv7_generator *g);

/*
 * Saves all that is needed to continue, to a file or to memory, after rwkv7_generator_sync: the
 * state, the logits, the sampler's memory and the bytes held back. In memory, *image is set; the
 * caller clears it. Errors as for rwkv7_session_save and rwkv7_generator_sync.
 *
 * If options.resumable is set, the saved state is the one after exactly the text that was shown.
 * The stop string that ended it, or the bytes held back, are saved with it. After loading, the text
 * continues with them; if a prompt is fed first, they are dropped. The session itself has read all
 * tokens that were drawn.
 */
RWKV7_API enum rwkv7_status rwkv7_generator_save(struct rwkv7_generator *g, const char *path, struct rwkv7_error *err);
RWKV7_API enum rwkv7_status rwkv7_generator_save_memory(struct rwkv7_generator *g, struct rwkv7_bytes *image,
                                                        struct rwkv7_error *err);
/*
 * Loads what rwkv7_generator_save has saved. Call it before anything is fed. With the same options
 * and without a prompt, the text continues as if it had not been interrupted. If a prompt is fed,
 * it is read after the saved state, and the sampler starts as in a new generator. States of
 * rwkv7_session_save may be loaded too. RWKV7_ERR_STATE: see rwkv7_session_load; neither the
 * generator nor its session has changed. RWKV7_ERR_USAGE: something was fed before.
 */
RWKV7_API enum rwkv7_status rwkv7_generator_load(struct rwkv7_generator *g, const char *path, struct rwkv7_error *err);
RWKV7_API enum rwkv7_status rwkv7_generator_load_memory(struct rwkv7_generator *g, const void *image, size_t size,
                                                        struct rwkv7_error *err);

struct rwkv7_generator_stats {
    size_t struct_size;
    /* reproduces the text: the seed of the options, or the saved position in the random numbers */
    uint64_t seed;
    uint64_t prompt_tokens; /* tokens of the prompt that were evaluated */
    uint64_t cached_tokens; /* of prompt_tokens: found in a prompt cache */
    double prompt_seconds;  /* time to evaluate the prompt */
    uint64_t tokens;        /* tokens drawn, without the end of text */
    uint64_t evaluated;     /* of tokens: evaluated */
    double seconds;         /* time to evaluate them */
    uint64_t steps;         /* forward passes for them; fewer than `evaluated` with speculation */
    uint64_t drafted;       /* guessed tokens that were evaluated */
    uint64_t accepted;      /* of drafted: equal to the drawn token */
};
/* Valid until the next call that takes the generator. */
RWKV7_API const struct rwkv7_generator_stats *rwkv7_generator_stats(struct rwkv7_generator *g);

/* --------------------------------------------------------------------------------- conveniences */

/*
 * A file that appears under its name only when it is complete. It is written in the same folder,
 * without a name if the system supports that, otherwise as rwkv7-XXXXXXXX.tmp, then synced and
 * renamed. It replaces a file of that name (or the target of a symbolic link) and takes its
 * permissions. A FIFO, a device, /dev/stdout and /dev/fd/N are written directly.
 */
struct rwkv7_output;
/*
 * RWKV7_ERR_USAGE: the path leads to a file of an open model. RWKV7_ERR_IO, also in the calls
 * below.
 */
RWKV7_API enum rwkv7_status rwkv7_output_open(const char *path, struct rwkv7_output **out, struct rwkv7_error *err);
RWKV7_API enum rwkv7_status rwkv7_output_write(struct rwkv7_output *o, const void *data, size_t size,
                                               struct rwkv7_error *err);
/* Completes the file. Only rwkv7_output_close may follow. */
RWKV7_API enum rwkv7_status rwkv7_output_commit(struct rwkv7_output *o, struct rwkv7_error *err);
/* Without a commit, the file under that name stays as it was. */
RWKV7_API void rwkv7_output_close(struct rwkv7_output *o);

/*
 * The model and the vocabulary that are compiled into the library, *size bytes; NULL if there is
 * none. The model is an image for rwkv7_model_open_memory, the vocabulary a text for
 * rwkv7_tokenizer_open_memory.
 */
RWKV7_API const void *rwkv7_builtin_model(size_t *size);
RWKV7_API const char *rwkv7_builtin_vocab(size_t *size);

#ifdef __cplusplus
}
#endif

#endif
