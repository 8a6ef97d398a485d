# Installs the build, moves the installation (the package must not know where it was put), builds the first C++ program
# of the README against it and compares what it prints with the block that follows it.
function(run)
    execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
    if(NOT status EQUAL 0)
        message(FATAL_ERROR "failed: ${ARGN}\n${output}")
    endif()
endfunction()

set(work ${BUILD}/consumer)
file(REMOVE_RECURSE ${work})
file(MAKE_DIRECTORY ${work})
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${work}/first)
file(RENAME ${work}/first ${work}/prefix)

file(READ ${SOURCE}/README.md readme)
# Lists of CMake end at semicolons, so they are put aside while matching.
string(REPLACE ";" "<semicolon>" readme "${readme}")
if(NOT readme MATCHES "```cpp\n([^`]*)```[^`]*```text\n([^`]*)```")
    message(FATAL_ERROR "README.md has no C++ program followed by its output")
endif()
string(REPLACE "<semicolon>" ";" program "${CMAKE_MATCH_1}")
string(REPLACE "<semicolon>" ";" expected "${CMAKE_MATCH_2}")
file(WRITE ${work}/main.cpp "${program}")

set(flags "")
if(SANITIZE)
    set(flags "-fsanitize=${SANITIZE}")
endif()
run(${CMAKE_COMMAND} -S ${SOURCE}/tests/consumer -B ${work}/build -G ${GENERATOR}
    -D CMAKE_BUILD_TYPE=${CONFIG} -D CMAKE_CXX_COMPILER=${COMPILER} -D CMAKE_CXX_FLAGS=${flags}
    -D CMAKE_PREFIX_PATH=${work}/prefix -D SINTER_VERSION=${VERSION} -D MAIN=${work}/main.cpp
    -D HEADERS=${work}/prefix/include)
run(${CMAKE_COMMAND} --build ${work}/build)

execute_process(COMMAND ${work}/build/consumer RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE errors)
if(NOT status EQUAL 0)
    message(FATAL_ERROR "the program of the README failed: ${status}\n${output}${errors}")
endif()
if(NOT output STREQUAL expected)
    message(FATAL_ERROR "the program of the README printed\n${output}\nand not\n${expected}")
endif()
file(GLOB_RECURSE leaked ${work}/prefix/include/sinter/schedule/* ${work}/prefix/include/sinter/codegen/*
    ${work}/prefix/include/sinter/runtime/*)
if(leaked)
    message(FATAL_ERROR "internal headers are installed: ${leaked}")
endif()
