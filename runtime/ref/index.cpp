// Data-dependent indexing: every index is checked before anything is read or written through it.

#include <memory>
#include <utility>
#include <vector>

#include "ref/combine.h"
#include "ref/functions.h"
#include "ref/spread.h"
#include "ref/strided.h"

namespace sinter::runtime::ref::eval {
namespace {

/// The indices of a gather or scatter along `axis` in memory order, each of them checked: what
/// follows depends on their values alone, not on their dtype.
std::vector<std::int64_t> checked_indices(ir::Ref node, Sources src, std::string_view op,
                                          std::int64_t axis) {
    const std::int64_t bound = node->src(0)->shape()[static_cast<std::size_t>(axis)];
    std::vector<std::int64_t> indices(static_cast<std::size_t>(node->src(1)->numel()));
    with_element(node->src(1)->dtype(), [&]<class I>() {
        if constexpr (is_int_element<I>) {
            const I* index = src[1]->as<I>();
            for (std::size_t i = 0; i < indices.size(); ++i) {
                if (std::cmp_less(index[i], 0) || !std::cmp_less(index[i], bound))
                    throw IndexError(std::string(op) + " along axis " + std::to_string(axis) +
                                     ": index " + std::to_string(index[i]) + " is outside [0, " +
                                     std::to_string(bound) + ") (values " +
                                     shape_text(node->src(0)->shape()) + ", indices " +
                                     shape_text(node->src(1)->shape()) + ")");
                indices[i] = static_cast<std::int64_t>(index[i]);
            }
        } else {
            refuse(node, "indices are integers");
        }
    });
    return indices;
}

/// Walks over the index array and over the array of the node's first source, which the index
/// addresses along `axis`.
struct Addressing {
    Addressing(ir::Ref node, std::int64_t axis) {
        addressed.strides = dense_strides(node->src(0)->shape());
        along = std::exchange(addressed.strides[static_cast<std::size_t>(axis)], 0);
        index.strides = dense_strides(node->src(1)->shape());
    }
    std::int64_t along = 0;
    Track index, addressed;
};

template <class E, ir::ReduceKind K>
Value scatter(ir::Ref node, Sources src) {
    const Addressing to(node, node->arg(1));
    const std::vector<std::int64_t> index = checked_indices(node, src, "scatter", node->arg(1));
    const auto count = static_cast<std::size_t>(node->numel());
    const auto carry = std::make_unique<Carry<E>[]>(count);
    const E *base = src[0]->as<E>(), *x = src[2]->as<E>();
    for (std::size_t i = 0; i < count; ++i) carry[i] = static_cast<Carry<E>>(load(base[i]));
    const Noise* noise = is_float_element<E> ? Noise::active() : nullptr;
    std::vector<Terms<E>> terms(noise != nullptr ? count : 0);
    for (std::size_t i = 0; i < terms.size(); ++i) terms[i].add(static_cast<double>(load(base[i])));
    for_each_row<2>(
        node->src(1)->shape(), {to.index, to.addressed},
        [&](const Offsets<2>& at, const Offsets<2>& step, std::int64_t n) {
            for (std::int64_t i = 0; i < n; ++i) {
                const std::int64_t from = at[0] + i * step[0];
                const auto into = static_cast<std::size_t>(
                    at[1] + i * step[1] + index[static_cast<std::size_t>(from)] * to.along);
                carry[into] = combine<K>(carry[into], static_cast<Carry<E>>(load(x[from])));
                if (noise != nullptr) terms[into].add(static_cast<double>(load(x[from])));
            }
        });
    if constexpr (is_float_element<E>)
        for (std::size_t i = 0; i < terms.size(); ++i)
            if (terms[i].count > 1)
                carry[i] = blur_carry<E, K>(*noise, carry[i], terms[i],
                                            static_cast<std::int64_t>(i), false, /*serial=*/true);
    Value out = allocate_for(node);
    E* result = out.fill<E>();
    for (std::size_t i = 0; i < count; ++i) result[i] = round_carry<E>(carry[i]);
    return out;
}

}  // namespace

Value Gather(ir::Ref node, Sources src) {
    const Addressing from(node, node->arg(0));
    const std::vector<std::int64_t> index = checked_indices(node, src, "gather", node->arg(0));
    Value out = allocate_for(node);
    with_width(node->dtype(), [&]<class T>() {
        T* to = out.fill<T>();
        const T* x = src[0]->as<T>();
        for_each_row<2>(node->shape(), {from.index, from.addressed},
                        [&](const Offsets<2>& at, const Offsets<2>& step, std::int64_t n) {
                            for (std::int64_t i = 0; i < n; ++i) {
                                const std::int64_t position = at[0] + i * step[0];
                                to[position] =
                                    x[at[1] + i * step[1] +
                                      index[static_cast<std::size_t>(position)] * from.along];
                            }
                        });
    });
    return out;
}

Value Scatter(ir::Ref node, Sources src) {
    return with_combine(node, static_cast<ir::ReduceKind>(node->arg(0)),
                        [&]<class E, ir::ReduceKind K>() { return scatter<E, K>(node, src); });
}

}  // namespace sinter::runtime::ref::eval
