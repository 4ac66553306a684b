# The program itself, through real pipes: one test per file of cases. Cross-built programs run in their emulator.
foreach(cases cli_batch cli_bench cli_chat cli_completions cli_config cli_constraint cli_convert cli_demo cli_eval cli_gguf cli_input cli_logits cli_models cli_options cli_output cli_overwrite cli_pipes cli_pth cli_pull cli_run cli_speculate cli_state cli_terminal cli_tokenize cli_tools cli_tuned)
  add_test(NAME ${cases} COMMAND sh ${CMAKE_CURRENT_SOURCE_DIR}/cli/cli.sh ${cases}
                                 ${CMAKE_CROSSCOMPILING_EMULATOR} $<TARGET_FILE:rwkv7_cli>)
endforeach()
if(CMAKE_SYSTEM_NAME STREQUAL Linux AND NOT CMAKE_CROSSCOMPILING)
  foreach(preloaded last_writer early_signal)
    add_library(${preloaded} MODULE ${CMAKE_CURRENT_SOURCE_DIR}/cli/${preloaded}.c)
    set_target_properties(${preloaded} PROPERTIES C_VISIBILITY_PRESET default)
    target_compile_options(${preloaded} PRIVATE ${RWKV7_WARNINGS})
    target_link_libraries(${preloaded} PRIVATE ${CMAKE_DL_LIBS})
  endforeach()
  set_tests_properties(cli_batch PROPERTIES ENVIRONMENT LAST_WRITER=$<TARGET_FILE:last_writer>)
  set_tests_properties(cli_pipes PROPERTIES ENVIRONMENT EARLY_SIGNAL=$<TARGET_FILE:early_signal>)
endif()
set_tests_properties(cli_pipes cli_run PROPERTIES COST 50) # long tests; start them first

# The programs of examples/, which use nothing but the public header.
foreach(example story fields)
  add_executable(example_${example} ${PROJECT_SOURCE_DIR}/examples/${example}.c)
  target_compile_options(example_${example} PRIVATE ${RWKV7_WARNINGS})
  target_link_libraries(example_${example} PRIVATE rwkv7::rwkv7)
  add_test(NAME example_${example} COMMAND sh ${CMAKE_CURRENT_SOURCE_DIR}/cli/example_test.sh ${example}
                                           ${CMAKE_CROSSCOMPILING_EMULATOR} $<TARGET_FILE:example_${example}>)
endforeach()

# scripts/build.sh on systems without some tools.
add_test(NAME build_script COMMAND sh ${CMAKE_CURRENT_SOURCE_DIR}/cli/build_test.sh ${PROJECT_SOURCE_DIR}/scripts)

# scripts/compare.sh, with stubs for both programs.
add_test(NAME compare COMMAND sh ${CMAKE_CURRENT_SOURCE_DIR}/cli/compare_test.sh
                              ${PROJECT_SOURCE_DIR}/scripts/compare.sh)

# Downloads, from a server on loopback.
add_test(NAME get_model COMMAND sh ${CMAKE_CURRENT_SOURCE_DIR}/cli/get_model_test.sh
                                ${PROJECT_SOURCE_DIR}/scripts/get-model.sh)

# The trainer of the model that ships.
add_test(NAME train COMMAND sh ${CMAKE_CURRENT_SOURCE_DIR}/cli/train_test.sh ${PROJECT_SOURCE_DIR}/scripts/train)
