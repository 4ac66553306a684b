# Rejects machines and compiler flags with which the generated text could differ from other builds,
# before anything is compiled. src/base/target.h rejects those that set a macro of the compiler;
# most of these flags set none.
#
# Also runs as a script (cmake -D CMAKE_C_FLAGS=... -P Target.cmake); tests/target_test.sh tests it
# in this way.
if(CMAKE_C_BYTE_ORDER STREQUAL "BIG_ENDIAN")
  message(FATAL_ERROR "Big-endian machines are not supported: weights are used as they lie in their files, which are little-endian.")
endif()
if(CMAKE_SIZEOF_VOID_P AND CMAKE_SIZEOF_VOID_P LESS 8)
  message(FATAL_ERROR "32-bit systems are not supported: model files are mapped whole.")
endif()

set(target_flags "${CMAKE_C_FLAGS} ${CMAKE_EXE_LINKER_FLAGS} ${CMAKE_SHARED_LINKER_FLAGS}")
foreach(config ${CMAKE_BUILD_TYPE} ${CMAKE_CONFIGURATION_TYPES})
  string(TOUPPER "${config}" config)
  string(APPEND target_flags " ${CMAKE_C_FLAGS_${config}} ${CMAKE_EXE_LINKER_FLAGS_${config}} ${CMAKE_SHARED_LINKER_FLAGS_${config}}")
endforeach()
# Flags of gcc and clang that allow another order or precision of operations, or that flush
# denormals to zero (also when linking).
string(REGEX MATCHALL
       "-(Ofast|ffast-math|funsafe-math-optimizations|fassociative-math|freciprocal-math|ffinite-math-only|fno-signed-zeros|fapprox-func|fno-honor-(nans|infinities)|fsingle-precision-constant|ffp-model=(fast|aggressive)|ffp-eval-method=[a-z]+|fdenormal-fp-math[-a-z0-9]*=[-a-z,]+|mfpmath=[^ ]*387|mdaz-ftz)( |$)"
       target_refused "${target_flags} ")
if(target_refused)
  string(REGEX REPLACE " *;|  *$" " " target_refused "${target_refused}")
  message(FATAL_ERROR "The compiler's flags must not have ${target_refused}\n"
    "It changes sums and small numbers, and so the text: every build gives the same bits. -O2 or -O3 are as fast, since the kernels are "
    "written for each instruction set.")
endif()

# These flags change no result (contraction is off), only on which CPUs the program runs.
string(REGEX MATCH "-m(arch|cpu)=[^ ]+|-mavx[^ ]*|-mfma" target_isa "${target_flags}")
if(target_isa)
  message(STATUS "Compiled with ${target_isa}: the program needs a CPU that has that. Without it, it runs on every CPU of its architecture, "
                 "and picks its kernels when it starts.")
endif()
