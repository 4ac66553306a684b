# The library as other programs see it: its names, its header in C++, and the installed files.
if(CMAKE_NM AND RWKV7_LOCAL_NAMES)
  add_test(NAME library_names COMMAND sh ${CMAKE_CURRENT_SOURCE_DIR}/library/names_test.sh ${CMAKE_NM}
                                      ${PROJECT_SOURCE_DIR}/include/rwkv7.h $<TARGET_FILE:rwkv7_static>
                                      $<TARGET_FILE:rwkv7_shared>)
  add_executable(library_own_names library/names.c)
  target_link_libraries(library_own_names PRIVATE rwkv7::static)
  add_test(NAME library_own_names COMMAND library_own_names)
else()
  message(STATUS "SKIP: library_names and library_own_names, for want of nm or objcopy")
endif()

# Only this test needs a C++ compiler, so the language is not enabled.
find_program(RWKV7_CXX NAMES g++ clang++)
mark_as_advanced(RWKV7_CXX)
if(RWKV7_CXX)
  add_test(NAME library_cxx COMMAND ${RWKV7_CXX} -std=c++11 -Wall -Wextra -Wpedantic -Wold-style-cast -Werror -c
                                    -I ${PROJECT_SOURCE_DIR}/include -o library_cxx.o
                                    ${CMAKE_CURRENT_SOURCE_DIR}/library/header.cpp)
else()
  message(STATUS "SKIP: library_cxx, for want of g++ and clang++")
endif()

if(CMAKE_CROSSCOMPILING OR RWKV7_SANITIZE OR RWKV7_SANITIZE_THREADS OR APPLE)
  message(STATUS "SKIP: library_install, which is for native builds without sanitizers")
else()
  add_test(NAME library_install COMMAND sh ${CMAKE_CURRENT_SOURCE_DIR}/library/install_test.sh ${PROJECT_BINARY_DIR}
                                        ${CMAKE_COMMAND} ${CMAKE_C_COMPILER} ${CMAKE_CURRENT_SOURCE_DIR})
endif()
