#pragma once
// Memory of the CPU: blocks by size class, kept for the next run when they are freed.

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <vector>

namespace sinter::runtime {

/// Any thread may call. Blocks are at least 64-byte aligned; those of 2 MiB and more are on huge
/// pages where the system has them.
class Allocator {
public:
    /// Bytes from which on a block lies on huge pages, where the system has them, and of such a
    /// page.
    static constexpr std::size_t kHugePage = std::size_t{2} << 20;

    struct Options {
        std::size_t limit = 0;  ///< bytes in use at most
        std::size_t keep = 0;   ///< freed bytes kept at most
    };
    /// limit: what the machine or the control group has; keep: a quarter of it.
    static Options defaults();
    explicit Allocator(Options options) : options_(options) {}
    ~Allocator();
    Allocator(const Allocator&) = delete;
    Allocator& operator=(const Allocator&) = delete;

    /// The allocator of this process.
    static Allocator& instance();

    /// At least `bytes` bytes, never null. Throws OutOfMemoryError naming the bytes asked for and
    /// in use.
    void* allocate(std::size_t bytes);
    /// `bytes` as it was asked for.
    void free(void* data, std::size_t bytes);
    /// Gives what is kept back to the system.
    void trim();

    struct Stats {
        std::size_t in_use = 0, peak = 0, kept = 0;
    };
    Stats stats() const;
    void reset_peak();

    /// What a request of `bytes` takes: 64-byte steps at first, then eight classes an octave, so
    /// that at most an eighth is wasted. 0 if no such block can exist.
    static std::size_t class_of(std::size_t bytes);

private:
    void* from_system(std::size_t size);
    void to_system(void* data, std::size_t size);
    void drop_kept();  // with the mutex held

    const Options options_;
    mutable std::mutex mutex_;
    std::map<std::size_t, std::vector<void*>> kept_;  // by class
    Stats stats_;
};

}  // namespace sinter::runtime
