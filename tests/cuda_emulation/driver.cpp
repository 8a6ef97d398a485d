// The CUDA driver as far as Sinter uses it, over the memory and one thread of the CPU. Kernels are
// those of the emulated NVRTC. What a real GPU would let pass, or would not show, is an error here:
// memory of the GPU that the host touches, threads of a block that do not meet at a barrier, writes
// beyond the shared memory that a launch asked for.

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <string>

#include "fibres.h"
#include "machine.h"

namespace {

enum : int {
    kSuccess = 0,
    kInvalidValue = 1,
    kOutOfMemory = 2,
    kNoDevice = 100,
    kInvalidImage = 200,
    kNotFound = 500,
    kLaunchFailed = 719
};

constexpr std::size_t kTotal = std::size_t{4} << 30;
constexpr std::size_t kPage = 4096;
constexpr std::size_t kFilled = std::size_t{16} << 20;
constexpr int kGarbage = 0xfb;  // what fresh memory holds: no number

std::mutex& mutex() {
    static std::mutex& one = *new std::mutex;
    return one;
}
thread_local void* current_context = nullptr;
bool failed = false;  // after a fault every call fails, as on a GPU

// Memory that only calls of the driver can touch.
class Memory {
public:
    Memory() {
        base_ = static_cast<std::byte*>(
            mmap(nullptr, kTotal, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
        if (base_ == MAP_FAILED) std::abort();
        free_[0] = kTotal;
    }
    // Open while one lives.
    class Access {
    public:
        explicit Access(Memory& memory) : memory_(memory) {
            memory_.protect(PROT_READ | PROT_WRITE);
        }
        ~Access() { memory_.protect(PROT_NONE); }
        Access(const Access&) = delete;

    private:
        Memory& memory_;
    };

    std::byte* allocate(std::size_t bytes) {
        bytes = (bytes + kPage - 1) / kPage * kPage;
        for (auto it = free_.begin(); it != free_.end(); ++it) {
            if (it->second < bytes) continue;
            const std::size_t at = it->first, rest = it->second - bytes;
            free_.erase(it);
            if (rest != 0) free_[at + bytes] = rest;
            used_[at] = bytes;
            top_ = std::max(top_, at + bytes);
            const Access access(*this);
            std::memset(base_ + at, kGarbage, std::min(bytes, kFilled));
            return base_ + at;
        }
        return nullptr;
    }
    bool release(std::byte* data) {
        const auto found = used_.find(static_cast<std::size_t>(data - base_));
        if (found == used_.end()) return false;
        auto [at, bytes] = *found;
        used_.erase(found);
        if (const auto next = free_.find(at + bytes); next != free_.end()) {
            bytes += next->second;
            free_.erase(next);
        }
        if (auto before = free_.lower_bound(at); before != free_.begin()) {
            --before;
            if (before->first + before->second == at) {
                before->second += bytes;
                return true;
            }
        }
        free_[at] = bytes;
        return true;
    }
    // Whether all of it is allocated.
    bool holds(const void* data, std::size_t bytes) const {
        const auto* at = static_cast<const std::byte*>(data);
        if (at < base_ || at >= base_ + kTotal) return false;
        const auto offset = static_cast<std::size_t>(at - base_);
        auto block = used_.upper_bound(offset);
        if (block == used_.begin()) return false;
        --block;
        return offset + bytes <= block->first + block->second;
    }

private:
    void protect(int how) {
        if (top_ != 0) mprotect(base_, top_, how);
    }
    std::byte* base_ = nullptr;
    std::size_t top_ = 0;
    std::map<std::size_t, std::size_t> free_, used_;  // offset -> bytes
};

Memory& memory() {
    static Memory& all = *new Memory;
    return all;
}

// --- the machine that kernels see

EmulatedMachine machine;
emulation::Block block;

void enter(unsigned thread) { machine.thread.x = thread; }
void barrier() {
    const unsigned me = block.current();
    block.wait(emulation::Block::Wait::Barrier);
    enter(me);
}
void warp_barrier() {
    const unsigned me = block.current();
    block.wait(emulation::Block::Wait::WarpBarrier);
    enter(me);
}
unsigned long long shuffle(unsigned long long value, int from) {
    const unsigned me = block.current();
    const std::uint64_t got = block.shuffle(value, from);
    enter(me);
    return got;
}

float f16_to_f32(unsigned short bits) {
    const std::uint32_t sign = (bits & 0x8000u) << 16, exponent = bits >> 10 & 31,
                        fraction = bits & 0x3ffu;
    std::uint32_t word;
    if (exponent == 31) {
        word = sign | 0x7f800000u | fraction << 13;
    } else if (exponent != 0) {
        word = sign | (exponent + 112) << 23 | fraction << 13;
    } else {
        const float small = static_cast<float>(fraction) * 0x1p-24f;
        std::memcpy(&word, &small, sizeof word);
        word |= sign;
    }
    float value;
    std::memcpy(&value, &word, sizeof value);
    return value;
}

unsigned short f32_to_f16(float value) {
    std::uint32_t word;
    std::memcpy(&word, &value, sizeof word);
    const std::uint32_t sign = word >> 16 & 0x8000u, rest = word & 0x7fffffffu;
    if (rest > 0x7f800000u) return 0x7fff;  // as the GPU's
    if (rest >= 0x477ff000u) return static_cast<unsigned short>(sign | 0x7c00u);
    // Added to a power of two whose last place is f16's, the sum rounds as f16 does.
    float magnitude;
    std::memcpy(&magnitude, &rest, sizeof magnitude);
    if (rest < 0x38800000u) {  // below 2^-14: in steps of 2^-24
        const float shifted = magnitude + 0x1p-1f;
        std::uint32_t sum;
        std::memcpy(&sum, &shifted, sizeof sum);
        return static_cast<unsigned short>(sign | (sum - 0x3f000000u));
    }
    const std::uint32_t odd = rest >> 13 & 1;
    return static_cast<unsigned short>(sign | ((rest + 0xfffu + odd - 0x38000000u) >> 13));
}

// --- modules

struct Module;
struct Function {
    void (*run)(void** parameters);
    int threads;
    std::string name;
    Module* module;
};
struct Module {
    void* library;
    unsigned long long* scratch;
    std::deque<Function> functions;
};

int fault(const std::string& what) {
    std::fprintf(stderr, "emulated CUDA: %s\n", what.c_str());
    failed = true;
    return kLaunchFailed;
}

int launch(const Function& function, unsigned grid, unsigned threads, unsigned shared_bytes,
           void** parameters) {
    if (static_cast<int>(threads) != function.threads)
        return fault(function.name + " is launched with " + std::to_string(threads) +
                     " threads a block, not " + std::to_string(function.threads));
    if (shared_bytes > kEmulatedSharedBytes || grid == 0 || threads == 0 || threads > 1024)
        return kInvalidValue;
    const Memory::Access access(memory());
    machine.grid = {grid, 1, 1};
    auto* scratch = reinterpret_cast<unsigned char*>(function.module->scratch);
    for (unsigned b = 0; b < grid; ++b) {
        machine.block = {b, 0, 0};
        std::memset(scratch, kGarbage, kEmulatedSharedBytes);
        const std::string wrong = block.run(threads, [&](unsigned thread) {
            enter(thread);
            function.run(parameters);
        });
        if (!wrong.empty()) return fault(function.name + ": " + wrong);
        for (int i = static_cast<int>(shared_bytes); i < kEmulatedSharedBytes; ++i)
            if (scratch[i] != kGarbage)
                return fault(function.name + " writes beyond its shared memory of " +
                             std::to_string(shared_bytes) + " bytes");
    }
    return kSuccess;
}

// What a call needs before it does anything.
#define ENTER                            \
    const std::lock_guard lock(mutex()); \
    if (failed) return kLaunchFailed;    \
    if (current_context == nullptr) return 201 /* INVALID_CONTEXT */

}  // namespace

extern "C" {

int cuInit(unsigned) {
    machine.barrier = barrier;
    machine.warp_barrier = warp_barrier;
    machine.shuffle = shuffle;
    machine.f16_to_f32 = f16_to_f32;
    machine.f32_to_f16 = f32_to_f16;
    return kSuccess;
}
int cuDriverGetVersion(int* version) {
    *version = 13000;
    return kSuccess;
}
int cuGetErrorName(int error, const char** text) {
    switch (error) {
        case kSuccess:
            *text = "CUDA_SUCCESS";
            break;
        case kInvalidValue:
            *text = "CUDA_ERROR_INVALID_VALUE";
            break;
        case kOutOfMemory:
            *text = "CUDA_ERROR_OUT_OF_MEMORY";
            break;
        case kNoDevice:
            *text = "CUDA_ERROR_NO_DEVICE";
            break;
        case kInvalidImage:
            *text = "CUDA_ERROR_INVALID_IMAGE";
            break;
        case kNotFound:
            *text = "CUDA_ERROR_NOT_FOUND";
            break;
        case kLaunchFailed:
            *text = "CUDA_ERROR_LAUNCH_FAILED";
            break;
        default:
            return kInvalidValue;
    }
    return kSuccess;
}
int cuGetErrorString(int, const char** text) {
    *text = "emulated";
    return kSuccess;
}
int cuDeviceGetCount(int* count) {
    const char* devices = std::getenv("EMULATED_CUDA_DEVICES");
    *count = devices == nullptr ? 1 : std::atoi(devices);
    return kSuccess;
}
int cuDeviceGet(int* device, int ordinal) {
    *device = ordinal;
    return kSuccess;
}
int cuDeviceGetName(char* name, int bytes, int) {
    std::snprintf(name, static_cast<std::size_t>(bytes), "emulated GPU");
    return kSuccess;
}
int cuDeviceGetAttribute(int* value, int attribute, int) {
    *value = attribute == 75 ? 9 : attribute == 76 ? 0 : attribute == 16 ? 132 : -1;
    return *value < 0 ? kInvalidValue : kSuccess;
}
int cuDeviceTotalMem_v2(std::size_t* bytes, int) {
    *bytes = kTotal;
    return kSuccess;
}
int cuDevicePrimaryCtxRetain(void** context, int) {
    static int one;
    *context = &one;
    return kSuccess;
}
int cuCtxSetCurrent(void* context) {
    current_context = context;
    return kSuccess;
}
int cuMemGetInfo_v2(std::size_t* free, std::size_t* total) {
    *free = *total = kTotal;
    return kSuccess;
}
int cuMemAlloc_v2(unsigned long long* data, std::size_t bytes) {
    ENTER;
    if (bytes == 0) return kInvalidValue;
    std::byte* made = memory().allocate(bytes);
    *data = reinterpret_cast<std::uintptr_t>(made);
    return made == nullptr ? kOutOfMemory : kSuccess;
}
int cuMemFree_v2(unsigned long long data) {
    ENTER;
    return memory().release(reinterpret_cast<std::byte*>(data)) ? kSuccess : kInvalidValue;
}
int cuMemcpyHtoDAsync_v2(unsigned long long to, const void* from, std::size_t bytes, void*) {
    ENTER;
    auto* target = reinterpret_cast<void*>(to);
    if (!memory().holds(target, bytes)) return kInvalidValue;
    const Memory::Access access(memory());
    std::memcpy(target, from, bytes);
    return kSuccess;
}
int cuMemcpyDtoHAsync_v2(void* to, unsigned long long from, std::size_t bytes, void*) {
    ENTER;
    const auto* source = reinterpret_cast<const void*>(from);
    if (!memory().holds(source, bytes)) return kInvalidValue;
    const Memory::Access access(memory());
    std::memcpy(to, source, bytes);
    return kSuccess;
}
int cuMemcpyDtoDAsync_v2(unsigned long long to, unsigned long long from, std::size_t bytes, void*) {
    ENTER;
    auto *target = reinterpret_cast<void*>(to), *source = reinterpret_cast<void*>(from);
    if (!memory().holds(target, bytes) || !memory().holds(source, bytes)) return kInvalidValue;
    const Memory::Access access(memory());
    std::memmove(target, source, bytes);
    return kSuccess;
}
int cuMemsetD8Async(unsigned long long to, unsigned char value, std::size_t bytes, void*) {
    ENTER;
    auto* target = reinterpret_cast<void*>(to);
    if (!memory().holds(target, bytes)) return kInvalidValue;
    const Memory::Access access(memory());
    std::memset(target, value, bytes);
    return kSuccess;
}
int cuStreamCreate(void** stream, unsigned) {
    static int one;
    *stream = &one;
    return kSuccess;
}
int cuStreamSynchronize(void*) {
    ENTER;
    return kSuccess;
}
int cuModuleLoadDataEx(Module** module, const void* image, unsigned, int*, void**) {
    ENTER;
    // The length is in the image, as with a CUBIN: the end of its section headers.
    const auto* bytes = static_cast<const unsigned char*>(image);
    if (std::memcmp(bytes, "\177ELF", 4) != 0) return kInvalidImage;
    std::uint64_t headers = 0;
    std::uint16_t entry = 0, count = 0;
    std::memcpy(&headers, bytes + 40, sizeof headers);
    std::memcpy(&entry, bytes + 58, sizeof entry);
    std::memcpy(&count, bytes + 60, sizeof count);
    const std::size_t size = headers + std::size_t{entry} * count;
    char path[] = "/tmp/emulated-cubin-XXXXXX";
    const int file = mkstemp(path);
    if (file < 0) return kInvalidImage;
    const bool written = write(file, bytes, size) == static_cast<ssize_t>(size);
    close(file);
    void* library = written ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : nullptr;
    if (library == nullptr) std::fprintf(stderr, "emulated CUDA: %s\n", dlerror());
    unlink(path);
    if (library == nullptr) return kInvalidImage;
    auto** at = static_cast<EmulatedMachine**>(dlsym(library, "sinter_machine"));
    auto* scratch = static_cast<unsigned long long*>(dlsym(library, "sinter_scratch"));
    if (at == nullptr || scratch == nullptr) return kInvalidImage;
    *at = &machine;
    *module = new Module{library, scratch, {}};
    return kSuccess;
}
int cuModuleUnload(Module* module) {
    ENTER;
    dlclose(module->library);
    delete module;
    return kSuccess;
}
int cuModuleGetFunction(Function** function, Module* module, const char* name) {
    ENTER;
    void* run = dlsym(module->library, name);
    const auto* threads =
        static_cast<const int*>(dlsym(module->library, (std::string(name) + "_threads").c_str()));
    if (run == nullptr || threads == nullptr) return kNotFound;
    *function = &module->functions.emplace_back(
        Function{reinterpret_cast<void (*)(void**)>(run), *threads, name, module});
    return kSuccess;
}
int cuLaunchKernel(Function* function, unsigned grid_x, unsigned, unsigned, unsigned block_x,
                   unsigned, unsigned, unsigned shared_bytes, void*, void** parameters, void**) {
    ENTER;
    return launch(*function, grid_x, block_x, shared_bytes, parameters);
}
}
