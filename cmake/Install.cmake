# cmake --install: program, library, header, rwkv7.pc, man page, licence, completions, the models that ship; cpack: the same as a package.
install(TARGETS rwkv7_cli RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
install(TARGETS rwkv7
        ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}" LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
        PUBLIC_HEADER DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(FILES docs/rwkv7.1 DESTINATION "${CMAKE_INSTALL_MANDIR}/man1")
install(FILES LICENSE NEWS.md docs/CHAT.md docs/PIPES.md docs/MODELS.md docs/CONVERTING.md docs/STATES.md docs/BENCHMARKS.md docs/INSTALLING.md examples/story.c DESTINATION "${CMAKE_INSTALL_DOCDIR}")
# Completions for shells, which the program itself writes.
foreach(entry "bash:rwkv7:bash-completion/completions" "zsh:_rwkv7:zsh/site-functions" "fish:rwkv7.fish:fish/vendor_completions.d")
  string(REPLACE ":" ";" entry "${entry}")
  list(GET entry 0 shell)
  list(GET entry 1 file)
  list(GET entry 2 folder)
  set(file "${PROJECT_BINARY_DIR}/completions/${shell}/${file}")
  add_custom_command(TARGET rwkv7_cli POST_BUILD
                     COMMAND ${CMAKE_COMMAND} -E make_directory "${PROJECT_BINARY_DIR}/completions/${shell}"
                     COMMAND rwkv7_cli completions ${shell} > "${file}")
  install(FILES "${file}" DESTINATION "${CMAKE_INSTALL_DATADIR}/${folder}")
endforeach()

install(DIRECTORY models/ DESTINATION "${CMAKE_INSTALL_DATADIR}/rwkv7")
install(PROGRAMS scripts/get-model.sh DESTINATION "${CMAKE_INSTALL_DATADIR}/rwkv7") # `rwkv7 pull`
install(FILES scripts/models.txt DESTINATION "${CMAKE_INSTALL_DATADIR}/rwkv7")

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
foreach(name ${CMAKE_DL_LIBS})
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

# `cpack` in the build folder makes a package of it, on Debian a .deb that depends on the libraries that were found.
set(CPACK_PACKAGE_VENDOR "the rwkv7 project")
set(CPACK_PACKAGE_CONTACT "the rwkv7 project")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_RESOURCE_FILE_LICENSE "${PROJECT_SOURCE_DIR}/LICENSE")
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SUGGESTS libopenblas0) # for --math blas only
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
    "Runs RWKV language models, which need the same memory for a text of any length, on a CPU:\nthe program rwkv7, and a library for C programs.")
find_program(RWKV7_DPKG dpkg-deb)
mark_as_advanced(RWKV7_DPKG)
if(RWKV7_DPKG)
  set(CPACK_GENERATOR DEB)
else()
  set(CPACK_GENERATOR TGZ)
endif()
include(CPack)
