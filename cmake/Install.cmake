# `cmake --install` installs the program, its man page, completions and the model that ships, and
# the library with its header, rwkv7.pc and rwkv7Config.cmake. cpack makes a package of each
# component.
set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME program)
install(TARGETS rwkv7_cli RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
install(FILES docs/rwkv7.1 DESTINATION "${CMAKE_INSTALL_MANDIR}/man1")
install(FILES LICENSE NEWS.md docs/CHAT.md docs/PIPES.md docs/MODELS.md docs/CONVERTING.md docs/STATES.md docs/BENCHMARKS.md
              docs/INSTALLING.md docs/SERVING.md docs/CONSTRAINED.md DESTINATION "${CMAKE_INSTALL_DOCDIR}")

install(TARGETS rwkv7_shared rwkv7_static EXPORT rwkv7Targets
        LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT library NAMELINK_COMPONENT development
        ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT development
        PUBLIC_HEADER DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT development)
install(FILES docs/LIBRARY.md examples/story.c examples/fields.c DESTINATION "${CMAKE_INSTALL_DATADIR}/doc/librwkv7-dev" COMPONENT development)
include(CMakePackageConfigHelpers)
set(config_folder "${CMAKE_INSTALL_LIBDIR}/cmake/rwkv7")
install(EXPORT rwkv7Targets NAMESPACE rwkv7:: DESTINATION "${config_folder}" COMPONENT development)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/rwkv7ConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
configure_file(cmake/rwkv7Config.cmake.in rwkv7Config.cmake COPYONLY)
install(FILES "${PROJECT_BINARY_DIR}/rwkv7Config.cmake" "${PROJECT_BINARY_DIR}/rwkv7ConfigVersion.cmake"
        DESTINATION "${config_folder}" COMPONENT development)

# Completions for shells; the program generates them.
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

# rwkv7.pc. `pkg-config --static` adds what the static library needs.
list(JOIN RWKV7_LINK_FLAGS " " pc_libs_private)
# The prefix is relative to the folder of rwkv7.pc, so an installed tree can be moved.
file(RELATIVE_PATH pc_prefix "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig" "${CMAKE_INSTALL_PREFIX}")
string(REGEX REPLACE "/$" "" pc_prefix "${pc_prefix}")
configure_file(cmake/rwkv7.pc.in rwkv7.pc @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/rwkv7.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig" COMPONENT development)

include(cmake/Package.cmake)
