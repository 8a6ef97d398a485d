#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <optional>

#include <sinter/info.h>

#include "workload.h"

namespace sinter::tool {
namespace {

using Json = nlohmann::json;

double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

DType dtype_of_name(const std::string& name) {
    if (name == "f32") return f32;
    if (name == "bf16") return bf16;
    throw Unsupported("no workloads of dtype " + name);
}

void write(const std::string& path, const std::vector<Tensor>& outputs) {
    std::ofstream file(path, std::ios::binary);
    for (const Tensor& t : outputs) {
        const std::vector<float> v = t.to_vector<float>();
        file.write(reinterpret_cast<const char*>(v.data()),
                   static_cast<std::streamsize>(v.size() * sizeof(float)));
    }
    if (!file.flush()) throw std::runtime_error(path + ": cannot be written");
}

class Server {
public:
    Json answer(const Json& request) {
        const auto command = request.at("cmd").get<std::string>();
        if (command == "hello") {
            const SystemInfo info = system_info();
            return {{"ok", true},
                    {"name", "sinter"},
                    {"version", info.version},
                    {"device", "cpu"},
                    {"threads", info.threads}};
        }
        if (command == "prepare") return prepare(request);
        if (command == "time") return time(request);
        if (command == "drop") {
            workload_.reset();
            return {{"ok", true}};
        }
        throw std::runtime_error("no command " + command);
    }

private:
    Json prepare(const Json& request) {
        Source source(request.value("seed", std::uint64_t{1}),
                      dtype_of_name(request.value("dtype", "f32")));
        workload_ = make_workload(request.at("kind"), Params(request.at("params")), source);
        const double start = now();
        std::vector<Tensor> outputs = workload_->call();
        const double first = now() - start;
        for (int i = 1; i < workload_->reported_calls; ++i) {
            if (workload_->reported == Reported::LastCall) outputs.clear();
            for (Tensor& t : workload_->call()) outputs.push_back(t);
        }
        if (request.contains("out") && request["out"].is_string()) write(request["out"], outputs);
        return {{"ok", true}, {"first_s", first}};
    }

    Json time(const Json& request) {
        if (!workload_) throw std::runtime_error("nothing is prepared");
        double once = 0;
        for (int i = 0; i < request.value("warm", 3); ++i) {
            const double start = now();
            workload_->call();
            once = now() - start;
        }
        const double least = request.value("min_s", 0.002);
        const int calls = once > 0 ? std::max(1, static_cast<int>(least / once) + 1) : 1;
        Json samples = Json::array();
        for (int i = 0; i < request.value("reps", 3); ++i) {
            const double start = now();
            for (int c = 0; c < calls; ++c) workload_->call();
            samples.push_back((now() - start) / calls);
        }
        return {{"ok", true}, {"s", samples}};
    }

    std::optional<Workload> workload_;
};

}  // namespace

int serve() {
    // The benchmark says how many threads and which folder; Sinter's own variables take precedence.
    if (const char* threads = std::getenv("BENCH_THREADS")) setenv("SINTER_THREADS", threads, 0);
    if (const char* cache = std::getenv("BENCH_CACHE_DIR")) setenv("SINTER_CACHE_DIR", cache, 0);
    Server server;
    for (std::string line; std::getline(std::cin, line);) {
        Json reply;
        try {
            const Json request = Json::parse(line);
            if (request.value("cmd", "") == "exit") return 0;
            reply = server.answer(request);
        } catch (const Unsupported& error) {
            reply = {{"ok", false}, {"unsupported", true}, {"error", error.what()}};
        } catch (const std::exception& error) {
            reply = {{"ok", false}, {"unsupported", false}, {"error", error.what()}};
        }
        std::cout << reply.dump() << std::endl;
    }
    return 0;
}

}  // namespace sinter::tool
