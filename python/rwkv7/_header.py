"""include/rwkv7.h in ctypes: enumerators, structs and functions under their names in C.

tests/python/test_header.py compares all of this with the header: sizes, offsets, values, arguments.
"""

from ctypes import (CFUNCTYPE, POINTER, Structure, c_bool, c_char, c_char_p, c_double, c_float, c_int, c_int64, c_size_t,
                    c_uint8, c_uint32, c_uint64, c_void_p)
from typing import Any, Dict, List, Tuple

CONSTANTS = {
    "RWKV7_OK": 0, "RWKV7_ERR_IO": 1, "RWKV7_ERR_MEMORY": 2, "RWKV7_ERR_NUMERIC": 3, "RWKV7_ERR_USAGE": 4,
    "RWKV7_ERR_MODEL": 5, "RWKV7_ERR_VOCAB": 6, "RWKV7_ERR_STATE": 7, "RWKV7_ERR_STOPPED": 8,
    "RWKV7_MATH_EXACT": 0, "RWKV7_MATH_FAST": 1, "RWKV7_MATH_BLAS": 2,
    "RWKV7_WEIGHTS_STORED": 0, "RWKV7_WEIGHTS_Q8": 1, "RWKV7_WEIGHTS_Q4": 2, "RWKV7_WEIGHTS_Q6": 3,
    "RWKV7_WEIGHTS_COUNT": 4,  # the names in _model.Model
    "RWKV7_SPARSE_AUTO": 0, "RWKV7_SPARSE_ON": 1, "RWKV7_SPARSE_OFF": 2,
    "RWKV7_LOGITS_NONE": 0, "RWKV7_LOGITS_LAST": 1, "RWKV7_LOGITS_ALL": 2,
    "RWKV7_STATE_AS_STATED": 0, "RWKV7_STATE_VALUE_KEY": 1, "RWKV7_STATE_KEY_VALUE": 2,
    "RWKV7_GRAMMAR_JSON": 0, "RWKV7_GRAMMAR_SCHEMA": 1, "RWKV7_GRAMMAR_GBNF": 2, "RWKV7_GRAMMAR_REGEX": 3,
    "RWKV7_GRAMMAR_CHOICES": 4,
    "RWKV7_BOS_AUTO": 0, "RWKV7_BOS_ALWAYS": 1, "RWKV7_BOS_NEVER": 2,
    "RWKV7_END_NONE": 0, "RWKV7_END_STOP": 1, "RWKV7_END_TOKEN": 2, "RWKV7_END_LENGTH": 3, "RWKV7_END_CANCELLED": 4,
    "RWKV7_SPECULATE_AUTO": -1, "RWKV7_TYPES_ROOM": 32, "RWKV7_ZERO": -1, "RWKV7_END_OF_TEXT": 0,
}
TYPES_ROOM = CONSTANTS["RWKV7_TYPES_ROOM"]

# `bool progress(void *arg, uint64_t done, uint64_t total)`. Python's function takes none of the
# arguments, which the calling conventions of 64-bit systems allow; see _native.Listener.
PROGRESS = CFUNCTYPE(c_bool)


class rwkv7_error(Structure):
    _fields_ = [("status", c_int), ("message", c_char * 256)]


class rwkv7_bytes(Structure):
    _fields_ = [("data", c_void_p), ("size", c_size_t)]


class rwkv7_runtime_options(Structure):
    _fields_ = [("struct_size", c_size_t), ("cpu", c_char_p), ("threads", c_int), ("math", c_int), ("log", c_void_p),
                ("log_arg", c_void_p)]


class rwkv7_shape(Structure):
    _fields_ = [("vocab", c_int), ("layers", c_int), ("channels", c_int), ("heads", c_int), ("head_size", c_int),
                ("ffn", c_int), ("rank_w", c_int), ("rank_a", c_int), ("rank_v", c_int), ("rank_g", c_int),
                ("deep", c_int), ("arch", c_int), ("rank_m", c_int), ("reserved", c_int * 7)]


