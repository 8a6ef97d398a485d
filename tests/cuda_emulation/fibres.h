#pragma once
// Threads of a block on one thread of the CPU: each has a stack, and gives way where it waits.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace emulation {

/// Runs the threads of one block at a time.
class Block {
public:
    enum class Wait : std::uint8_t { None, Barrier, WarpBarrier, Shuffle, Done };

    /// Runs `body(thread)` for each of `threads` threads. Gives what went wrong: threads of a
    /// block, or of a warp, that do not meet where they should; or nothing.
    std::string run(unsigned threads, const std::function<void(unsigned)>& body);

    // Called by the thread that runs.
    void wait(Wait why);
    std::uint64_t shuffle(std::uint64_t value, int from);
    unsigned current() const { return current_; }

private:
    struct Thread {
        void* stack_pointer = nullptr;
        Wait wait = Wait::None;
        std::uint64_t value = 0;
        int from = 0;
    };
    static void start();
    void resume(unsigned thread);
    bool release(unsigned first, unsigned count, std::string& fault);

    static constexpr std::size_t kStack = std::size_t{64} << 10;
    std::vector<std::unique_ptr<std::byte[]>> stacks_;
    std::vector<Thread> threads_;
    const std::function<void(unsigned)>* body_ = nullptr;
    unsigned current_ = 0;
    void* scheduler_ = nullptr;  // its stack pointer
    static Block* running_;
};

}  // namespace emulation
