# rwkv7 serve: src/server is compiled in if libmicrohttpd is found. Without it the command prints an
# error that says so.
option(RWKV7_SERVER "Build rwkv7 serve with libmicrohttpd, if it is there" ON)
set(RWKV7_HAS_SERVER OFF)
add_library(rwkv7_http INTERFACE) # needed by everything that links the objects of the program
if(RWKV7_SERVER)
  if(PkgConfig_FOUND)
    pkg_check_modules(libmicrohttpd_PC QUIET libmicrohttpd)
  endif()
  find_path(libmicrohttpd_INCLUDE_DIR microhttpd.h
            HINTS ${libmicrohttpd_PC_INCLUDEDIR} ${libmicrohttpd_PC_INCLUDE_DIRS} ${brew_prefixes} PATH_SUFFIXES include)
  find_library(libmicrohttpd_LIBRARY NAMES microhttpd
               HINTS ${libmicrohttpd_PC_LIBRARY_DIRS} ${brew_prefixes} PATH_SUFFIXES lib)
  mark_as_advanced(libmicrohttpd_INCLUDE_DIR libmicrohttpd_LIBRARY)
  if(libmicrohttpd_INCLUDE_DIR AND libmicrohttpd_LIBRARY)
    set(RWKV7_HAS_SERVER ON)
  else()
    message(STATUS "No libmicrohttpd: rwkv7 will have no server")
  endif()
endif()

if(RWKV7_HAS_SERVER)
  set(server_files assets base64 chat chat_prompt chat_request choice choose completions constraint convert
    embeddings errors fields generation guard handler_threads handlers head http info job json_body listen
    llama_info messages messages_request metrics notify ollama ollama_info ollama_request page peers
    prefix_cache responses responses_request routes scores server session_folder session_image session_store
    session_text session_use splitter state states text tokens tool_fields worker)
  list(TRANSFORM server_files PREPEND src/server/)
  list(TRANSFORM server_files APPEND .c)
  target_sources(rwkv7_cli PRIVATE ${server_files})
  include(cmake/Assets.cmake)
  target_compile_definitions(rwkv7_http INTERFACE HAVE_MICROHTTPD)
  target_include_directories(rwkv7_http SYSTEM INTERFACE "${libmicrohttpd_INCLUDE_DIR}")
  target_link_libraries(rwkv7_http INTERFACE "${libmicrohttpd_LIBRARY}")
  if(CMAKE_SYSTEM_NAME STREQUAL Linux)
    set(RWKV7_UNIT_DIR lib/systemd/system CACHE STRING "Folder of systemd units, relative to the prefix")
    mark_as_advanced(RWKV7_UNIT_DIR)
    configure_file(packaging/rwkv7.service.in rwkv7.service @ONLY)
    install(FILES "${PROJECT_BINARY_DIR}/rwkv7.service" DESTINATION "${RWKV7_UNIT_DIR}" COMPONENT program)
  endif()
  install(FILES packaging/nginx.conf packaging/Containerfile DESTINATION "${CMAKE_INSTALL_DOCDIR}/examples" COMPONENT program)
endif()
