# Like aarch64-linux-gnu.cmake but with clang, which uses the linker and start-up files of the gcc
# named there.
if(NOT CMAKE_C_COMPILER)
  set(CMAKE_C_COMPILER clang)
endif()
set(CMAKE_C_COMPILER_TARGET aarch64-linux-gnu)
set(CMAKE_C_COMPILER_EXTERNAL_TOOLCHAIN /usr)
set(CMAKE_ASM_COMPILER_TARGET aarch64-linux-gnu)
include("${CMAKE_CURRENT_LIST_DIR}/aarch64-linux-gnu.cmake")
