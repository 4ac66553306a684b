# One file per instruction set, compiled with its own flags; no other file gets these flags. The
# program therefore starts on any CPU of its architecture and detects features (src/kernels/cpu.c)
# before it calls into one of these files. With -march=... in CFLAGS, it needs such a CPU; the
# results stay the same.
#
# When gcc leaves SSA form, it may merge all accumulators of a product into one variable and copy
# them through memory, which takes four times the instructions in the innermost loops (gcc 12,
# integer products).
set(kernel "")
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  set(kernel -fno-tree-coalesce-vars)
endif()
string(TOLOWER "${CMAKE_SYSTEM_PROCESSOR}" processor)
if(processor MATCHES "^(x86_64|amd64)$")
  target_sources(rwkv7_objects PRIVATE
    src/kernels/avx2.c src/kernels/avxvnni.c src/kernels/avx512.c src/kernels/avx512vnni.c src/kernels/amx.c
    src/kernels/amx_bf16.c src/text/weigh_avx2.c src/text/weigh_avx512.c)
  set(avx2 ${kernel} -mavx2 -mfma -mf16c)
  set(avx512 ${avx2} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512)
  set_source_files_properties(src/text/weigh_avx2.c PROPERTIES COMPILE_OPTIONS "-mavx2;-mpopcnt")
  set_source_files_properties(src/text/weigh_avx512.c PROPERTIES COMPILE_OPTIONS "${avx512};-mpopcnt")
  set_source_files_properties(src/kernels/avx2.c PROPERTIES COMPILE_OPTIONS "${avx2}")
  set_source_files_properties(src/kernels/avxvnni.c PROPERTIES COMPILE_OPTIONS "${avx2};-mavxvnni")
  set_source_files_properties(src/kernels/avx512.c PROPERTIES COMPILE_OPTIONS "${avx512}")
  set_source_files_properties(src/kernels/avx512vnni.c PROPERTIES COMPILE_OPTIONS "${avx512};-mavx512vnni")
  set_source_files_properties(src/kernels/amx.c PROPERTIES COMPILE_OPTIONS "${avx512};-mamx-tile;-mamx-int8")
  set_source_files_properties(src/kernels/amx_bf16.c PROPERTIES COMPILE_OPTIONS
    "${avx512};-mavx512bf16;-mamx-tile;-mamx-bf16")
elseif(processor MATCHES "^(aarch64|arm64)$")
  target_sources(rwkv7_objects PRIVATE src/kernels/neon.c src/kernels/dotprod.c src/kernels/i8mm.c)
  set_source_files_properties(src/kernels/neon.c PROPERTIES COMPILE_OPTIONS "${kernel}")
  set_source_files_properties(src/kernels/dotprod.c PROPERTIES COMPILE_OPTIONS "${kernel};-march=armv8.2-a+dotprod")
  set_source_files_properties(src/kernels/i8mm.c PROPERTIES COMPILE_OPTIONS "${kernel};-march=armv8.2-a+i8mm")
endif()
