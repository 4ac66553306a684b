rwkv7_add_test(test_schema matcher/test_schema.c)
rwkv7_add_test(test_gbnf matcher/test_gbnf.c)
rwkv7_add_test(test_calls matcher/test_calls.c)
# Answers the scripts: schemas against texts, and random texts of schemas.
add_executable(schema_tool matcher/schema_tool.c)
target_link_libraries(schema_tool PRIVATE rwkv7_objects)
target_include_directories(schema_tool PRIVATE ${PROJECT_SOURCE_DIR}/src)
target_compile_definitions(schema_tool PRIVATE _POSIX_C_SOURCE=200809L)
target_compile_options(schema_tool PRIVATE ${RWKV7_WARNINGS})
if(NOT CMAKE_CROSSCOMPILING)
  add_test(NAME schema_judges COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/matcher/ajv_test.sh $<TARGET_FILE:schema_tool>
                                      ${CMAKE_CURRENT_BINARY_DIR}/judges)
endif()
# Times of compiling and of masks; not a test.
add_executable(bench_matcher matcher/bench_matcher.c)
target_link_libraries(bench_matcher PRIVATE rwkv7_objects)
target_include_directories(bench_matcher PRIVATE ${PROJECT_SOURCE_DIR}/src)
target_compile_definitions(bench_matcher PRIVATE _POSIX_C_SOURCE=200809L)
target_compile_options(bench_matcher PRIVATE ${RWKV7_WARNINGS})
