# `cmake --build BUILD --target wheel` makes a wheel of python/ with the shared library inside.
#
# The library of a wheel differs from the installed one: it finds the libraries that it needs beside
# itself (run path $ORIGIN), and has no symbols for debuggers.
find_program(RWKV7_PYTHON3 python3)
mark_as_advanced(RWKV7_PYTHON3)
set(RWKV7_WHEEL OFF)
if(RWKV7_PYTHON3 AND CMAKE_SYSTEM_NAME STREQUAL Linux AND NOT CMAKE_CROSSCOMPILING AND NOT RWKV7_SANITIZE AND
   NOT RWKV7_SANITIZE_THREADS)
  set(RWKV7_WHEEL ON)
  add_library(rwkv7_wheel SHARED $<TARGET_OBJECTS:rwkv7_objects>)
  target_link_libraries(rwkv7_wheel PRIVATE rwkv7_dependencies Threads::Threads m)
  target_link_options(rwkv7_wheel PRIVATE -Wl,--strip-all)
  set_target_properties(rwkv7_wheel PROPERTIES OUTPUT_NAME rwkv7 SOVERSION ${RWKV7_SOVERSION}
                        INSTALL_RPATH "$ORIGIN" BUILD_WITH_INSTALL_RPATH ON
                        LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/wheel")
  if(NOT RWKV7_TESTS)
    set_target_properties(rwkv7_wheel PROPERTIES EXCLUDE_FROM_ALL ON)
  endif()
  add_custom_target(wheel COMMAND ${RWKV7_PYTHON3} "${PROJECT_SOURCE_DIR}/scripts/wheel.py" $<TARGET_FILE:rwkv7_wheel>
                                  "${PROJECT_BINARY_DIR}" VERBATIM)
endif()
