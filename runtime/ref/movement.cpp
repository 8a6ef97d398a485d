// Movement: each result is a strided reading of its source.

#include <algorithm>

#include "ref/element.h"
#include "ref/functions.h"
#include "ref/strided.h"

namespace sinter::runtime::ref::eval {
namespace {

/// Fills the elements of `out` that `to` walks over with those of `from` that `read` walks over.
void copy_strided(DType dtype, std::span<const std::int64_t> shape, Value& out, const Track& to,
                  const Value& from, const Track& read) {
    with_width(dtype, [&]<class T>() {
        T* target = out.fill<T>();
        const T* source = from.as<T>();
        for_each_row<2>(shape, {to, read},
                        [&](const Offsets<2>& at, const Offsets<2>& step, std::int64_t n) {
                            T* t = target + at[0];
                            const T* s = source + at[1];
                            for (std::int64_t i = 0; i < n; ++i) t[i * step[0]] = s[i * step[1]];
                        });
    });
}

/// The node whose elements are those of its source that `read` walks over.
Value read_strided(ir::Ref node, Sources src, const Track& read) {
    Value out = allocate_for(node);
    copy_strided(node->dtype(), node->shape(), out, {0, dense_strides(node->shape())}, *src[0],
                 read);
    return out;
}

Strides source_strides(ir::Ref node) { return dense_strides(node->src(0)->shape()); }

}  // namespace

Value Reshape(ir::Ref, Sources src) { return *src[0]; }

Value Permute(ir::Ref node, Sources src) {
    const Strides from = source_strides(node);
    Track read;
    for (const std::int64_t axis : node->args())
        read.strides.push_back(from[static_cast<std::size_t>(axis)]);
    return read_strided(node, src, read);
}

Value Expand(ir::Ref node, Sources src) {
    Track read{0, source_strides(node)};
    for (std::size_t d = 0; d < node->rank(); ++d)
        if (node->src(0)->shape()[d] == 1) read.strides[d] = 0;
    return read_strided(node, src, read);
}

Value Pad(ir::Ref node, Sources src) {
    Value out = allocate_for(node);
    const std::int64_t bits = node->arg(0);
    with_element(node->dtype(), [&]<class E>() {
        E fill{};
        if constexpr (is_bool_element<E>)
            fill = store<E>(bits != 0);
        else if constexpr (is_float_element<E>)
            fill = store<E>(ir::const_double(bits));
        else
            fill = static_cast<E>(bits);
        std::fill_n(out.fill<E>(), node->numel(), fill);
    });
    Track inside{0, dense_strides(node->shape())};
    for (std::size_t d = 0; d < node->rank(); ++d)
        inside.start += node->arg(1 + 2 * d) * inside.strides[d];
    copy_strided(node->dtype(), node->src(0)->shape(), out, inside, *src[0],
                 {0, source_strides(node)});
    return out;
}

Value Shrink(ir::Ref node, Sources src) {
    Track read{0, source_strides(node)};
    for (std::size_t d = 0; d < node->rank(); ++d) read.start += node->arg(2 * d) * read.strides[d];
    return read_strided(node, src, read);
}

Value Flip(ir::Ref node, Sources src) {
    Track read{0, source_strides(node)};
    for (const std::int64_t arg : node->args()) {
        const auto axis = static_cast<std::size_t>(arg);
        read.start += (node->shape()[axis] - 1) * read.strides[axis];
        read.strides[axis] = -read.strides[axis];
    }
    return read_strided(node, src, read);
}

Value Stride(ir::Ref node, Sources src) {
    Track read{0, source_strides(node)};
    for (std::size_t d = 0; d < node->rank(); ++d) read.strides[d] *= node->arg(d);
    return read_strided(node, src, read);
}

Value Window(ir::Ref node, Sources src) {
    const auto axis = static_cast<std::size_t>(node->arg(0));
    const std::int64_t step = node->arg(2), dilation = node->arg(3);
    Track read{0, source_strides(node)};
    const std::int64_t along = read.strides[axis];
    read.strides[axis] = along * step;
    read.strides.push_back(along * dilation);
    return read_strided(node, src, read);
}

}  // namespace sinter::runtime::ref::eval
