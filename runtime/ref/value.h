#pragma once
// Values of nodes while a graph is evaluated.

#include <sinter/ir/node.h>

#include <memory>
#include <span>
#include <string>

namespace sinter::runtime::ref {

/// The elements of one node in row-major order; shape and dtype are the node's. Nodes whose
/// elements are those of their source share them.
class Value {
public:
    Value() = default;
    /// Views memory that `owner` keeps alive.
    Value(std::shared_ptr<const void> owner, const void* data)
        : owner_(std::move(owner)), data_(data) {}
    /// Room for `count` elements of `dtype`, not set. Throws OutOfMemoryError.
    static Value allocate(DType dtype, std::int64_t count);

    template <class E>
    const E* as() const {
        return static_cast<const E*>(data_);
    }
    /// For the function that allocated the value and fills it.
    template <class E>
    E* fill() {
        return static_cast<E*>(const_cast<void*>(data_));
    }

private:
    std::shared_ptr<const void> owner_;
    const void* data_ = nullptr;
};

using Sources = std::span<const Value* const>;

inline Value allocate_for(ir::Ref node) { return Value::allocate(node->dtype(), node->numel()); }

/// "[2, 3]".
std::string shape_text(std::span<const std::int64_t> shape);

/// For a node that the spec of the tensor level does not allow.
[[noreturn]] void refuse(ir::Ref node, std::string_view why);

}  // namespace sinter::runtime::ref
