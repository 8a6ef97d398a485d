#include "order.h"

#include <algorithm>
#include <functional>
#include <map>
#include <queue>

#include <sinter/ir/error.h>

#include "graph.h"

namespace sinter::schedule {
namespace {

// Of two tasks of one kernel: that they read the same memory in the same place, as the projections
// of one value to queries, keys and values do. Neither waits for the other, so what they share is
// not written by them.
bool are_siblings(const Task& a, const Task& b) {
    if (a.kernel == kNone || a.checks || b.checks) return false;
    const std::vector<std::uint32_t>&of_a = a.segment.blocks, &of_b = b.segment.blocks;
    for (std::size_t slot = 0; slot < std::min(of_a.size(), of_b.size()); ++slot)
        if (of_a[slot] == of_b[slot]) return true;
    return false;
}

}  // namespace

std::vector<Launch> order_launches(std::span<const Task> tasks) {
    std::vector<std::vector<std::uint32_t>> followers(tasks.size());
    std::vector<std::size_t> missing(tasks.size());
    for (std::uint32_t t = 0; t < tasks.size(); ++t) {
        missing[t] = tasks[t].after.size();
        for (std::uint32_t before : tasks[t].after) followers[before].push_back(t);
    }
    std::priority_queue<std::uint32_t> ready;  // the highest number is the earliest in the program
    // By kernel, steady ones apart: of those in the queue, and the segmentable ones.
    using ByKernel = std::map<std::pair<std::uint32_t, bool>, std::vector<std::uint32_t>>;
    ByKernel alike, waiting;
    const auto release = [&](std::uint32_t t) {
        (tasks[t].segmentable ? waiting : alike)[{tasks[t].kernel, tasks[t].steady}].push_back(t);
        if (!tasks[t].segmentable) ready.push(t);
    };
    for (std::uint32_t t = static_cast<std::uint32_t>(tasks.size()); t-- > 0;)
        if (missing[t] == 0) release(t);

    std::vector<Launch> launches;
    std::vector<bool> launched(tasks.size(), false);
    std::size_t done = 0;
    const auto launch = [&](std::span<const std::uint32_t> group) {
        Launch l{tasks[group[0]].kernel, {}, 0, 0, tasks[group[0]].steady};
        for (std::uint32_t t : group) {
            l.segments.push_back(tasks[t].segment);
            l.flops += tasks[t].flops;
            l.bytes += tasks[t].bytes;
        }
        if (l.kernel != kNone) launches.push_back(std::move(l));
        done += group.size();
        for (std::uint32_t t : group) launched[t] = true;
        for (std::uint32_t t : group)
            for (std::uint32_t f : followers[t])
                if (--missing[f] == 0) release(f);
    };
    while (true) {
        if (!ready.empty()) {
            const std::uint32_t first = ready.top();
            ready.pop();
            if (launched[first]) continue;
            std::vector<std::uint32_t> group;
            std::erase_if(alike[{tasks[first].kernel, tasks[first].steady}], [&](std::uint32_t t) {
                const bool with = t == first || are_siblings(tasks[first], tasks[t]);
                if (with) group.push_back(t);
                return with;
            });
            std::ranges::sort(group, std::greater{});
            launch(group);
            continue;
        }
        auto most = waiting.end();
        for (auto it = waiting.begin(); it != waiting.end(); ++it)
            if (most == waiting.end() || it->second.size() > most->second.size()) most = it;
        if (most == waiting.end()) break;
        const std::vector<std::uint32_t> group = std::move(most->second);
        waiting.erase(most);
        launch(group);
    }
    if (done != tasks.size()) throw InternalError("kernels of a schedule wait for one another");
    return launches;
}

}  // namespace sinter::schedule
