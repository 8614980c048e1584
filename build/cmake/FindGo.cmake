# SPDX-License-Identifier: Apache-2.0

# Finds a Go toolchain that can build the module, on PATH or in the usual
# folders. Sets GO_EXECUTABLE.

file(STRINGS "${PROJECT_SOURCE_DIR}/go.mod" _go_wanted REGEX "^go [0-9.]+" LIMIT_COUNT 1)
string(REGEX REPLACE "^go " "" _go_wanted "${_go_wanted}")

# PATH first, then the newest of the others.
file(GLOB _go_paths /usr/lib/go-*/bin)
list(SORT _go_paths COMPARE NATURAL ORDER DESCENDING)
find_program(
    GO_EXECUTABLE go
    PATHS /usr/local/go/bin ${_go_paths}
    DOC "the go command")

if(GO_EXECUTABLE)
    # Inside the module, since a go that may fetch the toolchain named in go.mod
    # then reports that one.
    execute_process(
        COMMAND "${GO_EXECUTABLE}" env GOVERSION
        WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
        OUTPUT_VARIABLE GO_VERSION
        OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    string(REGEX MATCH "[0-9]+\\.[0-9]+(\\.[0-9]+)?" GO_VERSION "${GO_VERSION}")
endif()

include(FindPackageHandleStandardArgs)
set(Go_FIND_VERSION "${_go_wanted}")
find_package_handle_standard_args(Go REQUIRED_VARS GO_EXECUTABLE VERSION_VAR GO_VERSION)
mark_as_advanced(GO_EXECUTABLE)
