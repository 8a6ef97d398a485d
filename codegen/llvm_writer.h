#pragma once
// What writes a program's functions as text of LLVM IR, instruction by instruction.

#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <sinter/codegen/codegen.h>

#include "linear.h"
#include "llvm_types.h"

namespace sinter::codegen {

class LlvmWriter {
public:
    explicit LlvmWriter(const Target& target) : target_(target) {}

    void function(const Function& f);
    /// The module with all functions so far.
    std::string text();

private:
    // --- text and names (llvm.cpp)
    const Inst& inst(Value v) const { return f_->insts[static_cast<std::size_t>(v)]; }
    std::string type_of(Value v) const {
        if (is_memory(inst(v))) return "ptr";
        return type(inst(v).dtype, inst(v).lanes);
    }
    static bool is_memory(const Inst& i) {
        return i.code == Code::Address || (i.code == Code::Phi && i.dtype == DType::None);
    }
    std::string fresh(const char* stem) {
        return std::string("%") + stem + std::to_string(next_++);
    }
    void line(const std::string& text) { body_ += "  " + text + "\n"; }
    void open(const std::string& label) {
        body_ += label + ":\n";
        label_ = label;
    }
    // "i64 %v3"
    std::string typed(Value v) { return type_of(v) + " " + ref(v); }
    std::string ref(Value v);
    std::string call(const std::string& result_type, const std::string& name,
                     const std::vector<std::pair<std::string, std::string>>& args);
    void define(Value v, const std::string& text) { line("%v" + std::to_string(v) + " = " + text); }
    bool is_x86() const { return target_.triple.starts_with("x86_64"); }

    // --- functions and instructions (llvm.cpp)
    void for_each_trip(const std::vector<Function::Step>& steps);
    void instruction(Value v);
    void scalar(Value v, const Inst& i);
    bool hides_mixes(const Inst& i) const;
    bool fills_register(DType dt, int lanes) const;

    // --- control (llvm_control.cpp)
    std::size_t streaming_stores(const std::vector<Item>& items, std::size_t at);
    void block(const Block& b);
    void loop(const Loop& l);
    static void hide(std::string& text, const std::string& type, const std::string& value);
    void branch(const If& b);

    // --- memory (llvm_memory.cpp)
    std::string pointer(const Inst& i, DType memory_type);
    std::string reversed(const std::string& t, const std::string& x, int lanes);
    void load(Value v, const Inst& i);
    void lined(Value v, const Inst& i);
    void every_second(const std::string& result, const Inst& i, const std::string& at);
    void strided(const std::string& result, const Inst& i, const std::string& at,
                 const std::string& mask);
    bool is_known(Value v) const;
    std::string hidden(const std::string& mask, int lanes);
    void store(const Inst& i, bool past_caches);
    void check(Value v, const Inst& i);

    // --- arithmetic (llvm_arith.cpp)
    void arith(Value v, const Inst& i);
    void divide(Value v, const Inst& i);
    void extreme(Value v, const Inst& i);
    void index_division(Value v, const Inst& i);
    void cast(Value v, const Inst& i);

    // --- instructions of x86 alone (llvm_x86.cpp)
    std::string shuffled(DType dt, int lanes, const std::string& x, const std::string& y, int to,
                         int first);
    std::string scaled(DType dt, int lanes, const std::string& x, const std::string& n);
    std::string dot(const Inst& i, int lanes, const std::string& x, const std::string& y,
                    const std::string& sum);

    const Target& target_;
    const Function* f_ = nullptr;
    std::string body_, label_, globals_;
    std::set<std::string> declarations_;
    int next_ = 0;
    bool streams_ = false;  // the function has stores past the caches
};

}  // namespace sinter::codegen
