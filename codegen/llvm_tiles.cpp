#include "llvm_tiles.h"

#include <utility>
#include <vector>

namespace sinter::codegen {
namespace {

constexpr std::int64_t kTile = 16;  // rows of a tile, and words of its rows
constexpr std::int64_t kRowBytes = 4 * kTile;
// Registers 0 to 3 are sums, of two tiles' rows by two's columns.
constexpr int kX = 4, kY = 6, kRegisters = 8;

std::string text_of(std::int64_t n) { return std::to_string(n); }

class Writer {
public:
    Writer(const TileProduct& product, const std::string& symbol) : p_(product), symbol_(symbol) {}
    TileText run();

private:
    using Arguments = std::vector<std::pair<std::string, std::string>>;  // types and values
    // Steps of the sum: `count` tiles of `depth` each, from the step `begin` on. Where `starts`,
    // sums of a first trip have no value yet.
    struct Steps {
        std::int64_t begin, count, depth;
        bool starts;
    };
    // Tiles beside one another: the number of the first, and how many.
    struct Tiles {
        std::string first;
        int count;
    };

    std::string fresh(const char* stem) { return std::string("%") + stem + text_of(next_++); }
    void line(const std::string& text) { text_.body += "  " + text + "\n"; }
    void open(const std::string& label) {
        text_.body += label + ":\n";
        label_ = label;
    }
    void jump(const std::string& label) { line("br label %" + label); }
    void branch(const std::string& condition, const std::string& yes, const std::string& no) {
        line("br i1 " + condition + ", label %" + yes + ", label %" + no);
    }
    void call(const std::string& name, const Arguments& arguments);
    void configure(std::int64_t depth);
    void move(const char* how, int tile, const std::string& at, std::int64_t stride) {
        call(how, {{"i8", text_of(tile)}, {"ptr", at}, {"i64", text_of(stride)}});
    }
    // base + tile · step, in bytes of the thread's scratch.
    std::string pointer(std::int64_t base, const std::string& tile, std::int64_t step);
    std::string moved(const std::string& from, const std::string& bytes);
    std::string moved(const std::string& from, std::int64_t bytes) {
        return bytes == 0 ? from : moved(from, text_of(bytes));
    }
    // `body(i)` for i = 0 … count - 1, count > 0.
    template <class F>
    void loop(std::int64_t count, F body);
    // `body(tiles)` for two tiles at a time, then for one that is left.
    template <class F>
    void in_pairs(std::int64_t count, F body);
    void add(const Steps& steps);
    void add_square(const Tiles& rows, const Tiles& columns, const Steps& steps);

