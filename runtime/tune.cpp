#include <sinter/runtime/tune.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include <sinter/ir/dtype.h>
#include <sinter/ir/error.h>

#include "packing.h"

namespace sinter::runtime {
namespace {

// One candidate's time is the least of a few runs.
constexpr double kEnough = 20e6;  // nanoseconds of runs for one candidate
constexpr int kFewRuns = 3, kManyRuns = 40;
constexpr double kHopeless = 1.3;  // times the best so far: no run will be the fastest
constexpr double kGain = 0.98;     // of the time before: less is noise
constexpr int kRounds = 6;
constexpr int kFewPairs = 5, kManyPairs = 40;  // of runs, to confirm the winner
constexpr double kEnoughPairs = 100e6;         // nanoseconds

// Differences of floats against their size: sums in another order differ by some roundings in f32
// and f64, while 16-bit results are rounded once, from f32.
template <class T>
double tolerance_of() {
    return 2 * std::sqrt(static_cast<double>(std::numeric_limits<T>::epsilon()));
}
constexpr double kTolerance16 = 4;  // roundings

template <class T, class Read>
bool close_to(std::span<const std::byte> x, std::span<const std::byte> y, double tolerance,
              const Read& read) {
    const std::size_t count = x.size() / sizeof(T);
    const auto at = [&](std::span<const std::byte> bytes, std::size_t i) -> double {
        T value;
        std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
        return read(value);
    };
    // What is small among large ones may be what is left of a difference of these.
    double scale = 0;
    std::size_t finite = 0;
    for (std::size_t i = 0; i < count; ++i) {
        const double v = std::abs(at(x, i));
        if (!std::isfinite(v)) continue;
        scale += v;
        ++finite;
    }
    if (finite > 0) scale /= static_cast<double>(finite);
    for (std::size_t i = 0; i < count; ++i) {
        const double a = at(x, i), b = at(y, i);
        if (std::isnan(a) != std::isnan(b)) return false;
        if (std::isnan(a) || a == b) continue;
        if (std::isinf(a) || std::isinf(b)) return false;
        if (!(std::abs(a - b) <= tolerance * (std::min(std::abs(a), std::abs(b)) + scale)))
            return false;
    }
    return true;
}

bool agree_on(const Written& x, const Written& y) {
    if (x.dtype != y.dtype || x.bytes.size() != y.bytes.size()) return false;
    const auto same = [](auto v) { return static_cast<double>(v); };
    switch (x.dtype) {
        case DType::F32:
            return close_to<float>(x.bytes, y.bytes, tolerance_of<float>(), same);
        case DType::F64:
            return close_to<double>(x.bytes, y.bytes, tolerance_of<double>(), same);
        case DType::F16:
            return close_to<std::uint16_t>(x.bytes, y.bytes, kTolerance16 * 0x1p-10, f16_to_f32);
        case DType::BF16:
            return close_to<std::uint16_t>(x.bytes, y.bytes, kTolerance16 * 0x1p-7, bf16_to_f32);
        default:
            return x.bytes == y.bytes;
    }
}

// The least time of a run; `best` is what there is to beat.
double time_of(Bench& bench, std::size_t candidate, double best) {
    double least = INFINITY, spent = 0;
    for (int runs = 0; runs < kManyRuns; ++runs) {
        const double took = bench.run(candidate);
        least = std::min(least, took);
        spent += took;
        if (runs + 1 >= kFewRuns && (spent > kEnough || least > best * kHopeless)) break;
        if (least > 2 * best * kHopeless) break;
    }
    return least;
}

constexpr std::int64_t kFormat = 1;  // of an entry
constexpr std::size_t kMostKnown = 1 << 14;

std::string pack(const Tuned& tuned) {
    std::string bytes;
    append(bytes, kFormat);
    append(bytes, tuned.schedule);
    append(bytes, std::bit_cast<std::int64_t>(tuned.nanoseconds));
    append(bytes, tuned.effort);
    return bytes;
}

std::optional<Tuned> unpack(std::string_view bytes) {
    Reader reader{bytes};
    const bool known = reader.number() == kFormat;
    Tuned tuned;
    tuned.schedule = reader.text();
    tuned.nanoseconds = std::bit_cast<double>(reader.number());
    tuned.effort = reader.number();
    if (!known || !reader.good || !reader.left.empty()) return std::nullopt;
    try {
        codegen::Schedule::parse(tuned.schedule);
    } catch (const ValueError&) {
        return std::nullopt;
    }
    return tuned;
}

}  // namespace

bool agree(std::span<const Written> values, std::span<const Written> other) {
    return std::ranges::equal(values, other, agree_on);
}

Search search(codegen::Candidates& candidates, Bench& bench, std::size_t n,
              const std::function<void(const codegen::Schedule&)>& discarded) {
    Search found;
    std::vector<codegen::Schedule> tried = candidates.best(n);
    std::vector<Written> reference;
    std::size_t best = 0, first_of_round = 0;
    for (int round = 0; round < kRounds; ++round) {
        const std::span<const codegen::Schedule> mine = std::span(tried).subspan(first_of_round);
        const std::vector<bool> usable = bench.add(mine);
        const double before = found.best;
        for (std::size_t i = 0; i < mine.size(); ++i) {
            const std::size_t candidate = first_of_round + i;
            if (candidate == 0) {
                reference = bench.results(0);
                found.first = found.best = time_of(bench, 0, INFINITY);
                ++found.measured;
                continue;
            }
            if (!usable[i]) continue;
            ++found.measured;
            if (!agree(reference, bench.results(candidate))) {
                ++found.wrong;
                if (discarded) discarded(tried[candidate]);
                continue;
            }
            const double took = time_of(bench, candidate, found.best);
            if (took >= found.best) continue;
            found.best = took;
            best = candidate;
        }
        if (round > 0 && found.best > before * kGain) break;
        first_of_round = tried.size();
        for (codegen::Schedule& next : candidates.near(tried[best], n))
            tried.push_back(std::move(next));
        if (tried.size() == first_of_round) break;
    }
    if (best == 0) return found;
    // Once more side by side: the machine may have been busy with something else before.
    double first = INFINITY, winner = INFINITY;
    double spent = 0;
    for (int i = 0; i < kFewPairs || (i < kManyPairs && spent < kEnoughPairs); ++i) {
        const double one = bench.run(0), other = bench.run(best);
        first = std::min(first, one);
        winner = std::min(winner, other);
        spent += one + other;
    }
    found.first = first;
    found.best = winner;
    if (winner <= first * kGain)
        found.winner = tried[best];
    else
        found.best = first;
    return found;
}

TuningDatabase::TuningDatabase(std::function<DiskCache&()> disk) : disk_(std::move(disk)) {}

TuningDatabase& TuningDatabase::instance() {
    // Never destroyed: threads that outlive main may still realize.
    static TuningDatabase& database =
        *new TuningDatabase([]() -> DiskCache& { return DiskCache::instance_within("tuned"); });
    return database;
}

std::optional<Tuned> TuningDatabase::find(const std::string& key) {
    {
        const std::lock_guard lock(mutex_);
        if (const auto known = known_.find(key); known != known_.end()) return known->second;
    }
    const std::optional<std::string> bytes = disk_().get(key);
    std::optional<Tuned> tuned = bytes ? unpack(*bytes) : std::nullopt;
    if (!tuned) return std::nullopt;
    const std::lock_guard lock(mutex_);
    known_.emplace(key, *tuned);
    return tuned;
}

void TuningDatabase::keep(const std::string& key, const Tuned& tuned) {
    disk_().put(key, pack(tuned));
    const std::lock_guard lock(mutex_);
    if (known_.size() >= kMostKnown) known_.clear();
    known_[key] = tuned;
}

void TuningDatabase::clear() {
    const std::lock_guard lock(mutex_);
    known_.clear();
}

}  // namespace sinter::runtime
