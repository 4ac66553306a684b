# Makes the files that the server sends and compiles them in: the web page, one file of
# src/server/page/page.html, page.css and page.js, and openapi.json.
#
# page_policy.h has the hashes of the style and the script for the page's Content-Security-Policy,
# so a browser runs this script and no other.
set(page_files src/server/page/page.html src/server/page/page.css src/server/page/page.js)
set(assets_openapi "${PROJECT_SOURCE_DIR}/src/server/openapi.json")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${page_files})

# Sets `out` to the text's SHA-256 in base64. CMake has it in hexadecimal digits only.
function(sha256_base64 text out)
  set(letters "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
  string(SHA256 hex "${text}")
  set(base64 "")
  foreach(at RANGE 0 63 3) # three hexadecimal digits are two letters; the last of the 64 is followed by zeros
    string(SUBSTRING "${hex}00" ${at} 3 digits)
    math(EXPR first "0x${digits} >> 6")
    math(EXPR second "0x${digits} & 63")
    string(SUBSTRING "${letters}" ${first} 1 first)
    string(SUBSTRING "${letters}" ${second} 1 second)
    string(APPEND base64 "${first}${second}")
  endforeach()
  string(SUBSTRING "${base64}" 0 43 base64)
  set(${out} "${base64}=" PARENT_SCOPE)
endfunction()

file(READ src/server/page/page.css page_style)
file(READ src/server/page/page.js page_script)
sha256_base64("${page_style}" page_style_hash)
sha256_base64("${page_script}" page_script_hash)
configure_file(src/server/page/page.html page.html @ONLY NEWLINE_STYLE UNIX)
configure_file(cmake/page_policy.h.in page_policy.h @ONLY)

string(REGEX REPLACE "([\\\"])" "\\\\\\1" assets_page "${PROJECT_BINARY_DIR}/page.html")
string(REGEX REPLACE "([\\\"])" "\\\\\\1" assets_openapi "${assets_openapi}")
configure_file(cmake/assets.S.in assets.S @ONLY)
set_source_files_properties("${PROJECT_BINARY_DIR}/assets.S" PROPERTIES OBJECT_DEPENDS
                            "${PROJECT_BINARY_DIR}/page.html;${PROJECT_SOURCE_DIR}/src/server/openapi.json")
target_sources(rwkv7_cli PRIVATE "${PROJECT_BINARY_DIR}/assets.S")
