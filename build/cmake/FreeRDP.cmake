# SPDX-License-Identifier: Apache-2.0

# Finds the installed FreeRDPs, chooses the headers to use, and finds where each
# FreeRDP looks for its add-ins. Sets
#   FREERDP_MAJORS         all majors with headers, newest first
#   FREERDP_MAJOR          the one to build against
#   FREERDP_ADDIN_DIR_<N>  the folder compiled into FreeRDP <N>

find_package(PkgConfig REQUIRED)

set(PNPDR_FREERDP_MAJOR AUTO CACHE STRING "FreeRDP headers to build against: AUTO (the newest), 3 or 2")
set_property(CACHE PNPDR_FREERDP_MAJOR PROPERTY STRINGS AUTO 3 2)

set(FREERDP_MAJORS "")
foreach(major 3 2)
    pkg_check_modules(FREERDP${major} QUIET freerdp${major} winpr${major})
    if(NOT FREERDP${major}_FOUND)
        continue()
    endif()
    list(APPEND FREERDP_MAJORS ${major})
    # 3.x names its folder, 2.x only the library folder. Both may be
    # spelled with ".." in them.
    pkg_get_variable(dir freerdp${major} plugindir)
    if(NOT dir)
        pkg_get_variable(dir freerdp${major} libdir)
        string(APPEND dir "/freerdp${major}")
    endif()
    get_filename_component(dir "${dir}" REALPATH)
    set(FREERDP_ADDIN_DIR_${major} "${dir}")
endforeach()

if(PNPDR_FREERDP_MAJOR STREQUAL "AUTO")
    if(NOT FREERDP_MAJORS)
        message(FATAL_ERROR "No FreeRDP headers: install freerdp3-dev or freerdp2-dev")
    endif()
    list(GET FREERDP_MAJORS 0 FREERDP_MAJOR)
elseif(PNPDR_FREERDP_MAJOR IN_LIST FREERDP_MAJORS)
    set(FREERDP_MAJOR ${PNPDR_FREERDP_MAJOR})
else()
    message(FATAL_ERROR "No headers of FreeRDP ${PNPDR_FREERDP_MAJOR}: install freerdp${PNPDR_FREERDP_MAJOR}-dev")
endif()
