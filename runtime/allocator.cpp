#include <sinter/runtime/allocator.h>

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <fstream>
#include <string>

#include <sinter/ir/error.h>

namespace sinter::runtime {
namespace {

constexpr std::size_t kAlign = 64;

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kKeepsBlocks = false;  // so that the sanitizer sees uses after a free
#else
constexpr bool kKeepsBlocks = true;
#endif

std::size_t read_limit(const char* path) {
    std::ifstream file(path);
    std::size_t limit = 0;
    return file >> limit ? limit : SIZE_MAX;  // "max", or no such file
}

}  // namespace

Allocator::Options Allocator::defaults() {
    const std::size_t machine = static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) *
                                static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    // Beyond the limit of its group a process is killed, not refused.
    const std::size_t limit = std::min({machine, read_limit("/sys/fs/cgroup/memory.max"),
                                        read_limit("/sys/fs/cgroup/memory/memory.limit_in_bytes")});
    return {limit, kKeepsBlocks ? limit / 4 : 0};
}

Allocator& Allocator::instance() {
    // Never destroyed: Tensors that are globals are freed after main.
    static Allocator& all = *new Allocator(defaults());
    return all;
}

Allocator::~Allocator() { trim(); }

std::size_t Allocator::class_of(std::size_t bytes) {
    if (bytes > SIZE_MAX / 4) return 0;
    if (bytes <= 8 * kAlign)
        return std::max<std::size_t>((bytes + kAlign - 1) / kAlign, 1) * kAlign;
    const std::size_t step = std::bit_floor(bytes - 1) / 8;
    return (bytes + step - 1) / step * step;
}

void* Allocator::from_system(std::size_t size) {
    if (size < kHugePage) return std::aligned_alloc(kAlign, size);
    // More than is needed, then the ends are given back, so that the block begins on a huge page.
    const std::size_t page = 4096, rounded = (size + page - 1) / page * page,
                      mapped = rounded + kHugePage;
    void* all = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED) return nullptr;
    const auto begin = reinterpret_cast<std::uintptr_t>(all);
    const std::uintptr_t aligned = (begin + kHugePage - 1) / kHugePage * kHugePage;
    if (aligned != begin) munmap(all, aligned - begin);
    const std::uintptr_t end = aligned + rounded, mapped_end = begin + mapped;
    if (mapped_end != end) munmap(reinterpret_cast<void*>(end), mapped_end - end);
    madvise(reinterpret_cast<void*>(aligned), rounded, MADV_HUGEPAGE);  // a wish: failing is fine
    return reinterpret_cast<void*>(aligned);
}

void Allocator::to_system(void* data, std::size_t size) {
    if (size < kHugePage)
        std::free(data);
    else
        munmap(data, (size + 4095) / 4096 * 4096);
}

void* Allocator::allocate(std::size_t bytes) {
    const std::size_t size = class_of(bytes);
    const std::lock_guard lock(mutex_);
    const auto refuse = [&] {
        return OutOfMemoryError("out of memory: " + std::to_string(bytes) + " bytes asked for, " +
                                std::to_string(stats_.in_use) + " bytes in use, " +
                                std::to_string(options_.limit) +
                                " bytes there; free tensors, or work in smaller pieces");
    };
    if (size == 0 || size > options_.limit || stats_.in_use > options_.limit - size) throw refuse();
    void* data = nullptr;
    if (const auto found = kept_.find(size); found != kept_.end() && !found->second.empty()) {
        data = found->second.back();
        found->second.pop_back();
        stats_.kept -= size;
    } else {
        if (stats_.kept != 0 && stats_.in_use + stats_.kept > options_.limit - size) drop_kept();
        data = from_system(size);
        if (data == nullptr) {
            drop_kept();
            data = from_system(size);
        }
        if (data == nullptr) throw refuse();
    }
    stats_.in_use += size;
    stats_.peak = std::max(stats_.peak, stats_.in_use);
    return data;
}

void Allocator::free(void* data, std::size_t bytes) {
    const std::size_t size = class_of(bytes);
    {
        const std::lock_guard lock(mutex_);
        stats_.in_use -= size;
        if (stats_.kept + size <= options_.keep) {
            kept_[size].push_back(data);
            stats_.kept += size;
            return;
        }
    }
    to_system(data, size);
}

void Allocator::drop_kept() {
    for (auto& [size, blocks] : kept_)
        for (void* block : blocks) to_system(block, size);
    kept_.clear();
    stats_.kept = 0;
}

void Allocator::trim() {
    const std::lock_guard lock(mutex_);
    drop_kept();
}

Allocator::Stats Allocator::stats() const {
    const std::lock_guard lock(mutex_);
    return stats_;
}

void Allocator::reset_peak() {
    const std::lock_guard lock(mutex_);
    stats_.peak = stats_.in_use;
}

}  // namespace sinter::runtime
