rwkv7_add_test(test_kernels kernels/test_kernels.c)
