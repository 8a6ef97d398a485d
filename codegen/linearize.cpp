#include "linearize.h"

#include <utility>

#include "linearizer.h"

namespace sinter::codegen {

using ir::Role;

Linearizer::Linearizer(Arena& arena, Ref sink, std::span<const std::int64_t> order,
                       std::span<const Ref> parallel, const std::string& symbol,
                       const LinearizeOptions& options)
    : arena_(arena),
      emit_(arena, options.fma),
      parallel_(parallel.begin(), parallel.end()),
      teams_(options.teams),
      prefetch_(options.prefetch),
      squares_(options.squares) {
    for (const Limit& l : options.limits) limit_[l.range] = &l;
    emit_.function().symbol = symbol;
    for (const Streamed& s : options.streamed) emit_.stream(s);
    if (options.spans) emit_.read_spans();
    for (const std::int64_t slot : options.far) emit_.read_far(slot);
    for (Ref n : ir::toposort(std::span(&sink, 1))) {
        if (is_closing(n))
            for (Ref r : named_ranges(n)) closed_ |= range_bit(r);
        if (n->is(Op::Scan) && n->src(1)->is(Op::Range)) ordered_ |= range_bit(n->src(1));
        if (n->is(Op::Store))
            for (Ref r : n->src().subspan(4))
                if (r->is(Op::Range)) ordered_ |= range_bit(r);
        if (!n->is(Op::Range)) continue;
        const auto number = static_cast<std::size_t>(n->arg(0));
        range_[number] = n;
        if (ir::role_of(n) == Role::Vector) {
            vector_ |= range_bit(n);
            emit_.set_vector(n);
        }
    }
    for (std::size_t i = 0; i < 64; ++i) rank_[i] = 64 + static_cast<std::int64_t>(i);
    for (std::size_t i = 0; i < order.size(); ++i)
        rank_[static_cast<std::size_t>(order[i])] = static_cast<std::int64_t>(i);
    // What is kept anew in each step of a range is filled and read within it.
    const std::uint64_t renewed = teams_ ? 0 : renewed_ranges(sink) & ~closed_;
    for (std::size_t i = 0; i < 64; ++i)
        if ((renewed >> i & 1) == 0) rank_[i] += 128;
    Ref written = nullptr;
    for (Ref s : sink->src()) {
        stores_.push_back(s);
        if (ir::is_near(s->src(0))) emit_.updates(s->src(0));
        if (s->src(0)->arg(0) < 0) continue;  // scratch
        if (written == nullptr) written = s->src(0);
        overwrites_ = overwrites_ || s->src(0) != written;
    }
}

Function Linearizer::run() {
    std::vector<Work> works;
    for (Ref s : stores_) works.push_back(store_work(s));
    open_trips(std::move(works));
    return std::move(emit_.function());
}

// --- parallel ranges: one loop over trips

void Linearizer::open_trips(std::vector<Work> works) {
    if (!parallel_.empty()) row_ = parallel_.back();
    const Value begin = emit_.argument(Arg::Begin), end = emit_.argument(Arg::End);
    if (parallel_.size() == 1 && is_ragged(parallel_[0]))
        return split_trips(std::move(works), begin, end);
    emit_.open_loop(begin, end, false);
    // Trip t is a number in mixed radix, the last range running fastest.
    Value rest = emit_.loop_index();
    for (std::size_t i = parallel_.size(); i-- > 0;) {
        const Ref size = parallel_[i]->src(0);
        if (i == 0) {
            emit_.bind(parallel_[i], rest);
            break;
        }
        const Value n = emit_.value(size);
        emit_.bind(parallel_[i], emit_.arith(Op::Mod, DType::Index, {rest, n}));
        rest = emit_.arith(Op::IDiv, DType::Index, {rest, n});
    }
    variants(std::move(works), 0);
    emit_.close_loop();
}

// Each ragged parallel range doubles the code: its last trip, and the others.
void Linearizer::variants(std::vector<Work> works, std::size_t i) {
    while (i < parallel_.size() && !is_ragged(parallel_[i])) ++i;
    if (i == parallel_.size()) return process(std::move(works));
    const Ref p = parallel_[i];
    const std::int64_t n = p->src(0)->arg(0);
    const bool outer_last = last_trips_;
    last_trips_ = true;
    if (n == 1) {
        variants(at(works, p, arena_.index(0)), i + 1);
        last_trips_ = outer_last;
        return;
    }
    const Value last =
        emit_.arith(Op::Eq, DType::Bool, {emit_.value(p), emit_.value(arena_.index(n - 1))});
    emit_.open_if(last);
    variants(at(works, p, arena_.index(n - 1)), i + 1);
    last_trips_ = outer_last;
    emit_.open_else();
    const Ref fewer = shortened(p, n - 1);
    emit_.bind(fewer, emit_.value(p));
    variants(at(works, p, fewer), i + 1);
    emit_.close_if();
}

// One ragged range: a loop over its whole trips, then the last one if it is ours.
void Linearizer::split_trips(std::vector<Work> works, Value begin, Value end) {
    const Ref p = parallel_[0];
    const Ref size = p->src(0);
    const bool constant = size->is(Op::Const);
    const Value last = constant ? emit_.value(arena_.index(size->arg(0) - 1))
                                : emit_.arith(Op::Sub, DType::Index,
                                              {emit_.value(size), emit_.value(arena_.index(1))});
    if (!constant || size->arg(0) > 1) {
        const Value whole_end = emit_.arith(Op::Min, DType::Index, {end, last});
        emit_.open_loop(begin, whole_end, true);
        if (constant) {
            const Ref fewer = shortened(p, size->arg(0) - 1);
            emit_.bind(p, emit_.loop_index());
            emit_.bind(fewer, emit_.loop_index());
            process(at(works, p, fewer));
        } else {
            // In a whole trip no element is beyond the end, whatever the size is.
            emit_.bind(p, emit_.loop_index());
            process(unbounded(works, size));
        }
        emit_.close_loop();
    }
    emit_.open_if(emit_.arith(Op::Lt, DType::Bool, {last, end}));
    if (constant) {
        emit_.bind(p, last);
        last_trips_ = true;
        process(at(works, p, arena_.index(size->arg(0) - 1)));
        last_trips_ = false;
    } else {
        emit_.bind(p, last);
        process(std::move(works));
    }
    emit_.close_if();
}

Ref Linearizer::shortened(Ref r, std::int64_t n) {
    const Ref size = arena_.index(n);
    const std::int64_t args[] = {r->arg(0), r->arg(1)};
    return arena_.make(Op::Range, DType::Index, std::span<const Ref>(&size, 1), args);
}

// --- work

std::vector<Linearizer::Work> Linearizer::at(const std::vector<Work>& works, Ref range, Ref value) {
    std::vector<Work> result;
    for (const Work& w : works) {
        Work moved = w;
        moved.values = substitute_free(arena_, w.values, range, value);
        if (w.store != nullptr) moved.store = moved.values[0];
        moved.remaining &= ~range_bit(range);
        result.push_back(std::move(moved));
    }
    return result;
}

// The works where masks against a variable size hold.
std::vector<Linearizer::Work> Linearizer::unbounded(const std::vector<Work>& works, Ref size) {
    Ref variable = nullptr;
    for (Ref n : ir::toposort(std::span(&size, 1)))
        if (n->is(Op::Variable)) variable = n;
    return at_variable(works, variable, arena_.index(variable->vmax() + (std::int64_t{1} << 32)));
}

std::vector<Linearizer::Work> Linearizer::at_variable(const std::vector<Work>& works, Ref variable,
                                                      Ref value) {
    const auto replace = [&](Ref root) {
        return rebuild(root, [&](Ref n, std::span<const Ref> src) {
            // Only masks: the ranges' own sizes stay.
            if (!n->is(Op::Lt)) return make_folded(arena_, n, src);
            const Ref changed[] = {src[0], src[1] == variable ? value : src[1]};
            return make_folded(arena_, n, changed);
        });
    };
    std::vector<Work> result;
    for (const Work& w : works) {
        Work moved = w;
        for (Ref& v : moved.values) v = replace(v);
        if (w.store != nullptr) moved.store = moved.values[0];
        result.push_back(std::move(moved));
    }
    return result;
}

Function linearize(Arena& arena, Ref sink, std::span<const std::int64_t> order,
                   std::span<const Ref> parallel, const std::string& symbol,
                   const LinearizeOptions& options) {
    return Linearizer(arena, sink, order, parallel, symbol, options).run();
}

}  // namespace sinter::codegen
