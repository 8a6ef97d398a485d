// Constants, buffers and positions.

#include <sinter/runtime/realize.h>

#include <algorithm>

#include "ref/element.h"
#include "ref/functions.h"
#include "ref/strided.h"

namespace sinter::runtime::ref::eval {
namespace {

template <class E>
E element_of_bits(std::int64_t bits) {
    if constexpr (is_bool_element<E>)
        return store<E>(bits != 0);
    else if constexpr (is_float_element<E>)
        return store<E>(ir::const_double(bits));
    else
        return static_cast<E>(bits);
}

}  // namespace

Value Const(ir::Ref node, Sources) {
    Value out = allocate_for(node);
    with_element(node->dtype(), [&]<class E>() {
        std::fill_n(out.fill<E>(), node->numel(), element_of_bits<E>(node->arg(0)));
    });
    return out;
}

Value Bind(ir::Ref node, Sources src) { return Const(node, src); }

Value Buffer(ir::Ref node, Sources) {
    const auto* storage = dynamic_cast<const Storage*>(node->attachment());
    if (storage == nullptr) refuse(node, "the buffer has no memory");
    const std::shared_ptr<Memory>& memory = storage->memory;
    if (static_cast<std::size_t>(node->numel()) * size_of(node->dtype()) > memory->bytes())
        refuse(node, "its memory has " + std::to_string(memory->bytes()) + " bytes only");
    if (memory->device() == DeviceId::CUDA) {
        Value out = allocate_for(node);
        read_memory(out.fill<std::byte>(), *memory,
                    static_cast<std::size_t>(node->numel()) * size_of(node->dtype()));
        return out;
    }
    return Value(memory, memory->data());
}

Value Iota(ir::Ref node, Sources) {
    Value out = allocate_for(node);
    const auto axis = static_cast<std::size_t>(node->arg(0));
    const Strides strides = dense_strides(node->shape());
    with_element(node->dtype(), [&]<class E>() {
        if constexpr (is_int_element<E>) {
            E* to = out.fill<E>();
            for (std::int64_t i = 0; i < node->numel(); ++i)
                to[i] = static_cast<E>(i / strides[axis] % node->shape()[axis]);
        } else {
            refuse(node, "positions are integers");
        }
    });
    return out;
}

}  // namespace sinter::runtime::ref::eval
