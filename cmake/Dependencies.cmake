# The libraries that the program needs, as the system installs them: cJSON (cjson/cJSON.h) and utf8proc (utf8proc.h).
# pkg-config is asked first, because it knows prefixes set by the user, then the folders of Debian,
# Fedora and Homebrew are searched. One message reports all missing libraries with the command that
# installs them.
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
            HINTS ${${name}_PC_INCLUDEDIR} ${${name}_PC_INCLUDE_DIRS} ${brew_prefixes} PATH_SUFFIXES include)
  find_library(${name}_LIBRARY NAMES ${ARGN}
               HINTS ${${name}_PC_LIBRARY_DIRS} ${brew_prefixes} PATH_SUFFIXES lib)
  mark_as_advanced(${name}_INCLUDE_DIR ${name}_LIBRARY)
  if(${name}_INCLUDE_DIR AND ${name}_LIBRARY)
    target_include_directories(rwkv7_dependencies SYSTEM INTERFACE "${${name}_INCLUDE_DIR}")
    target_link_libraries(rwkv7_dependencies INTERFACE "${${name}_LIBRARY}")
    set(RWKV7_LIBRARY_FILES ${RWKV7_LIBRARY_FILES} "${${name}_LIBRARY}" PARENT_SCOPE)
  else()
    set(RWKV7_MISSING ${RWKV7_MISSING} "${name} (${header})" PARENT_SCOPE)
  endif()
endfunction()

rwkv7_find_library(cJSON libcjson cjson/cJSON.h cjson)
rwkv7_find_library(utf8proc libutf8proc utf8proc.h utf8proc)

if(RWKV7_MISSING)
  list(JOIN RWKV7_MISSING ", " missing)
  message(FATAL_ERROR "Not found: ${missing}\nInstall with one of\n"
    "  apt-get install libcjson-dev libutf8proc-dev\n"
    "  dnf install cjson-devel utf8proc-devel\n"
    "  brew install cjson utf8proc\n"
    "or name their prefixes in CMAKE_PREFIX_PATH.")
endif()

# libedit is used by the program only; without it, `rwkv7 chat` has no line editing.
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

# OpenBLAS is opened at run time, only for --math blas (src/kernels/gemm_blas.c). What is found here
# is only shown by --version.
set(RWKV7_OPENBLAS "not found at build time")
if(PkgConfig_FOUND)
  pkg_check_modules(OpenBLAS_PC QUIET openblas)
endif()
find_path(OpenBLAS_INCLUDE_DIR openblas_config.h
          HINTS ${OpenBLAS_PC_INCLUDEDIR} ${OpenBLAS_PC_INCLUDE_DIRS} ${brew_prefixes}
          PATH_SUFFIXES include openblas openblas-pthread)
mark_as_advanced(OpenBLAS_INCLUDE_DIR)
if(OpenBLAS_INCLUDE_DIR)
  file(STRINGS "${OpenBLAS_INCLUDE_DIR}/openblas_config.h" version REGEX "define OPENBLAS_VERSION")
  if(version MATCHES "([0-9]+\\.[0-9.]*[0-9])")
    set(RWKV7_OPENBLAS "found at build time: ${CMAKE_MATCH_1}")
  endif()
endif()
target_link_libraries(rwkv7_dependencies INTERFACE ${CMAKE_DL_LIBS})
