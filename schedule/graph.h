#pragma once
// The graph that is scheduled: the nodes of a Normalised key, numbered so that sources come first.

#include <cstdint>
#include <span>
#include <vector>

#include <sinter/schedule/schedule.h>

namespace sinter::schedule {

using Id = std::uint32_t;
inline constexpr Id kNone = 0xFFFFFFFF;

/// Read-only but for what the constructor puts right:
///  - values that need no memory to be read (a reduction or a pad of nothing) are constants;
///  - sorted values whose positions are asked for, too, are gathered by those;
///  - a scatter of 16-bit floats is carried in f32 and rounded at the end (docs/ir.md, Numbers).
class Graph {
public:
    explicit Graph(const Normalised& normalised);
    Graph(const Graph&) = delete;  // nodes point into it
    Graph& operator=(const Graph&) = delete;

    Id size() const { return static_cast<Id>(nodes_.size()); }
    ir::Op op(Id n) const { return nodes_[n].op; }
    DType dtype(Id n) const { return nodes_[n].dtype; }
    std::int64_t numel(Id n) const { return nodes_[n].numel; }
    std::span<const Id> src(Id n) const {
        return {sources_.data() + nodes_[n].src, nodes_[n].nsrc};
    }
    Id src(Id n, std::size_t i) const { return sources_[nodes_[n].src + i]; }
    std::span<const std::int64_t> args(Id n) const { return {nodes_[n].args, nodes_[n].nargs}; }
    std::int64_t arg(Id n, std::size_t i) const { return nodes_[n].args[i]; }
    std::span<const std::int64_t> shape(Id n) const { return {nodes_[n].shape, nodes_[n].rank}; }
    /// Buffer: position among the inputs. Bind: among the binds.
    std::int32_t leaf(Id n) const { return nodes_[n].leaf; }
    std::span<const Id> roots() const { return roots_; }

    /// The node whose bytes in memory are those of `n` too: reshapes, marks and movements that move
    /// nothing are passed.
    Id base(Id n) const { return nodes_[n].base; }
    bool is_leaf(Id n) const { return nodes_[n].leaf_op; }

private:
    struct Entry {
        const std::int64_t* args;
        const std::int64_t* shape;
        std::int64_t numel;
        std::int64_t bits;  // the argument of nodes that became constants
        Id src, base;
        std::int32_t leaf;
        std::uint32_t nsrc, nargs;
        ir::Op op;
        DType dtype;
        std::uint8_t rank;
        bool leaf_op;
    };
    Id append(Entry entry, std::span<const Id> sources);
    void make_constant(Entry& entry);
    Id add(Entry entry, std::span<const Id> sources);
    Id add_sort(Entry entry, Id source);
    void find_sorted_positions();

    std::vector<std::int64_t> key_;
    std::vector<Entry> nodes_;
    std::vector<Id> sources_;
    std::vector<Id> roots_;
    std::vector<const std::int64_t*> sorted_positions_;  // arguments of the Sorts that give them
    std::vector<Id> position_sorts_;                     // such nodes
};

/// How many window elements may cover one position of the Fold `n`.
std::int64_t fold_length(const Graph& graph, Id n);

/// How many times along `axis` a reduction goes: Π sizes of the reduced axes (Fold: of the window).
std::int64_t reduction_length(const Graph& graph, Id n);

}  // namespace sinter::schedule
