rwkv7_add_test(test_golden golden/test_golden.c)
target_sources(test_golden PRIVATE golden/golden.c)
rwkv7_add_test(test_try golden/test_try.c)
target_sources(test_try PRIVATE golden/golden.c)
rwkv7_add_test(test_tuned_state golden/test_tuned_state.c)
target_sources(test_tuned_state PRIVATE unit/pth_writer.c)
set_tests_properties(test_golden PROPERTIES COST 100) # longest: first
