# cpack runs this after it has written the packages. For a shared library cpack adds scripts that
# call ldconfig; Debian requires a trigger instead.
if(NOT CPACK_GENERATOR STREQUAL DEB)
  return()
endif()
foreach(package ${CPACK_PACKAGE_FILES})
  if(package MATCHES "/librwkv7-[0-9]+_[^/]*$")
    set(folder "${CPACK_TEMPORARY_DIRECTORY}/triggers")
    file(REMOVE_RECURSE "${folder}")
    execute_process(COMMAND dpkg-deb --raw-extract "${package}" "${folder}" COMMAND_ERROR_IS_FATAL ANY)
    file(REMOVE "${folder}/DEBIAN/postinst" "${folder}/DEBIAN/postrm")
    file(WRITE "${folder}/DEBIAN/triggers" "activate-noawait ldconfig\n")
    execute_process(COMMAND dpkg-deb --root-owner-group --build "${folder}" "${package}" OUTPUT_QUIET
                    COMMAND_ERROR_IS_FATAL ANY)
  endif()
endforeach()
