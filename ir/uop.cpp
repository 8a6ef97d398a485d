#include <sinter/ir/uop.h>

#include <array>
#include <mutex>
#include <new>
#include <string>
#include <vector>

#include <sinter/ir/error.h>

#include "shapes.h"

namespace sinter::ir {

// The registry of living tensor-level nodes: sharded by hash, each shard an open-addressing table
// under its own lock. It owns nothing: a node whose count has dropped to zero is dead, is never
// handed out again, and is removed by the thread that dropped it.
class InternTable {
public:
    static InternTable& instance() {
        // Never destroyed: handles of static duration may outlive any order of destruction.
        static InternTable* table = new InternTable;
        return *table;
    }

    // Returns an owned node.
    Ref intern(const NodeKey& key) {
        const std::uint64_t hash = hash_of(key);
        Shard& shard = shards_[hash >> 58];
        {
            const std::lock_guard lock(shard.mutex);
            if (Ref found = shard.find(key, hash)) return found;
        }
        // Shapes are computed outside the lock; they may throw.
        const Shape shape = shape_of(key);
        const std::int64_t numel = numel_of(shape, key.op);
        if (shape.size() > 255)
            throw ShapeError(std::string(name(key.op)) + ": more than 255 axes");
        const std::lock_guard lock(shard.mutex);
        if (Ref found = shard.find(key, hash)) return found;
        void* memory = ::operator new(Node::bytes_for(key, shape.size()));
        Node* node = Node::place(memory, key, hash, shape);
        node->numel_ = numel;
        node->count_.store(1, std::memory_order_relaxed);
        for (Ref s : key.src) s->count_.fetch_add(1, std::memory_order_relaxed);
        shard.insert(node);
        return node;
    }

    // Called once by whoever dropped the last owner.
    void remove(Ref node) {
        Shard& shard = shards_[node->hash() >> 58];
        const std::lock_guard lock(shard.mutex);
        shard.erase(node);
    }

    std::size_t size() {
        std::size_t total = 0;
        for (Shard& shard : shards_) {
            const std::lock_guard lock(shard.mutex);
            total += shard.count;
        }
        return total;
    }

private:
    struct Shard {
        std::mutex mutex;
        std::vector<Ref> slots = std::vector<Ref>(64, nullptr);
        std::size_t count = 0;

        // Takes a share of the node unless it is dead.
        Ref find(const NodeKey& key, std::uint64_t hash) {
            const std::size_t mask = slots.size() - 1;
            for (std::size_t i = hash & mask; slots[i] != nullptr; i = (i + 1) & mask) {
                if (slots[i]->hash() != hash || !slots[i]->same_key(key)) continue;
                std::uint32_t owners = slots[i]->count_.load(std::memory_order_relaxed);
                while (owners != 0)
                    if (slots[i]->count_.compare_exchange_weak(owners, owners + 1,
                                                               std::memory_order_acquire))
                        return slots[i];
            }
            return nullptr;
        }

        void insert(Ref node) {
            if ((count + 1) * 2 > slots.size()) {
                std::vector<Ref> old(slots.size() * 2, nullptr);
                old.swap(slots);
                for (Ref kept : old)
                    if (kept != nullptr) put(kept);
            }
            put(node);
            ++count;
        }

        void put(Ref node) {
            const std::size_t mask = slots.size() - 1;
            std::size_t i = node->hash() & mask;
            while (slots[i] != nullptr) i = (i + 1) & mask;
            slots[i] = node;
        }

        // Deletion by backward shift (Knuth, TAOCP 3, 6.4 algorithm R): no tombstones.
        void erase(Ref node) {
            const std::size_t mask = slots.size() - 1;
            std::size_t hole = node->hash() & mask;
            while (slots[hole] != node) hole = (hole + 1) & mask;
            for (std::size_t i = (hole + 1) & mask; slots[i] != nullptr; i = (i + 1) & mask) {
                const std::size_t home = slots[i]->hash() & mask;
                if (((i - home) & mask) < ((i - hole) & mask)) continue;
                slots[hole] = slots[i];
                hole = i;
            }
            slots[hole] = nullptr;
            --count;
        }
    };
    std::array<Shard, 64> shards_;
};

namespace {

void destroy(Ref node) {
    delete node->attachment();
    ::operator delete(const_cast<Node*>(node));
}

}  // namespace

void UOp::retain() {
    if (node_ != nullptr) node_->count_.fetch_add(1, std::memory_order_relaxed);
}

// Sources of a dead node are dropped from a worklist, so that a chain of any length goes without
// recursion. The attachment of a dead node may own handles itself; those releases append to the
// same worklist.
void UOp::release() {
    if (node_ == nullptr || node_->count_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    thread_local std::vector<Ref>* active = nullptr;
    if (active != nullptr) {
        active->push_back(node_);
        return;
    }
    std::vector<Ref> dead{node_};
    active = &dead;
    while (!dead.empty()) {
        const Ref node = dead.back();
        dead.pop_back();
        InternTable::instance().remove(node);
        for (Ref s : node->src())
            if (s->count_.fetch_sub(1, std::memory_order_acq_rel) == 1) dead.push_back(s);
        destroy(node);
    }
    active = nullptr;
}

std::uint32_t UOp::use_count() const {
    return node_ == nullptr ? 0 : node_->count_.load(std::memory_order_acquire);
}

UOp UOp::make(Op op, DType dtype, std::span<const UOp> src, std::span<const std::int64_t> args) {
    constexpr std::size_t kInline = 8;
    Ref fixed[kInline];
    std::vector<Ref> heap;
    Ref* sources = fixed;
    if (src.size() > kInline) {
        heap.resize(src.size());
        sources = heap.data();
    }
    for (std::size_t i = 0; i < src.size(); ++i) sources[i] = src[i].node_;
    UOp handle;
    handle.node_ = InternTable::instance().intern({op, dtype, 1, {sources, src.size()}, args});
    return handle;
}

std::size_t live_node_count() { return InternTable::instance().size(); }

}  // namespace sinter::ir
