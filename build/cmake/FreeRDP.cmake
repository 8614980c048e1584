# SPDX-License-Identifier: Apache-2.0

# Finds the installed FreeRDPs, chooses the headers to use, and finds where each
# FreeRDP looks for its add-ins. Sets
#   FREERDP_MAJORS         all majors with headers, newest first
#   FREERDP_MAJOR          the one to build against
#   FREERDP_ADDIN_DIR_<N>  the folder compiled into FreeRDP <N>

find_package(PkgConfig REQUIRED)

set(PNPDR_FREERDP_MAJOR AUTO CACHE STRING "FreeRDP headers to build against: AUTO (the newest), 3 or 2")
set_property(CACHE PNPDR_FREERDP_MAJOR PROPERTY STRINGS AUTO 3 2)

# freerdp_addin_dir(VARIABLE MAJOR): as pkg-config names the folder, or else
# FreeRDP's CMake package, or else below the library folder, as FreeRDP 2 has it.
# A function keeps what find_package sets to itself.
function(freerdp_addin_dir variable major)
    pkg_get_variable(dir freerdp${major} plugindir)
    if(NOT dir)
        pkg_get_variable(prefix freerdp${major} prefix)
        unset(FreeRDP_DIR CACHE)
        find_package(FreeRDP ${major} CONFIG QUIET PATHS "${prefix}" NO_DEFAULT_PATH)
        unset(FreeRDP_DIR CACHE)
        if(FreeRDP_FOUND)
            set(dir "${FreeRDP_PLUGIN_DIR}")
        endif()
    endif()
    if(NOT dir)
        pkg_get_variable(dir freerdp${major} libdir)
        string(APPEND dir "/freerdp${major}")
    endif()
    # It may be spelled with ".." in it.
    get_filename_component(dir "${dir}" REALPATH)
    set(${variable} "${dir}" PARENT_SCOPE)
endfunction()

set(FREERDP_MAJORS "")
set(freerdp_reasons "")
foreach(major 3 2)
    pkg_check_modules(FREERDP${major} QUIET freerdp${major} winpr${major})
    if(FREERDP${major}_FOUND)
        list(APPEND FREERDP_MAJORS ${major})
        freerdp_addin_dir(FREERDP_ADDIN_DIR_${major} ${major})
        message(STATUS "FreeRDP ${FREERDP${major}_freerdp${major}_VERSION} loads plugins from ${FREERDP_ADDIN_DIR_${major}}")
        continue()
    endif()
    # It may be here but depend on a package that is not.
    execute_process(
        COMMAND "${PKG_CONFIG_EXECUTABLE}" --print-errors --short-errors --exists freerdp${major} winpr${major}
        ERROR_VARIABLE reason OUTPUT_QUIET)
    string(REPLACE "\n" "\n  " reason "  ${reason}")
    string(APPEND freerdp_reasons "${reason}\n")
    if(NOT reason MATCHES "[Pp]ackage '?freerdp${major}'?(,| was| found)")
        message(WARNING "The headers of FreeRDP ${major} are installed, but cannot be used:\n${reason}")
    endif()
endforeach()

if(PNPDR_FREERDP_MAJOR STREQUAL "AUTO")
    if(NOT FREERDP_MAJORS)
        message(FATAL_ERROR "No FreeRDP headers that can be used: install freerdp3-dev (and zlib1g-dev) or freerdp2-dev. pkg-config says:\n${freerdp_reasons}")
    endif()
    list(GET FREERDP_MAJORS 0 FREERDP_MAJOR)
elseif(PNPDR_FREERDP_MAJOR IN_LIST FREERDP_MAJORS)
    set(FREERDP_MAJOR ${PNPDR_FREERDP_MAJOR})
else()
    message(FATAL_ERROR "No headers of FreeRDP ${PNPDR_FREERDP_MAJOR} that can be used: install freerdp${PNPDR_FREERDP_MAJOR}-dev. pkg-config says:\n${freerdp_reasons}")
endif()
