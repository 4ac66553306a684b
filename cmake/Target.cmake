# Refuses what cannot give the text that every other build gives, before anything is compiled. src/base/target.h refuses the same
# where a compiler tells of it; most of these options leave no trace in its macros.
#
# This is also a script (cmake -D CMAKE_C_FLAGS=... -P Target.cmake), as which tests/build/target_test.sh tries it.
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
# Options of gcc and clang that let it change the order or the precision of operations, or flush small numbers to zero (also when linking).
string(REGEX MATCHALL
       "-(Ofast|ffast-math|funsafe-math-optimizations|fassociative-math|freciprocal-math|ffinite-math-only|fno-signed-zeros|fapprox-func|fno-honor-(nans|infinities)|fsingle-precision-constant|ffp-model=(fast|aggressive)|ffp-eval-method=[a-z]+|fdenormal-fp-math[-a-z0-9]*=[-a-z,]+|mfpmath=[^ ]*387|mdaz-ftz)( |$)"
       target_refused "${target_flags} ")
if(target_refused)
  string(REGEX REPLACE " *;|  *$" " " target_refused "${target_refused}")
  message(FATAL_ERROR "The compiler's flags must not have ${target_refused}\n"
    "It changes sums and small numbers, and so the text: every build gives the same bits. -O2 or -O3 are as fast, since the kernels are "
    "written for each instruction set.")
endif()

# These change no bit (contraction is off), only where the program runs.
string(REGEX MATCH "-m(arch|cpu)=[^ ]+|-mavx[^ ]*|-mfma" target_isa "${target_flags}")
if(target_isa)
  message(STATUS "Compiled with ${target_isa}: the program needs a CPU that has that. Without it, it runs on every CPU of its architecture, "
                 "and picks its kernels when it starts.")
endif()
