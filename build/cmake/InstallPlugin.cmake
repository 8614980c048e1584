# SPDX-License-Identifier: Apache-2.0

# Installs the plugin; run by "cmake --install" with
#   PLUGIN           the built library
#   LIBDIR           CMAKE_INSTALL_LIBDIR
#   DEFAULT_PREFIX   the prefix when nobody chose one, else empty
#   ADDIN_DIRS       "<major>=<folder>" for each FreeRDP
#
# FreeRDP loads add-ins only from one folder that is compiled into it. So the
# plugin goes there, whatever CMake's default prefix is, unless a prefix was chosen
# when configuring or now with --prefix. file(INSTALL) adds DESTDIR.
foreach(addin IN LISTS ADDIN_DIRS)
    string(REGEX MATCH "^([0-9]+)=(.*)$" _ "${addin}")
    set(major "${CMAKE_MATCH_1}")
    set(dir "${CMAKE_MATCH_2}")
    if(NOT DEFAULT_PREFIX OR NOT CMAKE_INSTALL_PREFIX STREQUAL DEFAULT_PREFIX)
        if(IS_ABSOLUTE "${LIBDIR}")
            set(dir "${LIBDIR}/freerdp${major}")
        else()
            set(dir "${CMAKE_INSTALL_PREFIX}/${LIBDIR}/freerdp${major}")
        endif()
    endif()
    file(INSTALL DESTINATION "${dir}" TYPE SHARED_LIBRARY FILES "${PLUGIN}")
endforeach()
