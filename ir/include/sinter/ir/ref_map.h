#pragma once
// A map from nodes to values, by identity.

#include <cstddef>
#include <utility>
#include <vector>

#include <sinter/ir/node.h>

namespace sinter::ir {

/// Open addressing over node identity; faster than std::unordered_map by the allocation a node.
/// Order is not kept: never iterate over what must be deterministic (so there is no way to).
template <class T>
class RefMap {
public:
    explicit RefMap(std::size_t expected = 16) {
        std::size_t capacity = 32;
        while (capacity < expected * 2) capacity *= 2;
        slots_.resize(capacity);
    }

    /// The value of `key`, or null. Valid until the next insertion.
    const T* find(Ref key) const {
        const Slot& slot = slots_[place(key)];
        return slot.key == nullptr ? nullptr : &slot.value;
    }
    T* find(Ref key) { return const_cast<T*>(std::as_const(*this).find(key)); }
    bool contains(Ref key) const { return find(key) != nullptr; }

    /// The value of `key`, made if it is new. Valid until the next insertion.
    T& operator[](Ref key) {
        std::size_t i = place(key);
        if (slots_[i].key == nullptr) {
            if ((size_ + 1) * 2 > slots_.size()) {
                grow();
                i = place(key);
            }
            slots_[i].key = key;
            ++size_;
        }
        return slots_[i].value;
    }

    std::size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }

private:
    struct Slot {
        Ref key = nullptr;
        T value{};
    };

    std::size_t place(Ref key) const {
        const std::size_t mask = slots_.size() - 1;
        auto h = reinterpret_cast<std::uintptr_t>(key) >> 4;
        std::size_t i = static_cast<std::size_t>((h * 0x9E3779B97F4A7C15u) >> 20) & mask;
        while (slots_[i].key != nullptr && slots_[i].key != key) i = (i + 1) & mask;
        return i;
    }

    void grow() {
        std::vector<Slot> old(slots_.size() * 2);
        old.swap(slots_);
        for (Slot& slot : old)
            if (slot.key != nullptr) slots_[place(slot.key)] = std::move(slot);
    }

    std::vector<Slot> slots_;
    std::size_t size_ = 0;
};

}  // namespace sinter::ir
