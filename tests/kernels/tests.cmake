rwkv7_add_test(test_kernels kernels/test_kernels.c)
target_sources(test_kernels PRIVATE kernels/guarded.c kernels/bench_kernels.c)
rwkv7_add_test(test_quants kernels/test_quants.c)
target_sources(test_quants PRIVATE kernels/guarded.c)
