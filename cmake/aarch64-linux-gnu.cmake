# Cross compilation for 64-bit Arm Linux; programs run under qemu-user, so that ctest works as in a
# native build.
#
# RWKV7_SYSROOT (a variable or in the environment) is a folder with an aarch64 system that has cJSON and utf8proc;
# .ci/aarch64-sysroot.sh makes one on Debian. Without it the compiler's own folders are searched.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
if(NOT CMAKE_C_COMPILER)
  set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
endif()
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)

set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES RWKV7_SYSROOT)
if(NOT RWKV7_SYSROOT AND DEFINED ENV{RWKV7_SYSROOT})
  set(RWKV7_SYSROOT "$ENV{RWKV7_SYSROOT}" CACHE PATH "Folder with an aarch64 system")
endif()
find_program(RWKV7_QEMU NAMES qemu-aarch64 qemu-aarch64-static)
if(RWKV7_SYSROOT)
  set(CMAKE_SYSROOT "${RWKV7_SYSROOT}")
  set(CMAKE_CROSSCOMPILING_EMULATOR "${RWKV7_QEMU};-L;${RWKV7_SYSROOT}")
else()
  set(CMAKE_CROSSCOMPILING_EMULATOR "${RWKV7_QEMU};-L;/usr/aarch64-linux-gnu")
endif()

set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(ENV{PKG_CONFIG_LIBDIR} "${RWKV7_SYSROOT}/usr/lib/aarch64-linux-gnu/pkgconfig:${RWKV7_SYSROOT}/usr/share/pkgconfig")
set(ENV{PKG_CONFIG_SYSROOT_DIR} "${RWKV7_SYSROOT}")
