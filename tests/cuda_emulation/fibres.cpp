#include "fibres.h"

#include <algorithm>
#include <cstring>

namespace emulation {

Block* Block::running_ = nullptr;

// switch_stack(from, to): keeps what a call must keep on the stack, leaves the stack pointer in
// *from and goes on where `to` was left.
extern "C" void emulation_switch_stack(void** from, void* to);

#if defined(__x86_64__)
asm(R"(
.text
.globl emulation_switch_stack
.type emulation_switch_stack, @function
emulation_switch_stack:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size emulation_switch_stack, .-emulation_switch_stack
)");
constexpr std::size_t kSaved = 6;
constexpr std::size_t kReturn = 6;  // position of the address to go to
#elif defined(__aarch64__)
asm(R"(
.text
.globl emulation_switch_stack
.type emulation_switch_stack, %function
emulation_switch_stack:
    sub sp, sp, #160
    stp x19, x20, [sp, #0]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    ldp x19, x20, [sp, #0]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #160
    ret
.size emulation_switch_stack, .-emulation_switch_stack
)");
constexpr std::size_t kSaved = 20;
constexpr std::size_t kReturn = 11;
#else
#error "the emulation of CUDA knows x86-64 and AArch64"
#endif

void Block::start() {
    Block& block = *running_;
    const unsigned thread = block.current_;
    (*block.body_)(thread);
    block.wait(Wait::Done);
}

void Block::resume(unsigned thread) {
    current_ = thread;
    threads_[thread].wait = Wait::None;
    emulation_switch_stack(&scheduler_, threads_[thread].stack_pointer);
}

void Block::wait(Wait why) {
    Thread& thread = threads_[current_];
    thread.wait = why;
    emulation_switch_stack(&thread.stack_pointer, scheduler_);
}

std::uint64_t Block::shuffle(std::uint64_t value, int from) {
    const unsigned me = current_;
    threads_[me].value = value;
    threads_[me].from = from;
    wait(Wait::Shuffle);
    return threads_[me].value;
}

// Lets go of threads [first, first + count) if all wait for the same, and it is theirs to wait for.
bool Block::release(unsigned first, unsigned count, std::string& fault) {
    const bool block = count == threads_.size() && first == 0;
    const Wait why = threads_[first].wait;
    if (why == Wait::Done || why == Wait::None) return false;
    for (unsigned i = first; i < first + count; ++i)
        if (threads_[i].wait != why) return false;
    if (why == Wait::Barrier) {
        if (!block) return false;
    } else if (count > 32) {
        return false;
    } else if (why == Wait::Shuffle) {
        std::vector<std::uint64_t> values;
        for (unsigned i = first; i < first + count; ++i) values.push_back(threads_[i].value);
        for (unsigned i = first; i < first + count; ++i) {
            const int from = threads_[i].from;
            if (from < 0 || from >= static_cast<int>(count))
                fault = "a shuffle from lane " + std::to_string(from);
            else
                threads_[i].value = values[static_cast<std::size_t>(from)];
        }
    }
    for (unsigned i = first; i < first + count; ++i) threads_[i].wait = Wait::None;
    return true;
}

std::string Block::run(unsigned threads, const std::function<void(unsigned)>& body) {
    running_ = this;
    body_ = &body;
    threads_.assign(threads, {});
    while (stacks_.size() < threads) stacks_.push_back(std::make_unique<std::byte[]>(kStack));
    for (unsigned t = 0; t < threads; ++t) {
        // As if `start` had been left at its first instruction, called from nowhere.
        auto top = reinterpret_cast<std::uintptr_t>(stacks_[t].get() + kStack) / 16 * 16;
        auto* words = reinterpret_cast<std::uint64_t*>(top) - kSaved - 4;
        std::memset(words, 0, (kSaved + 4) * sizeof *words);
        words[kReturn] = reinterpret_cast<std::uint64_t>(&Block::start);
        threads_[t].stack_pointer = words;
    }
    std::string fault;
    for (bool forward = true;; forward = !forward) {
        // In turns from both ends, so that a barrier that is missing shows.
        for (unsigned i = 0; i < threads; ++i) {
            const unsigned t = forward ? i : threads - 1 - i;
            if (threads_[t].wait == Wait::None) resume(t);
        }
        bool done = true, moved = release(0, threads, fault);
        if (!moved)
            for (unsigned first = 0; first < threads; first += 32)
                moved = release(first, std::min(32u, threads - first), fault) || moved;
        if (!moved) {
            for (const Thread& t : threads_) done = done && t.wait == Wait::Done;
            if (done) return fault;
            return "threads of a block, or of a warp, wait where others do not come";
        }
        if (!fault.empty()) return fault;
    }
}

}  // namespace emulation
