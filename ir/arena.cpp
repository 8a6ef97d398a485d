#include <sinter/ir/arena.h>

#include <algorithm>
#include <unordered_set>

namespace sinter::ir {
namespace {

constexpr std::size_t kBlockBytes = 64 * 1024;
constexpr std::size_t kFirstTable = 256;

}  // namespace

Arena::Arena() : table_(kFirstTable, nullptr) {}
Arena::~Arena() = default;  // nodes are trivially destructible: no attachment is ever given to them

void* Arena::allocate(std::size_t bytes) {
    if (static_cast<std::size_t>(end_ - next_) < bytes) {
        const std::size_t size = std::max(kBlockBytes, bytes);
        blocks_.push_back(std::make_unique_for_overwrite<std::byte[]>(size));
        next_ = blocks_.back().get();
        end_ = next_ + size;
    }
    void* memory = next_;
    next_ += bytes;
    return memory;
}

void Arena::grow() {
    std::vector<Ref> bigger(table_.size() * 2, nullptr);
    const std::size_t mask = bigger.size() - 1;
    for (Ref node : table_) {
        if (node == nullptr) continue;
        std::size_t slot = node->hash() & mask;
        while (bigger[slot] != nullptr) slot = (slot + 1) & mask;
        bigger[slot] = node;
    }
    table_.swap(bigger);
}

Ref Arena::make(Op op, DType dtype, std::span<const Ref> src, std::span<const std::int64_t> args,
                std::uint16_t lanes) {
    const NodeKey key{op, dtype, lanes, src, args};
    const std::uint64_t hash = hash_of(key);
    const std::size_t mask = table_.size() - 1;
    std::size_t slot = hash & mask;
    while (table_[slot] != nullptr) {
        if (table_[slot]->hash() == hash && table_[slot]->same_key(key)) return table_[slot];
        slot = (slot + 1) & mask;
    }
    Node* node = Node::place(allocate(Node::bytes_for(key, 0)), key, hash, {});
    node->derive();
    table_[slot] = node;
    if (++count_ * 2 > table_.size()) grow();
    return node;
}

Ref Arena::with_src(Ref node, std::span<const Ref> src) {
    if (std::ranges::equal(node->src(), src)) return node;
    return make(node->op(), node->dtype(), src, node->args(), node->lanes());
}

Ref Arena::constant(DType dtype, double value) {
    return constant_bits(dtype, round_bits(dtype, value));
}

Ref Arena::constant_bits(DType dtype, std::int64_t bits) {
    return make(Op::Const, dtype, {}, {bits});
}

Ref Arena::binary(Op op, Ref a, Ref b) {
    return make(op, info(op).dtype == DTypeRule::Bool ? DType::Bool : a->dtype(), {a, b});
}

std::vector<Ref> toposort(std::span<const Ref> roots) {
    std::vector<Ref> order;
    std::unordered_set<Ref> seen;
    // A node is pushed with the number of sources already walked.
    std::vector<std::pair<Ref, std::size_t>> stack;
    for (Ref root : roots) {
        if (!seen.insert(root).second) continue;
        stack.emplace_back(root, 0);
        while (!stack.empty()) {
            auto& [node, next] = stack.back();
            if (next == node->src().size()) {
                order.push_back(node);
                stack.pop_back();
                continue;
            }
            const Ref source = node->src(next++);
            if (seen.insert(source).second) stack.emplace_back(source, 0);
        }
    }
    return order;
}

}  // namespace sinter::ir
