#include "bench.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <utility>

#include <sinter/ir/error.h>
#include <sinter/ir/kernel.h>
#include <sinter/ir/mix.h>
#include <sinter/runtime/target.h>

#include "cuda/program.h"
#include "cuda/run_plan.h"
#include "execute.h"

namespace sinter::runtime {
namespace {

constexpr double kLeastTime = 100e3;  // nanoseconds between looks at the clock
constexpr double kMostRepeats = 500;
constexpr std::int64_t kIntegers = 100;  // where no index is made of them
constexpr std::size_t kMostBytes = std::size_t{4} << 30;

std::vector<ir::Ref> nodes_below(ir::Ref root) {
    return ir::toposort(std::span<const ir::Ref>(&root, 1));
}

// Whether a value read from memory gets into an index without a Check.
bool reads_unchecked(ir::Ref index) {
    std::vector<ir::Ref> stack{index};
    std::set<ir::Ref> seen;
    while (!stack.empty()) {
        const ir::Ref n = stack.back();
        stack.pop_back();
        if (n->is(ir::Op::Check) || !seen.insert(n).second) continue;
        if (n->is(ir::Op::Load)) return true;
        stack.insert(stack.end(), n->src().begin(), n->src().end());
    }
    return false;
}

DiskCache& no_disk() {
    static DiskCache& none = *new DiskCache({}, 0);
    return none;
}

// The same numbers for the same operand, always.
class Numbers {
public:
    explicit Numbers(std::uint64_t seed) : state_(seed * ir::kMixStep) {}
    std::uint64_t next() { return ir::mix(state_ += ir::kMixStep); }

private:
    std::uint64_t state_;
};

// Floats are from 1/2 to 1: no function is undefined there, and no sum cancels.
std::uint64_t bits_of(DType dtype, std::uint64_t random, std::int64_t integers) {
    switch (dtype) {
        case DType::Bool:
            return random >> 63;
        case DType::F16:
            return 0x3800 | random >> 54;
        case DType::BF16:
            return 0x3f00 | random >> 57;
        case DType::F32:
            return 0x3f000000 | random >> 41;
        case DType::F64:
            return 0x3fe0000000000000 | random >> 12;
        default: {
            const std::int64_t most =
                size_of(dtype) == 1 ? std::min(integers, kIntegers) : integers;
            return (random >> 33) % static_cast<std::uint64_t>(most);
        }
    }
}

}  // namespace

bool KernelBench::possible(ir::Ref sink) {
    for (ir::Ref n : nodes_below(sink)) {
        if (n->is(ir::Op::Load) && (reads_unchecked(n->src(1)) || reads_unchecked(n->src(2))))
            return false;
        if (n->is(ir::Op::Store) && reads_unchecked(n->src(1))) return false;
    }
    return true;
}

KernelBench::KernelBench(const Plan& plan, std::size_t kernel, std::vector<std::int64_t> binds,
                         DeviceId device)
    : whole_(plan),
      kernel_(plan.schedule.kernels[kernel]),
      binds_(std::move(binds)),
      device_(device),
      programs_(
          [](const KernelRequest& request, const codegen::Target& target) {
              return codegen::lower(request.sink, request.name, target, request.schedule.get());
          },
          no_disk) {
    const schedule::Launch* largest = nullptr;
    for (const schedule::Launch& launch : plan.schedule.launches)
        if (launch.kernel == kernel && (largest == nullptr || launch.bytes > largest->bytes))
            largest = &launch;
    if (largest == nullptr) throw InternalError("no launch of " + kernel_.name);
    launch_.kernel = 0;
    launch_.segments = largest->segments;
    launch_.flops = largest->flops;
    launch_.bytes = largest->bytes;

    integers_ = kIntegers;
    std::set<std::int64_t> read, written;  // slots
    for (ir::Ref n : nodes_below(kernel_.sink)) {
        if (n->is(ir::Op::Check)) integers_ = std::clamp<std::int64_t>(n->arg(0), 1, integers_);
        if (n->is(ir::Op::Load)) read.insert(n->src(0)->arg(0));
        if (n->is(ir::Op::Store)) written.insert(n->src(0)->arg(0));
    }
    // Blocks of one place are one operand.
    std::map<std::pair<std::int64_t, std::int64_t>, std::uint32_t> places;
    for (schedule::Segment& segment : launch_.segments)
        for (std::size_t slot = 0; slot < segment.blocks.size(); ++slot) {
            std::uint32_t& block = segment.blocks[slot];
            const schedule::Block& b = plan.schedule.blocks[block];
            const std::pair place =
                b.kind == schedule::Block::Kind::Temporary
                    ? std::pair<std::int64_t, std::int64_t>{-1, b.offset}
                    : std::pair<std::int64_t, std::int64_t>{b.reuses >= 0 ? b.reuses : block, 0};
            const auto [found, is_new] =
                places.emplace(place, static_cast<std::uint32_t>(operands_.size()));
            const std::size_t bytes = static_cast<std::size_t>(b.numel) * size_of(b.dtype);
            if (is_new) operands_.push_back({b.dtype, 0});
            block = found->second;
            Operand& o = operands_[block];
            o.bytes = std::max(o.bytes, bytes);
            o.read = o.read || read.contains(static_cast<std::int64_t>(slot));
            o.written = o.written || written.contains(static_cast<std::int64_t>(slot));
        }
    std::size_t all = 0;
    for (const Operand& o : operands_) {
        all += o.bytes;
        in_place_ = in_place_ || (o.written && o.read);
    }
    if (all > kMostBytes)
        throw OutOfMemoryError(kernel_.name + " has " + std::to_string(all) +
                               " bytes of operands, too many for BEAM to have them twice");
    for (const Operand& o : operands_)
        memory_.push_back(Memory::allocate(device, std::max<std::size_t>(o.bytes, 1)));
    for (std::size_t i = 0; i < operands_.size(); ++i) fill(i);
}

void KernelBench::fill(std::size_t i) {
    const Operand& o = operands_[i];
    const std::size_t each = size_of(o.dtype);
    std::vector<std::byte> bytes(o.bytes / each * each);
    Numbers numbers(i + 1);
    for (std::size_t at = 0; at < bytes.size(); at += each) {
        const std::uint64_t bits = bits_of(o.dtype, numbers.next(), integers_);
        std::memcpy(bytes.data() + at, &bits, each);  // the low bytes come first
    }
    write_memory(*memory_[i], bytes.data(), bytes.size());
}

KernelRequest KernelBench::request_for(const codegen::Schedule& schedule) const {
    return {kernel_.sink, kernel_.name, std::make_shared<const codegen::Schedule>(schedule)};
}

std::shared_ptr<const Plan> KernelBench::plan_of(const codegen::Schedule& schedule) {
    auto plan = std::make_shared<Plan>();
    plan->schedule.kernels = {kernel_};
    plan->schedule.launches = {launch_};
    plan->schedule.checks = whole_.schedule.checks;
    plan->schedule.input_count = operands_.size();
    plan->schedule.bind_count = binds_.size();
    for (std::size_t i = 0; i < operands_.size(); ++i)
        plan->schedule.blocks.push_back(
            {schedule::Block::Kind::Input, operands_[i].dtype,
             static_cast<std::int64_t>(operands_[i].bytes / size_of(operands_[i].dtype)), 0,
             static_cast<std::int32_t>(i), -1});
    const KernelRequest request = request_for(schedule);
    add_programs(*plan, std::span(&request, 1), device_, programs_);
    return plan;
}

std::vector<bool> KernelBench::add(std::span<const codegen::Schedule> schedules) {
    // All at once, on all threads; what fails does so again below.
    std::vector<KernelRequest> requests;
    for (const codegen::Schedule& schedule : schedules) requests.push_back(request_for(schedule));
    try {
        if (device_ == DeviceId::CUDA)
            cuda::ProgramCache::instance().load(requests);
        else
            programs_.load(requests, host_target());
    } catch (const Error&) {
    }
    std::vector<bool> usable;
    for (const codegen::Schedule& schedule : schedules) {
        std::shared_ptr<const Plan> plan;
        try {
            plan = plan_of(schedule);
        } catch (const Error&) {
            // The first is what would run without us; of the others there are more.
            if (plans_.empty()) throw;
        }
        usable.push_back(plan != nullptr);
        plans_.push_back(std::move(plan));
        last_.push_back(kLeastTime);
    }
    return usable;
}

double KernelBench::time(std::size_t candidate, int repeats) {
    const Plan& plan = *plans_[candidate];
    const double all = device_ == DeviceId::CUDA ? cuda::time_runs(plan, memory_, binds_, repeats)
                                                 : time_runs(plan, memory_, binds_, repeats);
    return last_[candidate] = all / repeats;
}

std::vector<Written> KernelBench::results(std::size_t candidate) {
    const auto run_once = [&] {
        for (std::size_t i = 0; i < operands_.size(); ++i)
            if (operands_[i].written) fill(i);
        time(candidate, 1);
    };
    try {
        run_once();
    } catch (const IndexError&) {
        // Indices are computed from what is read: with zeros they are most likely in range.
        if (candidate != 0 || integers_ == 1) throw;
        integers_ = 1;
        for (std::size_t i = 0; i < operands_.size(); ++i) fill(i);
        run_once();
    }
    std::vector<Written> values;
    for (std::size_t i = 0; i < operands_.size(); ++i) {
        const Operand& o = operands_[i];
        if (!o.written) continue;
        values.push_back({o.dtype, std::vector<std::byte>(o.bytes)});
        read_memory(values.back().bytes.data(), *memory_[i], o.bytes);
    }
    return values;
}

double KernelBench::run(std::size_t candidate) {
    if (in_place_) {
        // What is written is read again: every run begins with the same.
        for (std::size_t i = 0; i < operands_.size(); ++i)
            if (operands_[i].written && operands_[i].read) fill(i);
        return time(candidate, 1);
    }
    return time(candidate,
                static_cast<int>(std::clamp(kLeastTime / last_[candidate], 1.0, kMostRepeats)));
}

}  // namespace sinter::runtime
