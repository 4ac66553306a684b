# The pages: the commands they show are run, and what they link to exists.
find_program(RWKV7_PYTHON3 python3)
mark_as_advanced(RWKV7_PYTHON3)
if(NOT RWKV7_PYTHON3)
  add_test(NAME docs_commands COMMAND ${CMAKE_COMMAND} -E echo "SKIP: no python3")
elseif(CMAKE_CROSSCOMPILING_EMULATOR)
  add_test(NAME docs_commands COMMAND ${CMAKE_COMMAND} -E echo "SKIP: minutes in an emulator, and the same on every CPU")
else()
  add_test(NAME docs_commands COMMAND ${RWKV7_PYTHON3} -B ${CMAKE_CURRENT_SOURCE_DIR}/docs/commands.py
                                      ${PROJECT_SOURCE_DIR} $<TARGET_FILE:rwkv7_cli>)
  add_test(NAME docs_session COMMAND ${RWKV7_PYTHON3} -B ${PROJECT_SOURCE_DIR}/scripts/session_svg.py --check
                                     $<TARGET_FILE:rwkv7_cli>)
endif()
if(RWKV7_PYTHON3)
  add_test(NAME docs_links COMMAND ${RWKV7_PYTHON3} -B ${CMAKE_CURRENT_SOURCE_DIR}/docs/links.py ${PROJECT_SOURCE_DIR})
endif()
