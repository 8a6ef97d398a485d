# Targets of Sinter: one object library a folder ("layer"), and one installed library made of them all.

# The language and its warnings, the same for every target of ours.
function(sinter_language target)
    target_compile_features(${target} PUBLIC cxx_std_20)
    target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor
        # GCC 12 sees overlapping copies in `"text" + std::to_string(n)` (its bug 105651).
        $<$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-restrict>
        # Clang over GCC 12's library: its stable_sort calls what it deprecates itself.
        $<$<CXX_COMPILER_ID:Clang>:-Wno-deprecated-declarations>
        $<$<BOOL:${SINTER_WERROR}>:-Werror>)
endfunction()

# Compile options that every target of ours shares; never exported to users.
function(sinter_compile_options target)
    sinter_language(${target})
    if(SINTER_SANITIZE)
        target_compile_options(${target} PRIVATE -fsanitize=${SINTER_SANITIZE} -fno-omit-frame-pointer
            -fno-sanitize-recover=all
            # What the instrumentation adds confuses GCC's analysis of values: it warns of the standard library.
            $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
        target_link_options(${target} PRIVATE -fsanitize=${SINTER_SANITIZE})
    elseif(SINTER_PRECOMPILE)
        # With them GCC 12 sees such copies out of bounds, too; builds without them keep these warnings.
        if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
            target_compile_options(${target} PRIVATE -Wno-array-bounds -Wno-stringop-overflow)
        endif()
        get_target_property(moved ${target} POSITION_INDEPENDENT_CODE)
        if(moved)
            target_precompile_headers(${target} REUSE_FROM sinter_precompiled_ON)
        else()
            target_precompile_headers(${target} REUSE_FROM sinter_precompiled_OFF)
        endif()
    endif()
endfunction()

# The standard headers that nearly every source includes, compiled once for code that may be moved (the library) and once
# for code that may not (the binaries). Sources still include what they use: builds without them (the sanitizers') say so
# where one does not.
function(sinter_precompiled_headers)
    file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/precompiled.cpp CONTENT "")
    foreach(moved ON OFF)
        set(target sinter_precompiled_${moved})
        add_library(${target} OBJECT ${PROJECT_BINARY_DIR}/precompiled.cpp)
        set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ${moved})
        sinter_language(${target})
        target_precompile_headers(${target} PRIVATE <algorithm> <array> <bit> <cmath> <cstdint> <functional> <limits> <map>
            <memory> <mutex> <numeric> <optional> <span> <string> <string_view> <unordered_map> <utility> <vector>)
    endforeach()
endfunction()

# sinter_layer(<folder> [<layer it may include>...])
function(sinter_layer folder)
    set(target sinter_${folder})
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${folder}/*.cpp)
    if(NOT sources)
        file(WRITE ${PROJECT_BINARY_DIR}/empty.cpp "")
        set(sources ${PROJECT_BINARY_DIR}/empty.cpp)
    endif()
    add_library(${target} OBJECT ${sources})
    set_target_properties(${target} PROPERTIES LINKER_LANGUAGE CXX POSITION_INDEPENDENT_CODE ON)
    target_include_directories(${target} PUBLIC
        $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/${folder}/include>)
    # Sources of a layer may include headers beside them that no other layer sees.
    target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/${folder})
    foreach(lower IN LISTS ARGN)
        target_include_directories(${target} PUBLIC
            $<TARGET_PROPERTY:sinter_${lower},INTERFACE_INCLUDE_DIRECTORIES>)
    endforeach()
    sinter_compile_options(${target})
endfunction()

# sinter_library(<layer>...): the library users link, sinter::sinter. In the tree it shows the public headers alone.
function(sinter_library)
    add_library(sinter SHARED)
    add_library(sinter::sinter ALIAS sinter)
    set_target_properties(sinter PROPERTIES LINKER_LANGUAGE CXX VERSION ${PROJECT_VERSION}
        SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
    foreach(layer IN LISTS ARGN)
        target_sources(sinter PRIVATE $<TARGET_OBJECTS:sinter_${layer}>)
    endforeach()
    sinter_stage_headers(${PROJECT_BINARY_DIR}/include)
    target_include_directories(sinter PUBLIC $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/include>)
    sinter_compile_options(sinter)
    # Names the build: compiled kernels on disk are kept for the code generator that made them.
    target_link_options(sinter PRIVATE LINKER:--build-id=sha1)
    target_link_libraries(sinter PRIVATE Threads::Threads ZLIB::ZLIB ${CMAKE_DL_LIBS})
endfunction()
