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

template <class I>
std::int64_t checked(ir::Ref node, std::string_view op, I index, std::int64_t axis,
                     std::int64_t bound) {
    if (!std::cmp_less(index, 0) && std::cmp_less(index, bound))
        return static_cast<std::int64_t>(index);
    throw IndexError(std::string(op) + " along axis " + std::to_string(axis) + ": index " +
                     std::to_string(index) + " is outside [0, " + std::to_string(bound) +
                     ") (values " + shape_text(node->src(0)->shape()) + ", indices " +
                     shape_text(node->src(1)->shape()) + ")");
}

template <class F>
Value with_index(ir::Ref node, F&& f) {
    return with_element(node->src(1)->dtype(), [&]<class I>() -> Value {
        if constexpr (is_int_element<I>)
            return f.template operator()<I>();
        else
            refuse(node, "indices are integers");
    });
}

/// Walks over the index array and over the array of the node's first source, which the index
/// addresses along `axis`.
struct Addressing {
    Addressing(ir::Ref node, std::int64_t axis_number)
        : axis(axis_number), bound(node->src(0)->shape()[static_cast<std::size_t>(axis)]) {
        addressed.strides = dense_strides(node->src(0)->shape());
        along = addressed.strides[static_cast<std::size_t>(axis)];
        addressed.strides[static_cast<std::size_t>(axis)] = 0;
        index.strides = dense_strides(node->src(1)->shape());
    }
    std::int64_t axis, bound, along = 0;
    Track index, addressed;
};

template <class E, ir::ReduceKind K, class I>
Value scatter(ir::Ref node, Sources src) {
    const Addressing to(node, node->arg(1));
    const auto count = static_cast<std::size_t>(node->numel());
    const auto carry = std::make_unique<Carry<E>[]>(count);
    const E *base = src[0]->as<E>(), *x = src[2]->as<E>();
    const I* index = src[1]->as<I>();
    for (std::size_t i = 0; i < count; ++i) carry[i] = static_cast<Carry<E>>(load(base[i]));
    const Noise* noise = is_float_element<E> ? Noise::active() : nullptr;
    std::vector<Terms<E>> terms(noise != nullptr ? count : 0);
    for (std::size_t i = 0; i < terms.size(); ++i) terms[i].add(static_cast<double>(load(base[i])));
    for_each_row<2>(
        node->src(1)->shape(), {to.index, to.addressed},
        [&](const Offsets<2>& at, const Offsets<2>& step, std::int64_t n) {
            for (std::int64_t i = 0; i < n; ++i) {
                const std::int64_t from = at[0] + i * step[0];
                const std::int64_t j = checked(node, "scatter", index[from], to.axis, to.bound);
                const auto into = static_cast<std::size_t>(at[1] + i * step[1] + j * to.along);
                carry[into] = combine<K>(carry[into], static_cast<Carry<E>>(load(x[from])));
                if (noise != nullptr) terms[into].add(static_cast<double>(load(x[from])));
            }
        });
    if constexpr (is_float_element<E>)
        for (std::size_t i = 0; i < terms.size(); ++i)
            if (terms[i].count > 1)
                carry[i] =
                    blur_carry<E, K>(*noise, carry[i], terms[i], static_cast<std::int64_t>(i));
    Value out = allocate_for(node);
    E* result = out.fill<E>();
    for (std::size_t i = 0; i < count; ++i) result[i] = round_carry<E>(carry[i]);
    return out;
}

}  // namespace

Value Gather(ir::Ref node, Sources src) {
    const Addressing from(node, node->arg(0));
    Value out = allocate_for(node);
    return with_index(node, [&]<class I>() {
        const I* index = src[1]->as<I>();
        with_width(node->dtype(), [&]<class T>() {
            T* to = out.fill<T>();
            const T* x = src[0]->as<T>();
            for_each_row<2>(node->shape(), {from.index, from.addressed},
                            [&](const Offsets<2>& at, const Offsets<2>& step, std::int64_t n) {
                                for (std::int64_t i = 0; i < n; ++i) {
                                    const std::int64_t position = at[0] + i * step[0];
                                    const std::int64_t j = checked(node, "gather", index[position],
                                                                   from.axis, from.bound);
                                    to[position] = x[at[1] + i * step[1] + j * from.along];
                                }
                            });
        });
        return out;
    });
}

Value Scatter(ir::Ref node, Sources src) {
    return with_combine(
        node, static_cast<ir::ReduceKind>(node->arg(0)), [&]<class E, ir::ReduceKind K>() {
            return with_index(node, [&]<class I>() { return scatter<E, K, I>(node, src); });
        });
}

}  // namespace sinter::runtime::ref::eval
