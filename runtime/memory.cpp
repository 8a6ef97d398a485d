// Blocks of memory, and the Buffers that view them.

#include <atomic>
#include <cstring>

#include <sinter/ir/error.h>
#include <sinter/runtime/allocator.h>
#include <sinter/runtime/cuda_device.h>
#include <sinter/runtime/realize.h>

namespace sinter::runtime {
namespace {

void give_back(DeviceId device, void* data, std::size_t bytes) {
    if (device == DeviceId::CUDA)
        cuda::Gpu::instance().free(data, bytes);
    else
        Allocator::instance().free(data, bytes);
}

}  // namespace

Memory::Memory(DeviceId device, void* data, std::size_t bytes, bool owned)
    : device_(device), owned_(owned), data_(data), bytes_(bytes) {
    written_over();
}

std::uint64_t Memory::new_stamps(std::uint64_t count) {
    static std::atomic<std::uint64_t> next{1};
    return next.fetch_add(count, std::memory_order_relaxed);
}

std::shared_ptr<Memory> Memory::allocate(DeviceId device, std::size_t bytes) {
    const bool gpu = device == DeviceId::CUDA;
    void* data =
        gpu ? cuda::Gpu::instance().allocate(bytes) : Allocator::instance().allocate(bytes);
    Memory* memory = nullptr;
    try {
        memory = new Memory(device, data, bytes, true);
    } catch (...) {
        give_back(device, data, bytes);
        throw;
    }
    return std::shared_ptr<Memory>(memory);
}

std::shared_ptr<Memory> Memory::borrow(void* data, std::size_t bytes) {
    return std::shared_ptr<Memory>(new Memory(DeviceId::CPU, data, bytes, false));
}

Memory::~Memory() {
    if (owned_) give_back(device_, data_, bytes_);
}

void write_memory(Memory& to, const void* from, std::size_t bytes) {
    if (bytes == 0) return;
    if (to.device() == DeviceId::CUDA)
        cuda::Gpu::instance().upload(to.data(), from, bytes);
    else
        std::memcpy(to.data(), from, bytes);
}

void read_memory(void* to, const Memory& from, std::size_t bytes) {
    if (bytes == 0) return;
    if (from.device() == DeviceId::CUDA)
        cuda::Gpu::instance().download(to, from.data(), bytes);
    else
        std::memcpy(to, from.data(), bytes);
}

void copy_memory(Memory& to, const Memory& from, std::size_t bytes) {
    if (to.device() != DeviceId::CUDA)
        read_memory(to.data(), from, bytes);
    else if (from.device() != DeviceId::CUDA)
        write_memory(to, from.data(), bytes);
    else
        cuda::Gpu::instance().copy(to.data(), from.data(), bytes);
}

ir::UOp make_buffer(DType dtype, std::span<const std::int64_t> shape,
                    std::shared_ptr<Memory> memory) {
    ir::UOp node = ir::buffer(dtype, shape, static_cast<std::int64_t>(memory->device()));
    const std::size_t needed = static_cast<std::size_t>(node->numel()) * size_of(dtype);
    if (needed > memory->bytes())
        throw InternalError("a buffer of " + std::to_string(needed) + " bytes over memory of " +
                            std::to_string(memory->bytes()));
    node->attach(std::make_unique<Storage>(std::move(memory)));
    return node;
}

namespace {

DeviceId device_of(const ir::UOp& buffer) { return static_cast<DeviceId>(buffer->arg(1)); }

}  // namespace

Realized::~Realized() { delete next_.load(std::memory_order_relaxed); }

ir::Ref Realized::on(DeviceId home) const {
    if (over_memory) return buffer_.get();
    for (const Realized* r = this; r != nullptr; r = r->next())
        if (device_of(r->buffer_) == home) return r->buffer_.get();
    return nullptr;
}

void Realized::add(const ir::UOp& other) {
    auto made = std::make_unique<Realized>(other, false);
    for (Realized* r = this; device_of(r->buffer_) != device_of(other);) {
        Realized *next = nullptr, *last = made.release();
        if (r->next_.compare_exchange_strong(next, last, std::memory_order_acq_rel)) return;
        made.reset(last);
        r = next;
    }
}

ir::UOp realized(const ir::UOp& node) {
    if (node->is(ir::Op::Buffer)) return node;
    const auto* done = static_cast<const Realized*>(node->attachment());
    if (done == nullptr) return {};
    if (done->over_memory) return done->buffer();
    ir::Ref buffer = done->on(default_device());
    return buffer == nullptr ? ir::UOp() : ir::UOp::share(buffer);
}

const Memory& memory_of(const ir::UOp& buffer) {
    const ir::Attachment* storage = buffer->is(ir::Op::Buffer) ? buffer->attachment() : nullptr;
    if (storage == nullptr) throw InternalError("no memory behind " + ir::describe(buffer.get()));
    return *static_cast<const Storage*>(storage)->memory;
}

}  // namespace sinter::runtime
