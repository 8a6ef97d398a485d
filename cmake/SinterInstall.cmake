# What users of Sinter get: the public headers, the library, the binaries, and a package for find_package(sinter).
include(CMakePackageConfigHelpers)

# Headers of `ir` that public headers include; all of core's and nn's headers are public.
set(SINTER_PUBLIC_IR_HEADERS sinter/ir/dtype.h sinter/ir/error.h)

# sinter_stage_headers(<folder>): links every public header into <folder>, so that binaries in the tree see what an
# installation has and nothing else.
function(sinter_stage_headers folder)
    file(REMOVE_RECURSE ${folder}/sinter)
    foreach(header IN LISTS SINTER_PUBLIC_IR_HEADERS)
        sinter_stage_header(${PROJECT_SOURCE_DIR}/ir/include ${header} ${folder})
    endforeach()
    foreach(layer core nn)
        set(root ${PROJECT_SOURCE_DIR}/${layer}/include)
        file(GLOB_RECURSE headers CONFIGURE_DEPENDS RELATIVE ${root} ${root}/*.h)
        foreach(header IN LISTS headers)
            sinter_stage_header(${root} ${header} ${folder})
        endforeach()
    endforeach()
endfunction()

function(sinter_stage_header root header folder)
    cmake_path(GET header PARENT_PATH parent)
    file(MAKE_DIRECTORY ${folder}/${parent})
    file(CREATE_LINK ${root}/${header} ${folder}/${header} SYMBOLIC)
endfunction()

function(sinter_install)
    install(TARGETS sinter EXPORT sinter-targets
        RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR}
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} NAMELINK_COMPONENT development
        INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
    foreach(header IN LISTS SINTER_PUBLIC_IR_HEADERS)
        cmake_path(GET header PARENT_PATH parent)
        install(FILES ${PROJECT_SOURCE_DIR}/ir/include/${header}
            DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/${parent})
    endforeach()
    foreach(layer core nn)
        install(DIRECTORY ${PROJECT_SOURCE_DIR}/${layer}/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
            FILES_MATCHING PATTERN *.h)
    endforeach()

    set(package ${CMAKE_INSTALL_LIBDIR}/cmake/sinter)
    install(EXPORT sinter-targets NAMESPACE sinter:: DESTINATION ${package})
    configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/sinter-config.cmake.in
        ${PROJECT_BINARY_DIR}/sinter-config.cmake INSTALL_DESTINATION ${package})
    write_basic_package_version_file(${PROJECT_BINARY_DIR}/sinter-config-version.cmake
        COMPATIBILITY SameMinorVersion)
    install(FILES ${PROJECT_BINARY_DIR}/sinter-config.cmake
        ${PROJECT_BINARY_DIR}/sinter-config-version.cmake DESTINATION ${package})
endfunction()
