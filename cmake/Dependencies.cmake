# The installed libraries that the program stands on: OpenBLAS (cblas.h), cJSON (cjson/cJSON.h), utf8proc (utf8proc.h).
# pkg-config is asked first, as it knows a user's own prefixes; then the places where Debian, Fedora and Homebrew put them.
# Everything that is missing is reported in one message, with the command that installs it.
find_package(PkgConfig QUIET)

set(brew_prefixes "") # Homebrew keeps OpenBLAS out of its common folders
if(APPLE)
  foreach(formula openblas cjson utf8proc)
    execute_process(COMMAND brew --prefix ${formula} OUTPUT_VARIABLE prefix OUTPUT_STRIP_TRAILING_WHITESPACE
                    ERROR_QUIET RESULT_VARIABLE failed)
    if(NOT failed)
      list(APPEND brew_prefixes ${prefix})
    endif()
  endforeach()
endif()

add_library(rwkv7_dependencies INTERFACE)
set(RWKV7_MISSING "")
set(RWKV7_LIBRARY_FILES "") # for rwkv7.pc

# rwkv7_find_library(NAME PKG_CONFIG_NAME HEADER LIBRARY_NAMES...): adds one library or notes that it is missing.
function(rwkv7_find_library name module header)
  if(PkgConfig_FOUND)
    pkg_check_modules(${name}_PC QUIET ${module})
  endif()
  find_path(${name}_INCLUDE_DIR ${header}
            HINTS ${${name}_PC_INCLUDEDIR} ${${name}_PC_INCLUDE_DIRS} ${brew_prefixes} PATH_SUFFIXES include openblas openblas-pthread)
  find_library(${name}_LIBRARY NAMES ${ARGN}
               HINTS ${${name}_PC_LIBRARY_DIRS} ${brew_prefixes} PATH_SUFFIXES lib openblas-pthread)
  mark_as_advanced(${name}_INCLUDE_DIR ${name}_LIBRARY)
  if(${name}_INCLUDE_DIR AND ${name}_LIBRARY)
    target_include_directories(rwkv7_dependencies SYSTEM INTERFACE "${${name}_INCLUDE_DIR}")
    target_link_libraries(rwkv7_dependencies INTERFACE "${${name}_LIBRARY}")
    set(RWKV7_LIBRARY_FILES ${RWKV7_LIBRARY_FILES} "${${name}_LIBRARY}" PARENT_SCOPE)
  else()
    set(RWKV7_MISSING ${RWKV7_MISSING} "${name} (${header})" PARENT_SCOPE)
  endif()
endfunction()

rwkv7_find_library(OpenBLAS openblas cblas.h openblasp openblas) # where both exist, the one that threads may share
rwkv7_find_library(cJSON libcjson cjson/cJSON.h cjson)
rwkv7_find_library(utf8proc libutf8proc utf8proc.h utf8proc)

if(RWKV7_MISSING)
  list(JOIN RWKV7_MISSING ", " missing)
  message(FATAL_ERROR "Not found: ${missing}\nInstall with one of\n"
    "  apt-get install libopenblas-dev libcjson-dev libutf8proc-dev\n"
    "  dnf install openblas-devel cjson-devel utf8proc-devel\n"
    "  brew install openblas cjson utf8proc\n"
    "or name their prefixes in CMAKE_PREFIX_PATH.")
endif()

# libedit, for the program only: without it, `rwkv7 chat` reads plain lines.
option(RWKV7_LIBEDIT "Edit lines in rwkv7 chat with libedit, if it is there" ON)
add_library(rwkv7_editing INTERFACE)
if(RWKV7_LIBEDIT)
  if(PkgConfig_FOUND)
    pkg_check_modules(libedit_PC QUIET libedit)
  endif()
  find_path(libedit_INCLUDE_DIR histedit.h HINTS ${libedit_PC_INCLUDEDIR} ${libedit_PC_INCLUDE_DIRS})
  find_library(libedit_LIBRARY NAMES edit HINTS ${libedit_PC_LIBRARY_DIRS})
  mark_as_advanced(libedit_INCLUDE_DIR libedit_LIBRARY)
  if(libedit_INCLUDE_DIR AND libedit_LIBRARY)
    target_include_directories(rwkv7_editing SYSTEM INTERFACE "${libedit_INCLUDE_DIR}")
    target_link_libraries(rwkv7_editing INTERFACE "${libedit_LIBRARY}")
    target_compile_definitions(rwkv7_editing INTERFACE HAVE_LIBEDIT)
  else()
    message(STATUS "No libedit: rwkv7 chat will read plain lines")
  endif()
endif()

# Another BLAS with a cblas.h may stand in for OpenBLAS; it lacks the calls that are OpenBLAS's own.
include(CheckSymbolExists)
set(CMAKE_REQUIRED_INCLUDES "${OpenBLAS_INCLUDE_DIR}")
set(CMAKE_REQUIRED_LIBRARIES "${OpenBLAS_LIBRARY}")
check_symbol_exists(openblas_set_num_threads cblas.h HAVE_OPENBLAS_SET_NUM_THREADS)
unset(CMAKE_REQUIRED_INCLUDES)
unset(CMAKE_REQUIRED_LIBRARIES)
if(HAVE_OPENBLAS_SET_NUM_THREADS)
  target_compile_definitions(rwkv7_dependencies INTERFACE HAVE_OPENBLAS_SET_NUM_THREADS)
endif()
