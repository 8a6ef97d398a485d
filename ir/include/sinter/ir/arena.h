#pragma once
// Nodes of one compile: hash-consed in blocks of memory that go all at once.

#include <initializer_list>
#include <memory>
#include <span>
#include <vector>

#include <sinter/ir/node.h>

namespace sinter::ir {

/// Makes and owns nodes. Not thread-safe: one arena a compile. Nodes may refer to nodes of another
/// arena or of the intern table, as long as those live longer.
class Arena {
public:
    Arena();
    ~Arena();
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;

    /// The kernel-level node with this key, made if it is new; bounds and ranges are derived.
    /// Tensor-level nodes (which have shapes) are made by UOp alone.
    Ref make(Op op, DType dtype, std::span<const Ref> src, std::span<const std::int64_t> args = {},
             std::uint16_t lanes = 1);
    Ref make(Op op, DType dtype, std::initializer_list<Ref> src,
             std::initializer_list<std::int64_t> args = {}) {
        return make(op, dtype, std::span<const Ref>(src.begin(), src.size()),
                    std::span<const std::int64_t>(args.begin(), args.size()));
    }
    /// `node` with other sources: itself when they are the same.
    Ref with_src(Ref node, std::span<const Ref> src);

    // Kernel-level shorthands. Elementwise results have the first operand's dtype (comparisons:
    // bool).
    Ref constant(DType dtype, double value);
    Ref constant_bits(DType dtype, std::int64_t bits);
    Ref index(std::int64_t value) { return constant_bits(DType::Index, value); }
    Ref truth(bool value) { return constant_bits(DType::Bool, value ? 1 : 0); }
    Ref unary(Op op, Ref x) { return make(op, x->dtype(), {x}); }
    Ref binary(Op op, Ref a, Ref b);
    Ref add(Ref a, Ref b) { return binary(Op::Add, a, b); }
    Ref sub(Ref a, Ref b) { return binary(Op::Sub, a, b); }
    Ref mul(Ref a, Ref b) { return binary(Op::Mul, a, b); }
    Ref idiv(Ref a, Ref b) { return binary(Op::IDiv, a, b); }
    Ref mod(Ref a, Ref b) { return binary(Op::Mod, a, b); }
    Ref lt(Ref a, Ref b) { return binary(Op::Lt, a, b); }
    Ref le(Ref a, Ref b) { return binary(Op::Le, a, b); }
    Ref land(Ref a, Ref b) { return binary(Op::And, a, b); }
    Ref where(Ref c, Ref a, Ref b) { return make(Op::Where, a->dtype(), {c, a, b}); }
    Ref cast(Ref x, DType dtype) { return x->dtype() == dtype ? x : make(Op::Cast, dtype, {x}); }

    std::size_t size() const { return count_; }

private:
    void* allocate(std::size_t bytes);
    void grow();

    std::vector<std::unique_ptr<std::byte[]>> blocks_;
    std::byte* next_ = nullptr;
    std::byte* end_ = nullptr;
    std::vector<Ref> table_;  // open addressing, power of two
    std::size_t count_ = 0;
};

/// Every node reachable from `roots`, each after its sources. Iterative: depth is no limit.
std::vector<Ref> toposort(std::span<const Ref> roots);

}  // namespace sinter::ir
