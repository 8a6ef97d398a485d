# The C++ blocks of the pages in docs/ as a program: each block is the body of a function of its own, and the block
# ```text after one is what it prints. So no page can show code that does not compile or output that is not so.
set(work ${CMAKE_CURRENT_BINARY_DIR}/docs)
set(functions "")
set(calls "")
set(expected "")
set(count 0)
file(GLOB pages CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/docs/*.md)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${pages})
foreach(page IN LISTS pages)
    file(READ ${page} rest)
    get_filename_component(name ${page} NAME)
    while(TRUE)
        string(FIND "${rest}" "```cpp\n" begin)
        if(begin EQUAL -1)
            break()
        endif()
        math(EXPR begin "${begin} + 7")
        string(SUBSTRING "${rest}" ${begin} -1 rest)
        string(FIND "${rest}" "```" end)
        string(SUBSTRING "${rest}" 0 ${end} body)
        math(EXPR end "${end} + 4")
        string(SUBSTRING "${rest}" ${end} -1 rest)
        string(APPEND functions "void sample${count}() {\n${body}}\n\n")
        string(APPEND calls "    run(${count}, sample${count});\n")
        string(APPEND expected "# ${name}\n")
        # The output stands right after the code, an empty line between them at most.
        string(FIND "${rest}" "```text\n" text)
        if(text GREATER_EQUAL 0 AND text LESS 2)
            math(EXPR text "${text} + 8")
            string(SUBSTRING "${rest}" ${text} -1 rest)
            string(FIND "${rest}" "```" end)
            string(SUBSTRING "${rest}" 0 ${end} output)
            string(APPEND expected "${output}")
            math(EXPR end "${end} + 4")
            string(SUBSTRING "${rest}" ${end} -1 rest)
        endif()
        string(APPEND names "    \"${name}\",\n")
        math(EXPR count "${count} + 1")
    endwhile()
endforeach()
file(WRITE ${work}/samples.txt "${expected}")
file(CONFIGURE OUTPUT ${work}/samples.cpp @ONLY CONTENT [[
// Made from docs/*.md.
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include <sinter/nn.h>
#include <sinter/sinter.h>

namespace sn = sinter;

namespace {

@functions@const char* const names[] = {
@names@};

void run(int number, void (*sample)()) {
    std::cout << "# " << names[number] << "\n";
    sample();
}

}  // namespace

int main() {
@calls@}
]])
add_executable(docs-samples ${work}/samples.cpp)
target_link_libraries(docs-samples PRIVATE sinter::sinter)
sinter_compile_options(docs-samples)
add_test(NAME docs COMMAND ${CMAKE_COMMAND} -D PROGRAM=$<TARGET_FILE:docs-samples>
    -D EXPECTED=${work}/samples.txt -P ${CMAKE_CURRENT_SOURCE_DIR}/docs/compare.cmake)
set_tests_properties(docs PROPERTIES ENVIRONMENT "${test_environment}")