    const TileProduct& p_;
    const std::string& symbol_;
    TileText text_;
    std::string label_ = "entry";
    int next_ = 0;
};

void Writer::call(const std::string& name, const Arguments& arguments) {
    std::string types, values;
    for (const auto& [type, value] : arguments) {
        types += (types.empty() ? "" : ", ") + type;
        values += (values.empty() ? "" : ", ") + type + " " + value;
    }
    text_.declarations.insert("declare void @llvm.x86." + name + "(" + types + ")");
    line("call void @llvm.x86." + name + "(" + values + ")");
}

// Tiles of X have `depth` words in each of their rows, those of Y as many rows.
void Writer::configure(std::int64_t depth) {
    constexpr int kRowBytesAt = 16, kRowsAt = 48;
    std::int64_t bytes[64] = {1};  // the one palette there is
    for (int i = 0; i < kRegisters; ++i) {
        const bool x = i >= kX && i < kY, y = i >= kY;
        bytes[kRowBytesAt + 2 * i] = x ? 4 * depth : kRowBytes;
        bytes[kRowsAt + i] = y ? depth : kTile;
    }
    const std::string name = "@" + symbol_ + "_tiles_" + text_of(depth);
    std::string values;
    for (const std::int64_t byte : bytes)
        values += (values.empty() ? "i8 " : ", i8 ") + text_of(byte);
    text_.globals +=
        name + " = private unnamed_addr constant [64 x i8] [" + values + "], align 64\n";
    call("ldtilecfg", {{"ptr", name}});
}

std::string Writer::moved(const std::string& from, const std::string& bytes) {
    std::string at = fresh("p");
    line(at + " = getelementptr i8, ptr " + from + ", i64 " + bytes);
    return at;
}

std::string Writer::pointer(std::int64_t base, const std::string& tile, std::int64_t step) {
    const std::string far = fresh("t"), all = fresh("t");
    line(far + " = mul nuw nsw i64 " + tile + ", " + text_of(step));
    line(all + " = add nuw nsw i64 " + far + ", " + text_of(base));
    return moved("%thread", all);
}

template <class F>
void Writer::loop(std::int64_t count, F body) {
    const std::string id = text_of(next_++), before = label_, i = "%i" + id, next = "%n" + id;
    jump("loop" + id);
    open("loop" + id);
    line(i + " = phi i64 [ 0, %" + before + " ], [ " + next + ", %end" + id + " ]");
    body(i);
    jump("end" + id);
    open("end" + id);
    line(next + " = add nuw nsw i64 " + i + ", 1");
    line("%more" + id + " = icmp slt i64 " + next + ", " + text_of(count));
    branch("%more" + id, "loop" + id, "out" + id);
    open("out" + id);
}

template <class F>
void Writer::in_pairs(std::int64_t count, F body) {
    if (count > 1)
        loop(count / 2, [&](const std::string& i) {
            const std::string first = fresh("t");
            line(first + " = shl nuw nsw i64 " + i + ", 1");
            body(Tiles{first, 2});
        });
    if (count % 2 != 0) body(Tiles{text_of(count - 1), 1});
}

void Writer::add_square(const Tiles& rows, const Tiles& columns, const Steps& steps) {
    const std::string sums_of_rows = pointer(p_.c, rows.first, kTile * p_.c_row), far = fresh("t");
    line(far + " = mul nuw nsw i64 " + columns.first + ", " + text_of(kRowBytes));
    const std::string c = moved(sums_of_rows, far);
    const auto for_sums = [&](const auto& f) {
        for (int i = 0; i < rows.count; ++i)
            for (int j = 0; j < columns.count; ++j)
                f(2 * i + j, i * kTile * p_.c_row + j * kRowBytes);
    };
    const std::string id = text_of(next_++);
    if (steps.starts) {
        branch("%first", "none" + id, "some" + id);
        open("none" + id);
        for_sums([&](int sum, std::int64_t) { call("tilezero", {{"i8", text_of(sum)}}); });
        jump("sums" + id);
        open("some" + id);
    }
    for_sums([&](int sum, std::int64_t at) { move("tileloadd64", sum, moved(c, at), p_.c_row); });
    if (steps.starts) {
        jump("sums" + id);
        open("sums" + id);
    }
    const std::string x = pointer(p_.x + 4 * steps.begin, rows.first, kTile * p_.x_row),
                      y = pointer(p_.y + steps.begin * p_.y_row, columns.first, p_.y_tile);
    const std::string multiply = p_.dtype == f32 ? "tdpbf16ps"
                                                 : std::string("tdpb") + (p_.x_signed ? "s" : "u") +
                                                       (p_.y_signed ? "s" : "u") + "d";
    loop(steps.count, [&](const std::string& k) {
        const std::string x_by = fresh("t"), y_by = fresh("t");
        line(x_by + " = mul nuw nsw i64 " + k + ", " + text_of(kRowBytes));
        line(y_by + " = mul nuw nsw i64 " + k + ", " + text_of(kTile * p_.y_row));
        const std::string x_at = moved(x, x_by), y_at = moved(y, y_by);
        for (int j = 0; j < columns.count; ++j)
            move("tileloadd64", kY + j, moved(y_at, j * p_.y_tile), p_.y_row);
        for (int i = 0; i < rows.count; ++i) {
            move("tileloadd64", kX + i, moved(x_at, i * kTile * p_.x_row), p_.x_row);
            for (int j = 0; j < columns.count; ++j)
                call(
                    multiply,
                    {{"i8", text_of(2 * i + j)}, {"i8", text_of(kX + i)}, {"i8", text_of(kY + j)}});
        }
    });
    for_sums([&](int sum, std::int64_t at) { move("tilestored64", sum, moved(c, at), p_.c_row); });
}

void Writer::add(const Steps& steps) {
    configure(steps.depth);
    const auto tiles = [](std::int64_t n) { return (n + kTile - 1) / kTile; };
    in_pairs(tiles(p_.columns), [&](const Tiles& columns) {
        in_pairs(tiles(p_.rows), [&](const Tiles& rows) { add_square(rows, columns, steps); });
    });
}

TileText Writer::run() {
    const std::int64_t whole = p_.steps / kTile, rest = p_.steps % kTile;
    line("%some = icmp slt i64 %begin, %end");
    branch("%some", "trip", "done");
    open("trip");
    line("%t = phi i64 [ %begin, %entry ], [ %next, %turned ]");
    line("%next = add nsw i64 %t, 1");
    line("%turn = urem i64 %t, " + text_of(p_.blocks));
    line("%first = icmp eq i64 %turn, 0");
    if (whole > 0) add({0, whole, kTile, true});
    if (rest > 0) add({whole * kTile, 1, rest, whole == 0});
    jump("turned");
    open("turned");
    line("%again = icmp slt i64 %next, %end");
    branch("%again", "trip", "done");
    open("done");
    call("tilerelease", {});
    text_.body += "  ret void\n}\n\n";
    return std::move(text_);
}

}  // namespace

TileText render_tiles(const TileProduct& product, const std::string& symbol) {
    return Writer(product, symbol).run();
}

}  // namespace sinter::codegen
