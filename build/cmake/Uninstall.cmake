# SPDX-License-Identifier: Apache-2.0

# Removes the files of the last "cmake --install"; run by the target "uninstall"
# with MANIFEST, the list that CMake wrote then.
if(NOT EXISTS "${MANIFEST}")
    message(FATAL_ERROR "Nothing was installed from here: there is no ${MANIFEST}")
endif()
file(STRINGS "${MANIFEST}" files)
foreach(file IN LISTS files)
    set(file "$ENV{DESTDIR}${file}")
    if(EXISTS "${file}" OR IS_SYMLINK "${file}")
        message(STATUS "Removing ${file}")
        file(REMOVE "${file}")
        if(EXISTS "${file}")
            message(FATAL_ERROR "Cannot remove ${file}")
        endif()
    endif()
endforeach()
file(REMOVE "${MANIFEST}")
