# cmake --install: program, library, header, rwkv7.pc, man page, the models that ship.
install(TARGETS rwkv7_cli RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
install(TARGETS rwkv7
        ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}" LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
        PUBLIC_HEADER DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(FILES docs/rwkv7.1 DESTINATION "${CMAKE_INSTALL_MANDIR}/man1")
install(DIRECTORY models/ DESTINATION "${CMAKE_INSTALL_DATADIR}/rwkv7")

# A program that links the shared library from its prefix finds it there, whatever the prefix is.
if(BUILD_SHARED_LIBS)
  file(RELATIVE_PATH to_lib "${CMAKE_INSTALL_FULL_BINDIR}" "${CMAKE_INSTALL_FULL_LIBDIR}")
  if(APPLE)
    set_target_properties(rwkv7_cli PROPERTIES INSTALL_RPATH "@loader_path/${to_lib}")
  else()
    set_target_properties(rwkv7_cli PROPERTIES INSTALL_RPATH "$ORIGIN/${to_lib}")
  endif()
endif()

# rwkv7.pc. What librwkv7 itself needs is a private matter of the shared library; who links the static one needs it too.
set(link_flags "")
foreach(file ${RWKV7_LIBRARY_FILES})
  get_filename_component(folder "${file}" DIRECTORY)
  get_filename_component(name "${file}" NAME_WE)
  string(REGEX REPLACE "^lib" "" name "${name}")
  if(NOT folder IN_LIST CMAKE_C_IMPLICIT_LINK_DIRECTORIES)
    list(APPEND link_flags "-L${folder}")
  endif()
  list(APPEND link_flags "-l${name}")
endforeach()
list(APPEND link_flags ${CMAKE_THREAD_LIBS_INIT} -lm)
list(JOIN link_flags " " link_flags)
if(BUILD_SHARED_LIBS)
  set(pc_libs "")
  set(pc_libs_private "${link_flags}")
else()
  set(pc_libs " ${link_flags}")
  set(pc_libs_private "")
endif()
# prefix is found from where the .pc file lies, so an installed tree may be moved
file(RELATIVE_PATH pc_prefix "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig" "${CMAKE_INSTALL_PREFIX}")
string(REGEX REPLACE "/$" "" pc_prefix "${pc_prefix}")
configure_file(cmake/rwkv7.pc.in rwkv7.pc @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/rwkv7.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
