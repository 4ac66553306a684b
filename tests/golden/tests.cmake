rwkv7_add_test(test_golden golden/test_golden.c)
target_sources(test_golden PRIVATE golden/golden.c)
