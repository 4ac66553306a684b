# Fuzz targets. Normally each is linked with replay.c and runs over its corpus as a test. As
# fuzzers, with clang:
#   cmake -B build-fuzz -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=RelWithDebInfo -DRWKV7_FUZZ=ON -DRWKV7_SANITIZE=ON
#   cmake --build build-fuzz --target fuzz_safetensors && mkdir found
#   export ASAN_OPTIONS=allocator_may_return_null=1:malloc_context_size=2:quarantine_size_mb=8 # short stacks and a small quarantine
#   build-fuzz/tests/fuzz_safetensors -max_len=2048 found tests/corpus/safetensors
option(RWKV7_FUZZ "Build the fuzz targets as libFuzzer programs (clang)" OFF)
if(RWKV7_FUZZ)
  set(watch -fsanitize=fuzzer-no-link -fsanitize-coverage-ignorelist=${CMAKE_CURRENT_SOURCE_DIR}/fuzz/uncounted.txt)
  target_compile_options(rwkv7_objects PRIVATE ${watch})
  target_compile_options(rwkv7_cli PRIVATE ${watch})
endif()

function(rwkv7_add_fuzz name corpus)
  add_executable(${name} fuzz/${name}.c)
  target_link_libraries(${name} PRIVATE rwkv7_objects)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_compile_definitions(${name} PRIVATE _POSIX_C_SOURCE=200809L $<$<PLATFORM_ID:Linux>:_DEFAULT_SOURCE>)
  target_compile_options(${name} PRIVATE ${RWKV7_WARNINGS})
  if(RWKV7_FUZZ)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  else()
    target_sources(${name} PRIVATE fuzz/replay.c)
    string(REPLACE "fuzz_" "" target ${name})
    set(found ${CMAKE_CURRENT_SOURCE_DIR}/corpus/found/${target}) # inputs that fuzzers found
    if(EXISTS ${found})
      list(PREPEND found --)
    else()
      set(found "")
    endif()
    add_test(NAME ${name} COMMAND ${name} ${CMAKE_CURRENT_SOURCE_DIR}/corpus/${corpus} ${found})
  endif()
endfunction()

rwkv7_add_fuzz(fuzz_safetensors safetensors)
rwkv7_add_fuzz(fuzz_vocab vocab)
rwkv7_add_fuzz(fuzz_pth pth)
rwkv7_add_fuzz(fuzz_gguf gguf)
rwkv7_add_fuzz(fuzz_model model)
# These targets read files by name, so the input is written to files in a temporary folder.
rwkv7_add_fuzz(fuzz_state state)
rwkv7_add_fuzz(fuzz_tuned tuned)
rwkv7_add_fuzz(fuzz_lora lora)
rwkv7_add_fuzz(fuzz_shards shards)
rwkv7_add_fuzz(fuzz_tokenizer_json ../neox/small.json)
rwkv7_add_fuzz(fuzz_regex regex)
rwkv7_add_fuzz(fuzz_matcher matcher)
rwkv7_add_fuzz(fuzz_stream stream)
rwkv7_add_fuzz(fuzz_sampler sampler)
rwkv7_add_fuzz(fuzz_tokenizer tokenizer)
rwkv7_add_fuzz(fuzz_tiers tiers)
rwkv7_add_fuzz(fuzz_conversation conversation)
rwkv7_add_fuzz(fuzz_schema schema)
rwkv7_add_fuzz(fuzz_batch_line batch_line)
# The command line, without main().
target_sources(fuzz_batch_line PRIVATE "$<FILTER:$<TARGET_OBJECTS:rwkv7_cli>,EXCLUDE,/main\\.c>")
target_link_libraries(fuzz_batch_line PRIVATE rwkv7_editing rwkv7_http)
# The endpoints, without the files that use libmicrohttpd.
if(RWKV7_HAS_SERVER)
  rwkv7_add_fuzz(fuzz_server_request server_request)
  target_sources(fuzz_server_request PRIVATE "$<FILTER:$<TARGET_OBJECTS:rwkv7_cli>,EXCLUDE,/main\\.c>")
  target_link_libraries(fuzz_server_request PRIVATE rwkv7_editing rwkv7_http)
endif()
