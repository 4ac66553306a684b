# `cpack` in a build folder makes packages: on Debian rwkv7 (the program), librwkv7-N (the shared
# library) and librwkv7-dev, elsewhere a .tar.gz of each. Configure with `cmake --preset package`,
# which sets the paths of the system.
set(CPACK_PACKAGE_VENDOR "the rwkv7 project")
set(RWKV7_PACKAGE_CONTACT "rwkv7 project <rwkv7@localhost>" CACHE STRING "Who publishes the packages: NAME <ADDRESS>")
set(CPACK_PACKAGE_CONTACT "${RWKV7_PACKAGE_CONTACT}")
set(CPACK_RESOURCE_FILE_LICENSE "${PROJECT_SOURCE_DIR}/LICENSE")
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL program library development)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_ARCHIVE_COMPONENT_INSTALL ON)

set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_SOURCE rwkv7)
# All three packages have the summary of the project.
set(about "RWKV is a family of language models that need the same memory for a text\nof any length. This project runs them on a CPU.")

set(CPACK_DEBIAN_PROGRAM_PACKAGE_NAME rwkv7)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SUGGESTS "curl, libopenblas0") # for `rwkv7 pull` and for --math blas
set(CPACK_COMPONENT_PROGRAM_DESCRIPTION
    "${about}\n\nThis package contains the program rwkv7 and a small model.")

set(CPACK_DEBIAN_LIBRARY_PACKAGE_NAME librwkv7-${RWKV7_SOVERSION})
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SUGGESTS libopenblas0)
set(CPACK_COMPONENT_LIBRARY_DESCRIPTION
    "${about}\n\nThis package contains the shared library.")

set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME librwkv7-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS
    "librwkv7-${RWKV7_SOVERSION} (= ${PROJECT_VERSION}), libcjson-dev, libutf8proc-dev")
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION
    "${about}\n\nThis package contains the header, the static library and files for\npkg-config and CMake.")

# Before packing: files that Debian requires in every package. After packing: corrections of what
# cpack wrote.
set(CPACK_RWKV7_PACKAGES program:rwkv7 library:librwkv7-${RWKV7_SOVERSION} development:librwkv7-dev)
set(CPACK_RWKV7_SOURCE "${PROJECT_SOURCE_DIR}")
set(CPACK_PRE_BUILD_SCRIPTS "${PROJECT_SOURCE_DIR}/cmake/DebianFiles.cmake")
set(CPACK_POST_BUILD_SCRIPTS "${PROJECT_SOURCE_DIR}/cmake/DebianTriggers.cmake")

find_program(RWKV7_DPKG dpkg-deb)
mark_as_advanced(RWKV7_DPKG)
if(RWKV7_DPKG)
  set(CPACK_GENERATOR DEB)
else()
  set(CPACK_GENERATOR TGZ)
endif()
include(CPack)
