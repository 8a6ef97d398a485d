#pragma once
// Running graphs: the one entry through which values come to be.

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <sinter/ir/uop.h>

namespace sinter::runtime {

/// Numbers of devices, as in the arguments of Buffer and Copy nodes.
enum class DeviceId : std::int64_t { CPU, REF, CUDA };

/// "CPU", "REF", "CUDA".
std::string_view name(DeviceId device);
/// Throws DeviceError naming the devices there are.
DeviceId parse_device(std::string_view name);
/// The device of graphs without buffers: the variable DEVICE, else CPU.
DeviceId default_device();
void set_default_device(DeviceId device);

/// A block of memory, shared by the Buffers that view it and by runs that are under way.
class Memory {
public:
    /// Throws OutOfMemoryError. Contents are not set. At least 64-byte aligned.
    static std::shared_ptr<Memory> allocate(DeviceId device, std::size_t bytes);
    /// Memory that belongs to the caller, who keeps it alive.
    static std::shared_ptr<Memory> borrow(void* data, std::size_t bytes);
    ~Memory();
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;
    /// Of CUDA an address that only its kernels and copies may use.
    void* data() const { return data_; }
    std::size_t bytes() const { return bytes_; }
    DeviceId device() const { return device_; }

    /// A number of what is in it, which no other memory ever had: another one once it was written
    /// over. 0 for memory of the caller's, who may write to it at any time.
    std::uint64_t stamp() const { return stamp_.load(std::memory_order_relaxed); }
    /// To be told by whoever writes to memory that others may have read.
    void written_over() { written_over(new_stamps(1)); }
    /// The same with a stamp that was taken before: the first of so many.
    void written_over(std::uint64_t stamp) {
        if (owned_) stamp_.store(stamp, std::memory_order_relaxed);
    }
    static std::uint64_t new_stamps(std::uint64_t count);

private:
    Memory(DeviceId device, void* data, std::size_t bytes, bool owned);
    DeviceId device_;
    bool owned_;
    void* data_;
    std::size_t bytes_;
    std::atomic<std::uint64_t> stamp_{0};
};

// Copies of the first `bytes` bytes, wherever the memory lies. Reading waits for what is under way.
void write_memory(Memory& to, const void* from, std::size_t bytes);
void read_memory(void* to, const Memory& from, std::size_t bytes);
void copy_memory(Memory& to, const Memory& from, std::size_t bytes);

/// Attachment of Buffer nodes.
class Storage final : public ir::Attachment {
public:
    explicit Storage(std::shared_ptr<Memory> block) : memory(std::move(block)) {}
    const std::shared_ptr<Memory> memory;
};

/// Attachment of any other node once its value is in memory: the Buffer node that holds it, of the
/// same shape. A graph over memory is computed where that is; one that is not (made of constants,
/// indices and Binds alone) on any device, and equal ones are one node whichever they were meant
/// for: it has a Buffer for each device that it was computed on.
class Realized final : public ir::Attachment {
public:
    Realized(ir::UOp node, bool has_device) : over_memory(has_device), buffer_(std::move(node)) {}
    ~Realized() override;
    /// The Buffer; null for a graph that is not over memory and was not computed on `home`.
    ir::Ref on(DeviceId home) const;
    /// Takes the Buffer, of a graph that is not over memory, unless there is one on its device.
    void add(const ir::UOp& other);
    /// The first Buffer, and the attachment that has the next one.
    const ir::UOp& buffer() const { return buffer_; }
    const Realized* next() const { return next_.load(std::memory_order_acquire); }

    const bool over_memory;

private:
    const ir::UOp buffer_;
    std::atomic<Realized*> next_{nullptr};
};

/// A new Buffer over `memory`, which has room for the shape.
ir::UOp make_buffer(DType dtype, std::span<const std::int64_t> shape,
                    std::shared_ptr<Memory> memory);
/// The Buffer of a realized node (or the node itself if it is one); null if it is not realized, on
/// default_device() if it is not over memory.
ir::UOp realized(const ir::UOp& node);

/// Computes all `roots` together on the device of their buffers (default_device() if there are
/// none), and gives the Buffer of each. Throws IndexError, OutOfMemoryError, DeviceError, …; what
/// was realized before stays valid. Any number of threads may call it.
///
/// `replaced`, if given, says by root how many handles of it besides those in `roots` the caller
/// replaces by the root's Buffer afterwards; and that the handles in `roots` go too. Only where
/// that leaves nobody who could ask for what the target of an Assign held, now or by way of a
/// gradient, is the target's memory written in place.
std::vector<ir::UOp> realize(std::span<const ir::UOp> roots,
                             std::span<const std::uint32_t> replaced = {});

/// The storage of a Buffer node. Throws InternalError for other nodes.
const Memory& memory_of(const ir::UOp& buffer);

/// Counts since the start of the process or the last reset, for tests and users.
struct Stats {
    std::uint64_t launches = 0;       ///< kernels run
    std::uint64_t compiled = 0;       ///< kernels turned into machine code
    std::uint64_t program_hits = 0;   ///< found in memory
    std::uint64_t disk_hits = 0;      ///< found on disk
    std::uint64_t schedule_hits = 0;  ///< realizes that found their schedule
    std::uint64_t schedule_misses = 0;
    std::uint64_t allocated_bytes = 0;  ///< in use now
    std::uint64_t peak_bytes = 0;
    std::vector<std::string> kernel_names;  ///< of the launches, in order, at most 10,000
};
Stats stats();
void reset_stats();
/// Forgets schedules and programs in memory, so that the next realize makes them anew or finds them
/// on disk.
void clear_caches();

namespace ref {
/// The oracle: computes `roots` node by node in plain C++, whatever device the leaves are on
/// (host-readable memory). Returns Buffers on REF, one a root.
std::vector<ir::UOp> evaluate(std::span<const ir::UOp> roots);
}  // namespace ref

}  // namespace sinter::runtime
