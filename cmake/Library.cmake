# The library: librwkv7.so and librwkv7.a, made of the objects of the program. Both export only the
# functions of rwkv7.h.
#
# rwkv7::rwkv7 is the static one, or the shared one with -DBUILD_SHARED_LIBS=ON; rwkv7::static and
# rwkv7::shared always exist.
option(BUILD_SHARED_LIBS "Let rwkv7::rwkv7 mean the shared library" OFF)

# What a program must link with the static library: names for an installed tree, files for this
# build.
set(RWKV7_LINK_FLAGS "")
foreach(file ${RWKV7_LIBRARY_FILES})
  get_filename_component(folder "${file}" DIRECTORY)
  get_filename_component(name "${file}" NAME_WE)
  string(REGEX REPLACE "^lib" "" name "${name}")
  if(NOT folder IN_LIST CMAKE_C_IMPLICIT_LINK_DIRECTORIES)
    list(APPEND RWKV7_LINK_FLAGS "-L${folder}")
  endif()
  list(APPEND RWKV7_LINK_FLAGS "-l${name}")
endforeach()
foreach(name ${CMAKE_DL_LIBS})
  list(APPEND RWKV7_LINK_FLAGS "-l${name}")
endforeach()
list(APPEND RWKV7_LINK_FLAGS ${CMAKE_THREAD_LIBS_INIT} -lm)

add_library(rwkv7_shared SHARED $<TARGET_OBJECTS:rwkv7_objects>)
target_link_libraries(rwkv7_shared PRIVATE rwkv7_dependencies Threads::Threads m)
set_target_properties(rwkv7_shared PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${RWKV7_SOVERSION}
                      PUBLIC_HEADER include/rwkv7.h)

# In an archive of all objects, internal functions (fail, zip_open) would be global names, which
# could collide with names of the program that links it. The objects are therefore linked into one,
# and names hidden in the shared library become local.
if(CMAKE_OBJCOPY AND NOT APPLE)
  set(RWKV7_LOCAL_NAMES ON)
  set(single "${PROJECT_BINARY_DIR}/rwkv7_single.o")
  set(driver ${CMAKE_C_COMPILER})
  if(CMAKE_C_COMPILER_TARGET)
    list(APPEND driver "${CMAKE_C_COMPILE_OPTIONS_TARGET}${CMAKE_C_COMPILER_TARGET}")
  endif()
  if(CMAKE_C_COMPILER_EXTERNAL_TOOLCHAIN)
    list(APPEND driver "${CMAKE_C_COMPILE_OPTIONS_EXTERNAL_TOOLCHAIN}${CMAKE_C_COMPILER_EXTERNAL_TOOLCHAIN}")
  endif()
  add_custom_command(OUTPUT "${single}"
    COMMAND ${driver} -r -nostdlib -o "${single}.partial" $<TARGET_OBJECTS:rwkv7_objects>
    COMMAND ${CMAKE_OBJCOPY} --localize-hidden --remove-section=.comment "${single}.partial" "${single}"
    COMMAND ${CMAKE_COMMAND} -E rm "${single}.partial"
    DEPENDS rwkv7_objects $<TARGET_OBJECTS:rwkv7_objects>
    COMMENT "Linking the static library into one object" COMMAND_EXPAND_LISTS VERBATIM)
  set_source_files_properties("${single}" PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
  add_library(rwkv7_static STATIC "${single}")
else()
  set(RWKV7_LOCAL_NAMES OFF)
  message(STATUS "No objcopy: the static library will have internal names that are global")
  add_library(rwkv7_static STATIC $<TARGET_OBJECTS:rwkv7_objects>)
endif()
set_target_properties(rwkv7_static PROPERTIES LINKER_LANGUAGE C)
target_link_libraries(rwkv7_static INTERFACE "$<BUILD_INTERFACE:rwkv7_dependencies;Threads::Threads;m>"
                      "$<INSTALL_INTERFACE:${RWKV7_LINK_FLAGS}>")

foreach(kind shared static)
  target_include_directories(rwkv7_${kind} INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                             $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  set_target_properties(rwkv7_${kind} PROPERTIES OUTPUT_NAME rwkv7 EXPORT_NAME ${kind})
  add_library(rwkv7::${kind} ALIAS rwkv7_${kind})
endforeach()
if(BUILD_SHARED_LIBS)
  add_library(rwkv7::rwkv7 ALIAS rwkv7_shared)
else()
  add_library(rwkv7::rwkv7 ALIAS rwkv7_static)
endif()
