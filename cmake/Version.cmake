# Reads the version from include/rwkv7.h, its only source: RWKV7_VERSION ("0.1.0") for project(), and RWKV7_SOVERSION, the
# number in the name of the shared library, which changes with every incompatible change of the binary interface.
file(STRINGS "${CMAKE_CURRENT_LIST_DIR}/../include/rwkv7.h" lines REGEX "^#define RWKV7_(VERSION_(MAJOR|MINOR|PATCH)|SOVERSION) +[0-9]+")
foreach(part VERSION_MAJOR VERSION_MINOR VERSION_PATCH SOVERSION)
  if(NOT lines MATCHES "define RWKV7_${part} +([0-9]+)")
    message(FATAL_ERROR "include/rwkv7.h: no number in RWKV7_${part}")
  endif()
  set(RWKV7_${part} ${CMAKE_MATCH_1})
endforeach()
set(RWKV7_VERSION ${RWKV7_VERSION_MAJOR}.${RWKV7_VERSION_MINOR}.${RWKV7_VERSION_PATCH})
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${CMAKE_CURRENT_LIST_DIR}/../include/rwkv7.h")
