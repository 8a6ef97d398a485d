#include "layout.h"

#include <algorithm>
#include <optional>

#include "cost.h"
#include "parts.h"

namespace sinter::schedule {

using ir::Op;
using ir::Ref;

namespace {

/// A place in a value of images, channels and pixels.
struct Place {
    std::size_t channels;  ///< the axis
    Ref image, channel;
    std::vector<Ref> pixel;
};

std::optional<Place> place_of(const Graph& g, Id n, std::span<const Ref> tuple) {
    const std::span<const std::int64_t> shape = g.shape(n);
    std::vector<std::size_t> axes;
    for (std::size_t d = 0; d < shape.size(); ++d)
        if (shape[d] > 1) axes.push_back(d);
    if (axes.size() < 3 || !tuple[axes[0]]->is(Op::Range)) return std::nullopt;
    Place place{axes[1], tuple[axes[0]], tuple[axes[1]], {}};
    for (std::size_t i = 2; i < axes.size(); ++i) place.pixel.push_back(tuple[axes[i]]);
    if ((place.channel->ranges() & place.image->ranges()) != 0) return std::nullopt;
    return place;
}

std::int64_t count(std::span<const Ref> ranges) {
    std::int64_t product = 1;
    for (Ref r : ranges) product *= r->src(0)->arg(0);
    return product;
}

class Chooser {
public:
    Chooser(const Expansion& expansion, const Plan& plan,
            const std::function<bool(Id)>& is_temporary)
        : x_(expansion),
          g_(expansion.graph()),
          plan_(plan),
          is_temporary_(is_temporary),
          orders_(g_.size()) {}

    void look_at(const PlannedKernel& kernel) {
        if (!kernel.contraction || kernel.sealed) return;
        for (const PlannedRead& read : kernel.loads) {
            if (read.summed == 0) continue;
            const auto operand = place_of(g_, read.node, x_.tuple(read.tuple));
            if (operand && is_product(*operand, read.summed)) join_images(kernel, *operand);
            join_sums(read);
        }
    }
    std::vector<std::vector<std::uint8_t>> orders() && { return std::move(orders_); }

private:
    /// Whether nothing but channels is summed, for few pixels.
    static bool is_product(const Place& operand, std::uint64_t summed) {
        return (operand.image->ranges() & summed) == 0 && operand.channel->ranges() != 0 &&
               (operand.channel->ranges() & ~summed) == 0 &&
               std::ranges::all_of(
                   operand.pixel,
                   [&](Ref p) { return p->is(Op::Range) && (p->ranges() & summed) == 0; }) &&
               count(operand.pixel) <= cost::kFewPixels;
    }

    /// The axes of `first` (bits), then the others, each in their order.
    std::vector<std::uint8_t> first_axes(Id n, std::uint64_t first) const {
        std::vector<std::uint8_t> order;
        for (const bool now : {true, false})
            for (std::size_t d = 0; d < g_.shape(n).size(); ++d)
                if ((first >> d & 1) == (now ? 1 : 0))
                    order.push_back(static_cast<std::uint8_t>(d));
        return order;
    }

    /// Axes that a sum goes along become the innermost ones of a value that is put together, if
    /// some of the others lie between them: what is summed of a row lies in one piece.
    void join_sums(const PlannedRead& read) {
        const Id n = read.node;
        if (!is_temporary_(n) || !orders_[n].empty() ||
            !may_put_together(g_, plan_.kernels()[plan_.home(n)]))
            return;
        const std::span<const Ref> tuple = x_.tuple(read.tuple);
        std::uint64_t rows = 0;
        bool summed = false, last_summed = false, parted = false;
        for (std::size_t d = 0; d < tuple.size(); ++d) {
            if (g_.shape(n)[d] == 1) continue;
            const std::uint64_t ranges = tuple[d]->ranges(), closed = ranges & read.summed;
            if (ranges == 0 || (closed != 0 && closed != ranges)) return;
            if (closed == 0) rows |= std::uint64_t{1} << d;
            parted = parted || (closed != 0 && summed && !last_summed);
            last_summed = closed != 0;
            summed = summed || last_summed;
        }
        if (parted) orders_[n] = first_axes(n, rows);
    }

    /// Turns all that the kernel has of the images, or nothing.
    void join_images(const PlannedKernel& kernel, const Place& operand) {
        std::vector<std::pair<Id, std::size_t>> turned;
        const auto turns = [&](Id n, TupleId tuple) {
            if ((x_.mask(tuple) & operand.image->ranges()) == 0) return true;
            const auto place = place_of(g_, n, x_.tuple(tuple));
            if (!place || place->image != operand.image || place->pixel != operand.pixel ||
                !is_temporary_(n) || g_.op(n) == Op::Scatter)
                return false;
            turned.emplace_back(n, place->channels);
            return true;
        };
        for (const PlannedRead& read : kernel.loads)
            if (!turns(read.node, read.tuple)) return;
        for (const PlannedStore& store : kernel.stores)
            if (!turns(store.node, store.tuple)) return;
        for (const auto& [n, channels] : turned)
            orders_[n] = first_axes(n, std::uint64_t{1} << channels);
    }

    const Expansion& x_;
    const Graph& g_;
    const Plan& plan_;
    const std::function<bool(Id)>& is_temporary_;
    std::vector<std::vector<std::uint8_t>> orders_;
};

}  // namespace

Layouts choose_layouts(const Expansion& expansion, const Plan& plan,
                       const std::function<bool(Id)>& is_temporary) {
    Chooser chooser(expansion, plan, is_temporary);
    for (const PlannedKernel& kernel : plan.kernels()) chooser.look_at(kernel);
    return {std::move(chooser).orders(), {}, std::vector<bool>(plan.kernels().size())};
}

}  // namespace sinter::schedule
