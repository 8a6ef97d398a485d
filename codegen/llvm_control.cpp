// Blocks, loops and branches as text of LLVM IR.

#include "llvm_writer.h"

namespace sinter::codegen {

// A store past the caches from `at` on, with those that follow before memory is read: under one
// branch. Gives the position behind.
std::size_t LlvmWriter::streaming_stores(const std::vector<Item>& items, std::size_t at) {
    std::vector<Value> stores;
    const Value lined = inst(std::get<Value>(items[at])).src[2];
    for (; at < items.size(); ++at) {
        const auto* v = std::get_if<Value>(&items[at]);
        if (v == nullptr) break;
        const Inst& i = inst(*v);
        if (i.code == Code::Store && i.streaming && i.src[2] == lined)
            stores.push_back(*v);
        else if (i.code == Code::Store || i.code == Code::Load || i.code == Code::Check)
            break;
        else
            instruction(*v);
    }
    streams_ = true;
    const std::string id = std::to_string(next_++);
    line("br i1 " + ref(lined) + ", label %past" + id + ", label %plain" + id);
    for (const bool past : {true, false}) {
        open((past ? "past" : "plain") + id);
        for (Value v : stores) store(inst(v), past);
        line("br label %stored" + id);
    }
    open("stored" + id);
    return at;
}

void LlvmWriter::block(const Block& b) {
    for (std::size_t at = 0; at < b.items.size(); ++at) {
        const Item& item = b.items[at];
        const auto* value = std::get_if<Value>(&item);
        if (value != nullptr && inst(*value).code == Code::Store && inst(*value).streaming) {
            at = streaming_stores(b.items, at) - 1;
            continue;
        }
        if (const auto* v = std::get_if<Value>(&item))
            instruction(*v);
        else if (const auto* loop_item = std::get_if<std::unique_ptr<Loop>>(&item))
            loop(**loop_item);
        else
            branch(*std::get<std::unique_ptr<If>>(item));
    }
}

void LlvmWriter::loop(const Loop& l) {
    const std::string id = std::to_string(next_++), head = "loop" + id, exit = "exit" + id;
    const std::string before = label_;
    if (l.may_be_empty) {
        const std::string some = fresh("t");
        line(some + " = icmp slt " + typed(l.begin) + ", " + ref(l.end));
        line("br i1 " + some + ", label %" + head + ", label %" + exit);
    } else {
        line("br label %" + head);
    }
    // The phis name the last block of the body, which is known when the body is written.
    open(head);
    const std::size_t phis = body_.size();
    block(l.body);
    const std::string latch = label_, again = fresh("t");
    const bool counts = l.until == kNone;
    const std::string next = counts ? fresh("n") : ref(l.carried.back().next);
    if (counts) line(next + " = add nsw i64 " + ref(l.index) + ", 1");
    const bool by_memory = !counts && is_memory(inst(l.until));
    line(again + (by_memory ? " = icmp ult ptr " : " = icmp slt i64 ") + next + ", " +
         ref(counts ? l.end : l.until));
    line("br i1 " + again + ", label %" + head + ", label %" + exit + ", !llvm.loop !0");
    std::string head_phis, hidden;
    if (counts) {
        head_phis = "  " + ref(l.index) + ".n = phi i64 [ " + ref(l.begin) + ", %" + before +
                    " ], [ " + next + ", %" + latch + " ]\n";
        hide(hidden, "i64", ref(l.index));
    }
    for (std::size_t i = 0; i < l.carried.size(); ++i) {
        const Loop::Carried& c = l.carried[i];
        const bool is_index = l.results[i] == kNone;
        head_phis += "  " + ref(c.phi) + (is_index ? ".n" : "") + " = phi " + type_of(c.phi) +
                     " [ " + ref(c.init) + ", %" + before + " ], [ " + ref(c.next) + ", %" + latch +
                     " ]\n";
        if (is_index) hide(hidden, type_of(c.phi), ref(c.phi));
    }
    head_phis += hidden;
    body_.insert(phis, head_phis);
    open(exit);
    for (std::size_t i = 0; i < l.carried.size(); ++i) {
        const Loop::Carried& c = l.carried[i];
        if (l.results[i] == kNone) continue;
        std::string text = ref(l.results[i]) + " = phi " + type_of(c.phi) + " [ " + ref(c.next) +
                           ", %" + latch + " ]";
        if (l.may_be_empty) text += ", [ " + ref(c.init) + ", %" + before + " ]";
        line(text);
    }
}

// LLVM would spend a fifth of its time on how the addresses of a loop follow from its indices
// (loop strength reduction); they are as they should be.
void LlvmWriter::hide(std::string& text, const std::string& type, const std::string& value) {
    text +=
        "  " + value + " = call " + type + " asm \"\", \"=r,0\"(" + type + " " + value + ".n)\n";
}

void LlvmWriter::branch(const If& b) {
    const std::string id = std::to_string(next_++), then = "then" + id, other = "else" + id,
                      after = "after" + id;
    const bool both = !b.otherwise.items.empty();
    line("br i1 " + ref(b.condition) + ", label %" + then + ", label %" + (both ? other : after));
    open(then);
    block(b.then);
    line("br label %" + after);
    if (both) {
        open(other);
        block(b.otherwise);
        line("br label %" + after);
    }
    open(after);
}

}  // namespace sinter::codegen
