#include "order.h"

#include <map>
#include <queue>

#include <sinter/ir/error.h>

#include "graph.h"

namespace sinter::schedule {

std::vector<Launch> order_launches(std::span<const Task> tasks) {
    std::vector<std::vector<std::uint32_t>> followers(tasks.size());
    std::vector<std::size_t> missing(tasks.size());
    for (std::uint32_t t = 0; t < tasks.size(); ++t) {
        missing[t] = tasks[t].after.size();
        for (std::uint32_t before : tasks[t].after) followers[before].push_back(t);
    }
    std::priority_queue<std::uint32_t> ready;  // the highest number is the earliest in the program
    // Segmentable, by kernel; steady ones apart.
    std::map<std::pair<std::uint32_t, bool>, std::vector<std::uint32_t>> waiting;
    const auto release = [&](std::uint32_t t) {
        if (tasks[t].segmentable)
            waiting[{tasks[t].kernel, tasks[t].steady}].push_back(t);
        else
            ready.push(t);
    };
    for (std::uint32_t t = static_cast<std::uint32_t>(tasks.size()); t-- > 0;)
        if (missing[t] == 0) release(t);

    std::vector<Launch> launches;
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
        for (std::uint32_t t : group)
            for (std::uint32_t f : followers[t])
                if (--missing[f] == 0) release(f);
    };
    while (true) {
        if (!ready.empty()) {
            const std::uint32_t t = ready.top();
            ready.pop();
            launch(std::span(&t, 1));
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
