#pragma once
// The one node type of every level: an immutable record, hash-consed by whoever makes it (the
// intern table for tensor graphs, an Arena inside a compile), so that equal nodes are the same
// pointer.

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <sinter/ir/dtype.h>
#include <sinter/ir/op.h>

namespace sinter::ir {

/// Sizes; users see `sinter::Shape` (core), a type of its own so that it prints.
using Shape = std::vector<std::int64_t>;

/// Something the runtime hangs on a tensor node: the memory of a Buffer, or the Buffer that a node
/// was realized to. Not part of the node's identity.
class Attachment {
public:
    virtual ~Attachment() = default;
};

class Node;
/// A node by reference; null means "none". Whoever made the node keeps it alive.
using Ref = const Node*;

/// What identifies a node.
struct NodeKey {
    Op op;
    DType dtype;
    std::uint16_t lanes;  ///< 1 but for vectors in linear programs
    std::span<const Ref> src;
    std::span<const std::int64_t> args;
};

std::uint64_t hash_of(const NodeKey& key);

/// Sources, arguments and shape follow the record in memory.
class Node {
public:
    Op op() const { return op_; }
    DType dtype() const { return dtype_; }
    std::uint16_t lanes() const { return lanes_; }
    std::uint64_t hash() const { return hash_; }
    std::span<const Ref> src() const { return {sources(), nsrc_}; }
    Ref src(std::size_t i) const { return sources()[i]; }
    std::span<const std::int64_t> args() const { return {ints(), nargs_}; }
    std::int64_t arg(std::size_t i) const { return ints()[i]; }
    /// Sizes of the value, tensor level only; empty for scalars and inside kernels.
    std::span<const std::int64_t> shape() const { return {ints() + nargs_, rank_}; }
    std::size_t rank() const { return rank_; }
    /// Number of elements, tensor level only.
    std::int64_t numel() const { return numel_; }

    /// Kernel level: bounds of the value, for integer and bool nodes; the dtype's whole range where
    /// nothing is known.
    std::int64_t vmin() const { return vmin_; }
    std::int64_t vmax() const { return vmax_; }
    /// Kernel level: the ranges this value depends on, one bit a range number (Range::arg(0) < 64).
    std::uint64_t ranges() const { return ranges_; }

    bool is(Op op) const { return op_ == op; }
    bool same_key(const NodeKey& key) const;

    /// The runtime's slot; see Attachment. Readable by any thread, set once by the thread that
    /// realizes.
    Attachment* attachment() const { return attachment_.load(std::memory_order_acquire); }
    /// Takes `attachment` unless there is one already; returns the one in place.
    Attachment* attach(std::unique_ptr<Attachment> attachment) const;

    Node(const Node&) = delete;
    Node& operator=(const Node&) = delete;

private:
    friend class Arena;
    friend class UOp;
    friend class InternTable;
    Node() = default;
    ~Node() = default;

    // Fills a block of bytes_for(key, rank) bytes; the shape has `rank` sizes.
    static std::size_t bytes_for(const NodeKey& key, std::size_t rank);
    static Node* place(void* memory, const NodeKey& key, std::uint64_t hash,
                       std::span<const std::int64_t> shape);
    void derive();  // vmin, vmax and ranges from the sources (bounds.cpp)

    const Ref* sources() const { return reinterpret_cast<const Ref*>(this + 1); }
    const std::int64_t* ints() const {
        return reinterpret_cast<const std::int64_t*>(sources() + nsrc_);
    }

    std::uint64_t hash_ = 0;
    mutable std::atomic<Attachment*> attachment_{nullptr};
    std::int64_t vmin_ = 0, vmax_ = 0;
    union {
        std::uint64_t ranges_ = 0;  // inside kernels
        std::int64_t numel_;        // tensor level
    };
    mutable std::atomic<std::uint32_t> count_{0};  // owners, tensor level only
    std::uint32_t nsrc_ = 0;
    std::uint32_t nargs_ = 0;
    Op op_{};
    DType dtype_{};
    std::uint16_t lanes_ = 1;
    std::uint8_t rank_ = 0;
};
static_assert(sizeof(Node) == 64, "the hot record is one cache line");

// Constants are stored as the bits of an int64 (integers, bool) or of a double (floats).
std::int64_t const_bits(double value);
double const_double(std::int64_t bits);
/// The value of a Const node of any dtype as a double.
double as_double(Ref constant);
/// Bits of `value` after rounding (floats) or wrapping (integers) to `dt`.
std::int64_t round_bits(DType dt, double value);
std::int64_t wrap_int(DType dt, std::int64_t value);
/// The bits with which a reduction of this kind starts: 0, 1, -inf or lowest, inf or highest.
std::int64_t identity_bits(ReduceKind kind, DType dt);

/// Text of one node without its sources, e.g. "Const f32 0.5" or "Reduce f32 add axes=[1]".
std::string describe(Ref node);

}  // namespace sinter::ir
