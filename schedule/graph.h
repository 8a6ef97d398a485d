#pragma once
// The graph that is scheduled: the nodes of a Normalised key, numbered so that sources come first.

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include <sinter/schedule/schedule.h>

namespace sinter::schedule {

using Id = std::uint32_t;
inline constexpr Id kNone = 0xFFFFFFFF;

/// Read-only but for what the constructor puts right:
///  - values that need no memory to be read (a reduction or a pad of nothing) are constants;
///  - what is permuted and then padded is padded first: memory made of it lies as its source does;
///  - sorted values whose positions are asked for, too, are gathered by those;
///  - a scatter of 16-bit floats is carried in f32 and rounded at the end (docs/ir.md, Numbers).
class Graph {
public:
    explicit Graph(const Normalised& normalised);
    Graph(Graph&&) = default;
    Graph& operator=(Graph&&) = default;

    /// The graph made anew, sources first. For each node `rewrite` is given its sources as they are
    /// now, which it may change, and what every node before it has become; it may make() more.
    using Rewrite =
        std::function<void(Id n, std::vector<Id>& sources, Graph& made, std::span<const Id> now)>;
    Graph rewritten(const Rewrite& rewrite) const;
    Id make(ir::Op op, DType dtype, std::vector<std::int64_t> shape, std::vector<std::int64_t> args,
            std::span<const Id> sources);

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
    /// A Contiguous (with an argument) of which the users are to find their value in memory, and
    /// not to compute it for all who need it.
    bool is_read_back(Id n) const { return op(n) == ir::Op::Contiguous && nodes_[n].nargs != 0; }
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
    Graph() = default;
    Id append(Entry entry, std::span<const Id> sources);
    void place_constants();
    void make_constant(Entry& entry);
    Id add(Entry entry, std::span<const Id> sources);
    Id add_sort(Entry entry, Id source);
    Id add_turned_pad(const Entry& entry, Id permute);
    void find_sorted_positions();

    // Arguments and shapes lie in the key and, of nodes made later, in lists of their own.
    std::shared_ptr<const std::vector<std::int64_t>> key_;
    std::shared_ptr<std::deque<std::vector<std::int64_t>>> lists_;
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
