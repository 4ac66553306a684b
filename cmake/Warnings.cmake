# Warnings for gcc and clang, and the sanitizers.
set(RWKV7_WARNINGS -Wall -Wextra -Wconversion -Wshadow -Wpedantic -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef)
if(RWKV7_WERROR)
  list(APPEND RWKV7_WARNINGS -Werror)
endif()
if(RWKV7_SANITIZE)
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
endif()
