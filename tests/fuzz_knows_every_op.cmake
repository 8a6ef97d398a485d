# Every op that a public header declares is a row of sinter-fuzz. Run with -DFUZZ=<binary> -DHEADERS=<folder>.

cmake_minimum_required(VERSION 3.25)

# What is no op of random programs: memory that is not set or not copied, how leaves themselves are made, and what asks a
# function of the host.
set(exempt empty empty_like from_blob from_data host_scalar)

execute_process(COMMAND ${FUZZ} --list OUTPUT_VARIABLE rows RESULT_VARIABLE status)
if(NOT status EQUAL 0)
    message(FATAL_ERROR "${FUZZ} --list failed")
endif()
string(REPLACE "\n" ";" rows "${rows}")

set(count 0)
file(GLOB headers ${HEADERS}/*.h)
foreach(header IN LISTS headers)
    file(READ ${header} text)
    # Free functions start a line; those of namespace detail are no part of the surface.
    string(REGEX REPLACE "namespace detail {.*}  // namespace detail" "" text "${text}")
    string(REGEX MATCHALL "\n(Tensor|std::vector<Tensor>|bool) [a-z][A-Za-z0-9_]*\\(" found "${text}")
    foreach(declaration IN LISTS found)
        string(REGEX REPLACE "\n[^ ]* ([A-Za-z0-9_]*)\\(" "\\1" op "${declaration}")
        math(EXPR count "${count} + 1")
        if(NOT op IN_LIST rows AND NOT op IN_LIST exempt AND NOT op STREQUAL "operator")
            list(APPEND missing ${op})
        endif()
    endforeach()
endforeach()
if(missing)
    list(REMOVE_DUPLICATES missing)
    message(FATAL_ERROR "ops without a row in tools/fuzz: ${missing}")
endif()
if(count LESS 150)
    message(FATAL_ERROR "only ${count} declarations found in ${HEADERS}: has their form changed?")
endif()
message(STATUS "${count} declarations, all with a row")
