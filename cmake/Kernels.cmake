# One file per instruction set, compiled with its own flags. Nothing else may be compiled with them: the program starts on
# any CPU of its architecture and looks (src/kernels/cpu.c) before it calls into one of these files.
string(TOLOWER "${CMAKE_SYSTEM_PROCESSOR}" processor)
if(processor MATCHES "^(x86_64|amd64)$")
  target_sources(rwkv7_objects PRIVATE src/kernels/avx2.c src/kernels/avx512.c)
  set_source_files_properties(src/kernels/avx2.c PROPERTIES COMPILE_OPTIONS "-mavx2;-mfma;-mf16c")
  set_source_files_properties(src/kernels/avx512.c PROPERTIES COMPILE_OPTIONS
    "-mavx2;-mfma;-mf16c;-mavx512f;-mavx512bw;-mavx512dq;-mavx512vl;-mprefer-vector-width=512")
elseif(processor MATCHES "^(aarch64|arm64)$")
  target_sources(rwkv7_objects PRIVATE src/kernels/neon.c)
endif()
