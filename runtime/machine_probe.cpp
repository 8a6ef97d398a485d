#include "machine_probe.h"

#include <array>
#include <string>
#include <vector>

#include <sinter/ir/error.h>

namespace sinter::runtime::probe {
namespace {

constexpr int kChains = 12;  // sums that do not wait for one another: latency times units
constexpr int kVectors = 8;  // a trip of the memory probes

std::string number(int i) { return std::to_string(i); }

// A loop over %i from 0 to %trips; `phis` and `body` are lines of it, `done` what follows.
std::string function(const std::string& name, const std::string& setup, const std::string& phis,
                     const std::string& body, const std::string& done) {
    return "define void @" + name + "(ptr noalias %from, ptr noalias %to, i64 %trips) {\nentry:\n" +
           setup + "  br label %loop\nloop:\n  %i = phi i64 [ 0, %entry ], [ %next, %loop ]\n" +
           phis + body +
           "  %next = add i64 %i, 1\n  %more = icmp ult i64 %next, %trips\n"
           "  br i1 %more, label %loop, label %done\ndone:\n" +
           done + "  ret void\n}\n";
}

struct Text {
    std::string setup, phis, done;
};

// kChains accumulators of `vector`, which start from different numbers so that none is another, and
// are stored in the end so that none is left out.
Text chains(const std::string& vector) {
    Text t;
    for (int k = 0; k < kChains; ++k) {
        const std::string n = number(k);
        t.setup += "  %p" + n + " = getelementptr " + vector + ", ptr %from, i64 " + number(k + 2) +
                   "\n  %s" + n + " = load " + vector + ", ptr %p" + n + ", align 4\n";
        t.phis +=
            "  %a" + n + " = phi " + vector + " [ %s" + n + ", %entry ], [ %b" + n + ", %loop ]\n";
        t.done += "  store " + vector + " %b" + n + ", ptr %p" + n + ", align 4\n";
    }
    return t;
}

std::string f32_text(const codegen::Target& target, const std::string& vector, int lanes) {
    Text t = chains(vector);
    t.setup += "  %x = load " + vector + ", ptr %from, align 4\n  %yp = getelementptr " + vector +
               ", ptr %from, i64 1\n  %y = load " + vector + ", ptr %yp, align 4\n";
    std::string body;
    for (int k = 0; k < kChains; ++k) {
        const std::string n = number(k);
        if (target.fma)
            body += "  %b" + n + " = call " + vector + " @llvm.fma.v" + number(lanes) + "f32(" +
                    vector + " %a" + n + ", " + vector + " %x, " + vector + " %y)\n";
        else
            body += "  %m" + n + " = fmul " + vector + " %a" + n + ", %x\n  %b" + n + " = fadd " +
                    vector + " %m" + n + ", %y\n";
    }
    std::string text = function("probe_f32", t.setup, t.phis, body, t.done);
    if (target.fma)
        text += "declare " + vector + " @llvm.fma.v" + number(lanes) + "f32(" + vector + ", " +
                vector + ", " + vector + ")\n";
    return text;
}

std::string bf16_text() {
    const std::string vector = "<16 x float>", pairs = "<32 x bfloat>",
                      dot = "@llvm.x86.avx512bf16.dpbf16ps.512";
    Text t = chains(vector);
    t.setup += "  %x = load " + pairs + ", ptr %from, align 4\n";
    std::string body;
    for (int k = 0; k < kChains; ++k) {
        const std::string n = number(k);
        body += "  %b" + n + " = call " + vector + " " + dot + "(" + vector + " %a" + n + ", " +
                pairs + " %x, " + pairs + " %x)\n";
    }
    return function("probe_bf16", t.setup, t.phis, body, t.done) + "declare " + vector + " " + dot +
           "(" + vector + ", " + pairs + ", " + pairs + ")\n";
}

// Four sums of whole tiles, none of which waits for another; all numbers are 0.
constexpr int kTiles = 4, kTileRows = 16, kTileBytes = 64;
std::string tile_text() {
    // The palette, then bytes of a row (16 bits each) and rows by register.
    std::vector<int> layout(64, 0);
    layout[0] = 1;
    std::string setup = "  call void @llvm.x86.ldtilecfg(ptr @tiles)\n", values, body;
    for (int k = 0; k < 2 * kTiles; ++k) {
        layout[static_cast<std::size_t>(16 + 2 * k)] = kTileBytes;
        layout[static_cast<std::size_t>(48 + k)] = kTileRows;
        setup += "  call void @llvm.x86.tilezero(i8 " + number(k) + ")\n";
    }
    for (const int byte : layout) values += (values.empty() ? "i8 " : ", i8 ") + number(byte);
    for (int k = 0; k < kTiles; ++k)
        body += "  call void @llvm.x86.tdpbf16ps(i8 " + number(k) + ", i8 " +
                number(kTiles + k / 2) + ", i8 " + number(kTiles + 2 + k % 2) + ")\n";
    return "@tiles = private unnamed_addr constant [64 x i8] [" + values + "], align 64\n" +
           function("probe_bf16", setup, "", body, "  call void @llvm.x86.tilerelease()\n") +
           "declare void @llvm.x86.ldtilecfg(ptr)\ndeclare void @llvm.x86.tilezero(i8)\n"
           "declare void @llvm.x86.tdpbf16ps(i8, i8, i8)\ndeclare void @llvm.x86.tilerelease()\n";
}

// `from` (and `to`) a trip further: kVectors vectors.
std::string addresses(const std::string& vector, const char* base, const char* prefix) {
    std::string text = "  %" + std::string(prefix) + " = mul i64 %i, " + number(kVectors) + "\n";
    for (int k = 0; k < kVectors; ++k) {
        const std::string n = number(k);
        text += "  %" + std::string(prefix) + "i" + n + " = add i64 %" + prefix + ", " + n +
                "\n  %" + prefix + n + " = getelementptr " + vector + ", ptr %" + base + ", i64 %" +
                prefix + "i" + n + "\n";
    }
    return text;
}

std::string read_text(const std::string& vector) {
    std::string phis, body = addresses(vector, "from", "f");
    std::string sum = "  %t0 = fadd " + vector + " %b0, %b1\n";
    for (int k = 0; k < kVectors; ++k) {
        const std::string n = number(k);
        phis += "  %a" + n + " = phi " + vector + " [ zeroinitializer, %entry ], [ %b" + n +
                ", %loop ]\n";
        body += "  %v" + n + " = load " + vector + ", ptr %f" + n + ", align 64\n  %b" + n +
                " = fadd " + vector + " %a" + n + ", %v" + n + "\n";
        if (k >= 2)
            sum += "  %t" + number(k - 1) + " = fadd " + vector + " %t" + number(k - 2) + ", %b" +
                   n + "\n";
    }
    // Of zeros: it is never stored, but only the machine knows.
    const std::string last = "%t" + number(kVectors - 2);
    sum += "  %one = extractelement " + vector + " " + last +
           ", i32 0\n  %odd = fcmp one float %one, 0.0\n  br i1 %odd, label %write, label "
           "%end\nwrite:\n"
           "  store " +
           vector + " " + last + ", ptr %from, align 64\n  br label %end\nend:\n";
    return function("probe_read", "", phis, body, sum);
}

std::string copy_text(const std::string& vector, bool stream) {
    std::string body = addresses(vector, "from", "f") + addresses(vector, "to", "t");
    for (int k = 0; k < kVectors; ++k) {
        const std::string n = number(k);
        body += "  %v" + n + " = load " + vector + ", ptr %f" + n + ", align 64\n  store " +
                vector + " %v" + n + ", ptr %t" + n + ", align 64" +
                (stream ? ", !nontemporal !0" : "") + "\n";
    }
    return function(stream ? "probe_stream" : "probe_copy", "", "", body,
                    stream ? "  fence seq_cst\n" : "");
}

}  // namespace

Probes compile(const codegen::Target& target) {
    const int lanes = target.vector_bits / 32;
    const std::string vector = "<" + number(lanes) + " x float>";
    const std::string text = f32_text(target, vector, lanes) + read_text(vector) +
                             copy_text(vector, false) + copy_text(vector, true) + "!0 = !{i32 1}\n";
    const std::vector<std::string> symbols{"probe_f32", "probe_read", "probe_copy", "probe_stream"};
    Probes probes;
    probes.code = Code::load(compile_object(text, "probes", target, true), "probes", symbols);
    const auto step = static_cast<std::size_t>(kVectors * target.vector_bits / 8);
    const std::array<Probe*, 4> all{&probes.f32, &probes.read, &probes.copy, &probes.stream};
    for (std::size_t i = 0; i < all.size(); ++i) {
        all[i]->run = reinterpret_cast<decltype(Probe::run)>(probes.code->address(i));
        all[i]->step_bytes = step;
    }
    probes.f32.work_a_trip = 2.0 * lanes * kChains;
    if (target.native_bf16 && target.vector_bits == 512) {
        try {
            const std::vector<std::string> symbol{"probe_bf16"};
            const std::string bf16 = target.tiles_of_bf16 ? tile_text() : bf16_text();
            probes.bf16_code =
                Code::load(compile_object(bf16, "probe_bf16", target, true), "probe_bf16", symbol);
            probes.bf16.run = reinterpret_cast<decltype(Probe::run)>(probes.bf16_code->address(0));
            probes.bf16.work_a_trip = target.tiles_of_bf16
                                          ? kTiles * 2.0 * kTileRows * kTileRows * (kTileBytes / 2)
                                          : 64.0 * kChains;
        } catch (const BackendError&) {
            // An LLVM that names the instruction otherwise: there is no figure then.
            probes.bf16 = {};
        }
    }
    return probes;
}

}  // namespace sinter::runtime::probe
