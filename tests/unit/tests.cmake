rwkv7_add_test(test_base unit/test_base.c)
rwkv7_add_test(test_weights unit/test_weights.c)
rwkv7_add_test(test_fmath unit/test_fmath.c)