class rwkv7_model_info(Structure):
    _fields_ = [("struct_size", c_size_t), ("shape", rwkv7_shape), ("path", c_char_p), ("container", c_char_p),
                ("naming", c_char_p), ("prefix", c_char_p), ("architecture", c_char_p), ("version", c_char_p),
                ("parameters", c_uint64), ("tensors", c_uint64), ("ignored_tensors", c_uint64),
                ("weight_bytes", c_uint64), ("copied_bytes", c_uint64), ("step_bytes", c_uint64),
                ("skipped_bytes", c_uint64), ("session_bytes", c_uint64), ("work_bytes", c_uint64),
                ("type_parameters", c_uint64 * TYPES_ROOM), ("rate_scale", c_float), ("tuned_state", c_bool),
                ("metadata", c_size_t), ("chat_template", c_char_p)]


class rwkv7_model_options(Structure):
    _fields_ = [("struct_size", c_size_t), ("weights", c_int), ("sparse", c_int), ("rate_scale", c_float),
                ("lock", c_bool), ("progress", PROGRESS), ("progress_arg", c_void_p)]


class rwkv7_fingerprint(Structure):
    _fields_ = [("bytes", c_uint8 * 16)]


class rwkv7_convert_options(Structure):
    _fields_ = [("struct_size", c_size_t), ("type", c_char_p), ("vocab", c_char_p), ("vocab_size", c_size_t),
                ("lora", c_char_p), ("lora_init", c_char_p), ("lora_alpha", c_double), ("rate_scale", c_float),
                ("progress", PROGRESS), ("progress_arg", c_void_p), ("note", c_void_p), ("note_arg", c_void_p)]


class rwkv7_feed(Structure):
    _fields_ = [("session", c_void_p), ("tokens", POINTER(c_uint32)), ("count", c_size_t), ("logits", c_bool),
                ("tentative", c_bool), ("err", rwkv7_error)]


class rwkv7_token_bias(Structure):
    _fields_ = [("id", c_uint32), ("bias", c_float)]


class rwkv7_sampler_options(Structure):
    _fields_ = [("struct_size", c_size_t), ("temperature", c_float), ("top_p", c_float), ("top_k", c_int),
                ("min_p", c_float), ("presence_penalty", c_float), ("frequency_penalty", c_float),
                ("penalty_decay", c_float), ("any_id", c_bool), ("seed", c_uint64),
                ("biases", POINTER(rwkv7_token_bias)), ("bias_count", c_size_t)]


class rwkv7_grammar_options(Structure):
    _fields_ = [("struct_size", c_size_t), ("kind", c_int), ("strict", c_bool), ("compact", c_bool),
                ("in_order", c_bool), ("text", c_char_p), ("size", c_size_t), ("choices", POINTER(c_char_p)),
                ("choice_count", c_size_t), ("mask_bytes", c_size_t)]


class rwkv7_generator_options(Structure):
    _fields_ = [("struct_size", c_size_t), ("sampling", POINTER(rwkv7_sampler_options)), ("stops", POINTER(c_char_p)),
                ("stop_count", c_size_t), ("max_tokens", c_uint64), ("logprobs", c_int), ("bos", c_int),
                ("ignore_end", c_bool), ("resumable", c_bool), ("reseed", c_bool), ("progress", PROGRESS),
                ("progress_arg", c_void_p), ("speculate", c_int64), ("draft_model", c_void_p), ("grammar", c_void_p)]


class rwkv7_logprob(Structure):
    _fields_ = [("id", c_uint32), ("logprob", c_double)]


class rwkv7_step(Structure):
    _fields_ = [("struct_size", c_size_t), ("text", c_void_p), ("length", c_size_t), ("end", c_int), ("id", c_uint32),
                ("drawn", c_bool), ("stop", c_int), ("logprob", c_double), ("top", POINTER(rwkv7_logprob)),
                ("top_count", c_size_t)]


