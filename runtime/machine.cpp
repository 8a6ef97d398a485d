#include <sinter/runtime/machine.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <fstream>
#include <map>
#include <mutex>
#include <optional>

#include <sinter/ir/error.h>
#include <sinter/runtime/compiler.h>
#include <sinter/runtime/disk_cache.h>
#include <sinter/runtime/pool.h>
#include <sinter/runtime/realize.h>
#include <sinter/runtime/target.h>

#include "machine_probe.h"

namespace sinter::runtime {

double Machine::bandwidth(double bytes) const {
    if (memory.empty()) return 0;
    const auto rung = std::ranges::find_if(
        memory, [&](const Memory& m) { return static_cast<double>(m.bytes) >= bytes; });
    const Memory& at = rung == memory.end() ? memory.back() : *rung;
    return std::max(at.read, at.copy);
}

double Machine::seconds(double flops, double bytes, bool of_bf16) const {
    // Where pairs of bf16 are slower, widened ones need not be.
    const double peak = of_bf16 ? std::max(bf16_flops, f32_flops) : f32_flops;
    const double rate = bandwidth(bytes);
    return std::max(peak > 0 ? flops / peak : 0, rate > 0 ? bytes / rate : 0);
}

// Of a core at 3 GHz with two units for multiply-adds and two loads a cycle, as most have; memory
// as a server's share.
Machine guess_machine(const codegen::Target& target) {
    constexpr double kClock = 3e9;
    const double lanes = target.vector_bits / 32.0, threads = std::max(target.threads, 1);
    Machine m;
    m.f32_flops = kClock * lanes * (target.fma ? 4 : 2) * threads;
    if (target.native_bf16) m.bf16_flops = 2 * m.f32_flops;
    const double near = kClock * lanes * 4 * threads;
    m.memory = {{std::size_t{1} << 20, near, near / 2},
                {std::size_t{32} << 20, 15e9 * threads, 12e9 * threads},
                {std::size_t{256} << 20, 8e9 * threads, 8e9 * threads}};
    m.fork_join_seconds = 2e-6;
    m.barrier_seconds = 0.3e-6;
    return m;
}

namespace {

using Clock = std::chrono::steady_clock;

// The best sample counts: others were disturbed. Samples are short, so that some are not.
constexpr double kSample = 0.003, kAllSamples = 0.04;  // seconds
constexpr int kLeastSamples = 2;
constexpr std::size_t kSets[] = {std::size_t{256} << 10, std::size_t{1} << 20, std::size_t{8} << 20,
                                 std::size_t{32} << 20, std::size_t{256} << 20};
constexpr std::int64_t kFormat = 2;  // of what is kept on disk

double since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

// Units of work a second of all threads together; body(thread, threads) does some and says how
// much.
template <class Body>
double rate(const Body& body) {
    double best = 0;
    const auto begin = Clock::now();
    for (int sample = 0; sample < kLeastSamples || since(begin) < kAllSamples; ++sample) {
        ThreadPool& pool = ThreadPool::instance();
        std::vector<double> rates(static_cast<std::size_t>(pool.threads()), 0.0);
        pool.region([&](int thread, ThreadPool::Team& team) {
            body(thread, team.size());  // what is not in the caches yet, and the clock's ramp
            team.barrier();
            const auto start = Clock::now();
            double done = 0, took = 0;
            do {
                done += body(thread, team.size());
                took = since(start);
            } while (took < kSample);
            rates[static_cast<std::size_t>(thread)] = done / took;
        });
        double sum = 0;
        for (const double r : rates) sum += r;
        best = std::max(best, sum);
    }
    return best;
}

double arithmetic_rate(const probe::Probe& code, float* numbers) {
    constexpr std::int64_t kTrips = 4096;
    return rate([&](int thread, int) {
        code.run(numbers + 1024 * thread, nullptr, kTrips);
        return code.work_a_trip * static_cast<double>(kTrips);
    });
}

double memory_rate(const probe::Probe& code, std::byte* from, std::byte* to, std::size_t bytes,
                   double counted) {
    return rate([&](int thread, int threads) {
        const std::size_t each = bytes / static_cast<std::size_t>(threads) / 4096 * 4096;
        const std::size_t at = each * static_cast<std::size_t>(thread);
        // Small sets are gone through several times between looks at the clock.
        const std::size_t passes = std::max<std::size_t>(1, (std::size_t{1} << 20) / bytes);
        for (std::size_t pass = 0; pass < passes; ++pass)
            code.run(from + at, to + at, static_cast<std::int64_t>(each / code.step_bytes));
        return counted * static_cast<double>(each * passes);
    });
}

Machine measure(const codegen::Target& target) {
    Machine m = guess_machine(target);
    const probe::Probes probes = probe::compile(target);
    ThreadPool& pool = ThreadPool::instance();
    std::vector<float> raw(static_cast<std::size_t>(1024 * (pool.threads() + 1)), 0.5f);
    float* numbers = raw.data();
    while (reinterpret_cast<std::uintptr_t>(numbers) % 64 != 0) ++numbers;
    m.f32_flops = arithmetic_rate(probes.f32, numbers);
    if (probes.bf16.run != nullptr) m.bf16_flops = arithmetic_rate(probes.bf16, numbers);

    const std::size_t largest = *std::ranges::max_element(kSets);
    const auto memory = sinter::runtime::Memory::allocate(DeviceId::CPU, largest);
    auto* data = static_cast<std::byte*>(memory->data());
    // Each thread's pages are touched first by it.
    pool.parallel_for(
        static_cast<std::int64_t>(largest / 4096), [&](std::int64_t begin, std::int64_t end, int) {
            std::memset(data + begin * 4096, 0, static_cast<std::size_t>(end - begin) * 4096);
        });
    m.memory.clear();
    for (const std::size_t bytes : kSets) {
        const std::size_t half = bytes / 2;
        const double read = memory_rate(probes.read, data, data, bytes, 1),
                     copy = memory_rate(probes.copy, data, data + half, half, 2),
                     stream = memory_rate(probes.stream, data, data + half, half, 2);
        m.memory.push_back({bytes, read, std::max(copy, stream)});
    }

    const auto least = [](const auto& body) {
        double best = 1;
        const auto begin = Clock::now();
        while (since(begin) < kAllSamples) {
            const auto start = Clock::now();
            body();
            best = std::min(best, since(start));
        }
        return best;
    };
    std::atomic<std::int64_t> sink{0};
    const auto loop = [&] {
        pool.parallel_for(pool.threads(), [&](std::int64_t begin, std::int64_t, int) {
            if (begin < 0) sink.fetch_add(1);
        });
    };
    m.fork_join_seconds = least(loop);
    constexpr int kBarriers = 20;
    const auto barriers = [&] {
        pool.region([](int, ThreadPool::Team& team) {
            for (int i = 0; i < kBarriers; ++i) team.barrier();
        });
    };
    m.barrier_seconds = std::max(0.0, least(barriers) - m.fork_join_seconds) / kBarriers;
    m.measured = true;
    return m;
}

std::string read_cpu_name() {
    std::string text;
    std::ifstream cpus("/proc/cpuinfo");
    for (std::string line; std::getline(cpus, line) && !line.empty();)
        if (line.starts_with("model name") || line.starts_with("cache size")) text += "\n" + line;
    return text;
}

std::string pack(const Machine& m) {
    std::vector<double> numbers{m.f32_flops, m.bf16_flops, m.fork_join_seconds, m.barrier_seconds};
    for (const Machine::Memory& rung : m.memory)
        numbers.insert(numbers.end(), {static_cast<double>(rung.bytes), rung.read, rung.copy});
    return {reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(double)};
}

std::optional<Machine> unpack(const std::string& bytes) {
    constexpr std::size_t kHead = 4, kCount = kHead + 3 * std::size(kSets);
    if (bytes.size() != kCount * sizeof(double)) return std::nullopt;
    std::vector<double> numbers(kCount);
    std::memcpy(numbers.data(), bytes.data(), bytes.size());
    Machine m;
    m.measured = true;
    m.f32_flops = numbers[0];
    m.bf16_flops = numbers[1];
    m.fork_join_seconds = numbers[2];
    m.barrier_seconds = numbers[3];
    for (std::size_t i = kHead; i < kCount; i += 3)
        m.memory.push_back({static_cast<std::size_t>(numbers[i]), numbers[i + 1], numbers[i + 2]});
    return m;
}

// By key; never freed, as references are handed out.
const Machine& find(bool now) {
    static std::mutex mutex;
    static auto& all = *new std::map<std::string, Machine>;
    const codegen::Target& target = host_target();
    const std::string key = "machine " + std::to_string(kFormat) + " " + target.key() +
                            " threads " + std::to_string(thread_count()) + cpu_name() +
                            (now ? "" : " or a guess");
    const std::lock_guard lock(mutex);
    if (const auto known = all.find(key); known != all.end()) return known->second;
    const std::string on_disk = key.substr(0, key.find(" or a guess"));
    std::optional<Machine> found;
    if (const auto measured = all.find(on_disk); measured != all.end()) found = measured->second;
    if (const auto bytes = DiskCache::instance().get(on_disk); bytes && !found)
        found = unpack(*bytes);
    if (!found && now) {
        try {
            found = measure(target);
            DiskCache::instance().put(on_disk, pack(*found));
        } catch (const OutOfMemoryError&) {
            // A guess is better than no figure.
        }
    }
    return all.emplace(key, found ? *found : guess_machine(target)).first->second;
}

}  // namespace

const std::string& cpu_name() {
    static const std::string& name = *new std::string(read_cpu_name());
    return name;
}

const Machine& machine() { return find(false); }
const Machine& measured_machine() { return find(true); }

}  // namespace sinter::runtime
