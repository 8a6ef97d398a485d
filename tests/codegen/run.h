#pragma once
// Compiles a kernel in the kernel form for a target and runs it on the calling thread.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <sinter/codegen/codegen.h>
#include <sinter/runtime/compiler.h>
#include <sinter/runtime/target.h>

namespace sinter::testing {

// Memory on a 64-byte boundary.
class Scratch {
public:
    explicit Scratch(std::int64_t bytes) : bytes_(static_cast<std::size_t>(bytes) + 64) {}
    void* data() const {
        const auto at = reinterpret_cast<std::uintptr_t>(bytes_.data());
        return reinterpret_cast<void*>((at + 63) / 64 * 64);
    }

private:
    std::vector<std::byte> bytes_;
};

struct CompiledKernel {
    codegen::Program program;
    std::shared_ptr<const runtime::Code> code;

    CompiledKernel(ir::Ref sink, const codegen::Target& target,
                   const codegen::Schedule* schedule = nullptr)
        : program(codegen::lower(sink, "kernel", target, schedule)) {
        const std::string object = runtime::compile_object(program.source, "kernel", target, true);
        std::vector<std::string> symbols;
        for (const codegen::Phase& p : program.phases) symbols.push_back(p.symbol);
        code = runtime::Code::load(object, "kernel", symbols);
    }

    /// The record of an index out of range: {check id + 1, index}, or zeros. Trips are run in
    /// `parts` pieces.
    std::vector<std::int64_t> run(std::vector<void*> blocks, std::vector<std::int64_t> scalars = {},
                                  std::int64_t parts = 1) const {
        std::vector<std::int64_t> check(2, 0);
        const Scratch shared(program.shared_bytes), thread(program.thread_bytes);
        for (std::size_t i = 0; i < program.phases.size(); ++i) {
            const codegen::Phase& p = program.phases[i];
            std::int64_t trips = p.trips;
            if (p.trips_slot >= 0)
                trips = (scalars[static_cast<std::size_t>(p.trips_slot)] + p.trips_step - 1) /
                        p.trips_step;
            const auto f = reinterpret_cast<codegen::KernelFunction>(code->address(i));
            for (std::int64_t part = 0; part < parts; ++part) {
                const std::int64_t begin = trips * part / parts, end = trips * (part + 1) / parts;
                if (begin < end)
                    f(blocks.data(), scalars.data(), shared.data(), thread.data(), check.data(),
                      begin, end);
            }
        }
        return check;
    }
};

}  // namespace sinter::testing
