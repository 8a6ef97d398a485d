# An include against the layering does not build: with the folders that a layer sees, a header of a layer that it may not
# include is not found, while one that it may include is.
set(layering_work ${CMAKE_CURRENT_BINARY_DIR}/layering)
function(layer_may layer header)
    string(MAKE_C_IDENTIFIER "${layer} ${header}" name)
    file(WRITE ${layering_work}/${name}.cpp "#include <sinter/${header}>\n")
    add_test(NAME layering-${layer}-${header} COMMAND ${CMAKE_CXX_COMPILER} -std=c++20 -fsyntax-only
        "-I$<JOIN:$<TARGET_PROPERTY:sinter_${layer},INCLUDE_DIRECTORIES>,;-I>" ${layering_work}/${name}.cpp
        COMMAND_EXPAND_LISTS)
endfunction()
function(layer_may_not layer header)
    layer_may(${layer} ${header})
    set_tests_properties(layering-${layer}-${header} PROPERTIES
        PASS_REGULAR_EXPRESSION "No such file or directory|file not found")
endfunction()

layer_may(schedule ir/uop.h)
layer_may(runtime codegen/codegen.h)
layer_may(nn tensor.h)
layer_may_not(ir schedule/schedule.h)
layer_may_not(ir tensor.h)
layer_may_not(schedule codegen/codegen.h)
layer_may_not(schedule runtime/realize.h)
layer_may_not(codegen schedule/schedule.h)
layer_may_not(codegen runtime/realize.h)
layer_may_not(runtime tensor.h)
layer_may_not(core nn/module.h)
layer_may_not(nn runtime/realize.h)