class rwkv7_generator_stats(Structure):
    _fields_ = [("struct_size", c_size_t), ("seed", c_uint64), ("prompt_tokens", c_uint64), ("cached_tokens", c_uint64),
                ("prompt_seconds", c_double), ("tokens", c_uint64), ("evaluated", c_uint64), ("seconds", c_double),
                ("steps", c_uint64), ("drafted", c_uint64), ("accepted", c_uint64)]


STRUCTS = [value for value in list(globals().values()) if isinstance(value, type) and issubclass(value, Structure)
           and value is not Structure]

_obj = c_void_p  # an object of the library, or a buffer
_out = POINTER(c_void_p)
_err = POINTER(rwkv7_error)
_status = c_int
_size_out = POINTER(c_size_t)

# name: (result, arguments)
FUNCTIONS: Dict[str, Tuple[Any, List[Any]]] = {
    "rwkv7_version": (c_char_p, []),
    "rwkv7_version_number": (c_int, []),
    "rwkv7_build_info": (c_char_p, [c_int]),
    "rwkv7_memory_peak": (c_uint64, []),
    "rwkv7_bytes_clear": (None, [POINTER(rwkv7_bytes)]),
    "rwkv7_runtime_create": (_status, [POINTER(rwkv7_runtime_options), _out, _err]),
    "rwkv7_runtime_close": (None, [_obj]),
    "rwkv7_runtime_threads": (c_int, [_obj]),
    "rwkv7_runtime_cpu": (c_char_p, [_obj]),
    "rwkv7_runtime_cpus": (c_char_p, []),
    "rwkv7_model_open": (_status, [_obj, c_char_p, POINTER(rwkv7_model_options), _out, _err]),
    "rwkv7_model_open_memory": (_status,
                                [_obj, _obj, c_size_t, c_char_p, POINTER(rwkv7_model_options), _out, _err]),
    "rwkv7_model_close": (None, [_obj]),
    "rwkv7_model_info": (POINTER(rwkv7_model_info), [_obj]),
    "rwkv7_model_fingerprint": (_status, [_obj, POINTER(rwkv7_fingerprint), _err]),
    "rwkv7_model_metadata": (c_bool, [_obj, c_size_t, POINTER(c_char_p), POINTER(c_char_p)]),
    "rwkv7_model_note": (c_char_p, [_obj, c_size_t]),
    "rwkv7_convert": (_status, [_obj, c_char_p, c_char_p, POINTER(rwkv7_convert_options), _err]),
    "rwkv7_session_create": (_status, [_obj, _out, _err]),
    "rwkv7_session_close": (None, [_obj]),
    "rwkv7_session_reset": (None, [_obj]),
    "rwkv7_session_clone": (_status, [_obj, _out, _err]),
    "rwkv7_session_copy": (None, [_obj, _obj]),
    "rwkv7_session_tokens": (c_uint64, [_obj]),
    "rwkv7_session_set_progress": (None, [_obj, PROGRESS, c_void_p]),
    "rwkv7_session_eval": (_status, [_obj, POINTER(c_uint32), c_size_t, c_int, POINTER(c_float), _err]),
    "rwkv7_session_load_tuned": (_status, [_obj, c_char_p, c_int, _err]),
    "rwkv7_session_save": (_status, [_obj, c_char_p, POINTER(rwkv7_bytes), _err]),
    "rwkv7_session_save_memory": (_status, [_obj, POINTER(rwkv7_bytes), POINTER(rwkv7_bytes), _err]),
    "rwkv7_session_load": (_status, [_obj, c_char_p, POINTER(rwkv7_bytes), _err]),
    "rwkv7_session_load_memory": (_status, [_obj, _obj, c_size_t, POINTER(rwkv7_bytes), _err]),
    "rwkv7_session_get_state": (None, [_obj, POINTER(c_float), POINTER(c_float), POINTER(c_float)]),
    "rwkv7_session_set_state": (None, [_obj, POINTER(c_float), POINTER(c_float), POINTER(c_float)]),
    "rwkv7_batch_create": (_status, [_obj, _out, _err]),
    "rwkv7_batch_close": (None, [_obj]),
    "rwkv7_batch_eval": (_status, [_obj, POINTER(rwkv7_feed), c_size_t, POINTER(c_float), _err]),
    "rwkv7_tokenizer_open": (_status, [c_char_p, _out, _err]),
    "rwkv7_tokenizer_open_memory": (_status, [_obj, c_size_t, c_char_p, _out, _err]),
    "rwkv7_tokenizer_open_model": (_status, [c_char_p, _out, _err]),
    "rwkv7_tokenizer_close": (None, [_obj]),
    "rwkv7_tokenizer_size": (c_uint32, [_obj]),
    "rwkv7_tokenizer_has_end_of_text": (c_bool, [_obj]),
    "rwkv7_tokenizer_bytes": (c_void_p, [_obj, c_uint32, _size_out]),
    "rwkv7_tokenizer_encode": (_status, [_obj, _obj, c_size_t, c_bool, POINTER(c_uint32), c_size_t, _size_out,
                                         _size_out, _err]),
    "rwkv7_sampler_create": (_status, [POINTER(rwkv7_sampler_options), c_int, _obj, _out, _err]),
    "rwkv7_sampler_close": (None, [_obj]),
    "rwkv7_sampler_next": (_status, [_obj, POINTER(c_float), POINTER(c_uint32), _err]),
    "rwkv7_sampler_next_masked": (_status, [_obj, POINTER(c_float), POINTER(c_uint64), c_size_t, POINTER(c_uint32),
                                            _err]),
    "rwkv7_sampler_save_memory": (_status, [_obj, POINTER(rwkv7_bytes), _err]),
    "rwkv7_sampler_load_memory": (_status, [_obj, _obj, c_size_t, _err]),
    "rwkv7_grammar_create": (_status, [POINTER(rwkv7_grammar_options), _obj, _out, _err]),
    "rwkv7_grammar_close": (None, [_obj]),
    "rwkv7_matcher_create": (_status, [_obj, _out, _err]),
    "rwkv7_matcher_close": (None, [_obj]),
    "rwkv7_matcher_reset": (None, [_obj]),
    "rwkv7_matcher_advance": (_status, [_obj, c_uint32, _err]),
    "rwkv7_matcher_undo": (None, [_obj, c_size_t]),
    "rwkv7_matcher_tokens": (c_size_t, [_obj]),
    "rwkv7_matcher_is_accepting": (c_bool, [_obj]),
    "rwkv7_matcher_mask": (_status, [_obj, POINTER(POINTER(c_uint64)), _size_out, _err]),
    "rwkv7_generator_create": (_status, [_obj, _obj, POINTER(rwkv7_generator_options), _out, _err]),
    "rwkv7_generator_close": (None, [_obj]),
    "rwkv7_generator_feed": (_status, [_obj, _obj, c_size_t, _err]),
    "rwkv7_generator_feed_tokens": (_status, [_obj, POINTER(c_uint32), c_size_t, _err]),
    "rwkv7_generator_next": (_status, [_obj, POINTER(POINTER(rwkv7_step)), _err]),
    "rwkv7_generator_sync": (_status, [_obj, _err]),
    "rwkv7_generator_cancel": (None, [_obj]),
    "rwkv7_generator_save": (_status, [_obj, c_char_p, _err]),
    "rwkv7_generator_save_memory": (_status, [_obj, POINTER(rwkv7_bytes), _err]),
    "rwkv7_generator_load": (_status, [_obj, c_char_p, _err]),
    "rwkv7_generator_load_memory": (_status, [_obj, _obj, c_size_t, _err]),
    "rwkv7_generator_stats": (POINTER(rwkv7_generator_stats), [_obj]),
    "rwkv7_builtin_model": (c_void_p, [_size_out]),
    "rwkv7_builtin_vocab": (c_void_p, [_size_out]),
}
