#include "ref/value.h"

#include <sinter/ir/error.h>
#include <sinter/runtime/allocator.h>

#include <new>

namespace sinter::runtime::ref {

Value Value::allocate(DType dtype, std::int64_t count) {
    const std::size_t bytes = static_cast<std::size_t>(count) * size_of(dtype);
    constexpr std::align_val_t kAlignment{64};
    // More than the machine has is refused here: a system may promise it, and kill who uses it.
    static const std::size_t limit = Allocator::defaults().limit;
    void* data = bytes <= limit ? ::operator new(bytes, kAlignment, std::nothrow) : nullptr;
    if (data == nullptr)
        throw OutOfMemoryError("REF: no memory for " + std::to_string(count) + " elements of " +
                               std::string(name(dtype)) + " (" + std::to_string(bytes) + " bytes)");
    std::shared_ptr<void> owner(data, [](void* p) { ::operator delete(p, kAlignment); });
    return Value(std::move(owner), data);
}

std::string shape_text(std::span<const std::int64_t> shape) {
    std::string text = "[";
    for (std::size_t d = 0; d < shape.size(); ++d)
        text += (d == 0 ? "" : ", ") + std::to_string(shape[d]);
    return text + "]";
}

void refuse(ir::Ref node, std::string_view why) {
    std::string text = "REF: " + std::string(ir::name(node->op())) + " of shape " +
                       shape_text(node->shape()) + " and dtype " + std::string(name(node->dtype()));
    for (std::size_t i = 0; i < node->src().size(); ++i)
        text += (i == 0 ? ", sources " : ", ") + std::string(name(node->src(i)->dtype())) +
                shape_text(node->src(i)->shape());
    throw InternalError(text + ": " + std::string(why));
}

}  // namespace sinter::runtime::ref
