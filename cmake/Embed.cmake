# Compiles in a model, a vocabulary, the version and facts about the build.
#
# The two files are included with the assembler's .incbin: a C array of some megabytes takes a
# compiler minutes and gigabytes, and `ld -r -b binary` supports neither alignment nor Mach-O. A
# missing file becomes an empty region.
set(demo_model "${PROJECT_SOURCE_DIR}/models/rwkv7-demo.safetensors")
set(demo_vocab "${PROJECT_SOURCE_DIR}/models/rwkv7-demo.vocab.txt")
set(demo_default OFF)
if(EXISTS "${demo_model}" AND EXISTS "${demo_vocab}")
  set(demo_default ON)
endif()
option(RWKV7_EMBED_DEMO "Compile in the demo model of models/ and its vocabulary" ${demo_default})
set(RWKV7_EMBED_MODEL "" CACHE FILEPATH "Model file (.safetensors) to compile in instead of the demo")
set(RWKV7_EMBED_VOCAB "" CACHE FILEPATH "Vocabulary file to compile in instead of the demo's")

set(embed_model "${RWKV7_EMBED_MODEL}")
set(embed_vocab "${RWKV7_EMBED_VOCAB}")
if(RWKV7_EMBED_DEMO AND NOT embed_model)
  set(embed_model "${demo_model}")
  if(NOT embed_vocab)
    set(embed_vocab "${demo_vocab}")
  endif()
endif()

enable_language(ASM)
set(embed_dependencies "")
foreach(what model vocab)
  set(embed_${what}_incbin "")
  if(embed_${what})
    get_filename_component(file "${embed_${what}}" REALPATH BASE_DIR "${PROJECT_SOURCE_DIR}")
    if(NOT EXISTS "${file}" OR IS_DIRECTORY "${file}")
      message(FATAL_ERROR "The file to compile in does not exist: ${file}")
    endif()
    list(APPEND embed_dependencies "${file}")
    string(REGEX REPLACE "([\\\"])" "\\\\\\1" file "${file}")
    set(embed_${what}_incbin ".incbin \"${file}\"")
  endif()
endforeach()
configure_file(cmake/embed.S.in embed.S @ONLY)
set_source_files_properties("${PROJECT_BINARY_DIR}/embed.S" PROPERTIES OBJECT_DEPENDS "${embed_dependencies}")

configure_file(cmake/build_config.h.in build_config.h @ONLY)
target_sources(rwkv7_objects PRIVATE "${PROJECT_BINARY_DIR}/embed.S" src/engine/build_info.c src/engine/builtin.c)
target_include_directories(rwkv7_objects PRIVATE "${PROJECT_BINARY_DIR}")
