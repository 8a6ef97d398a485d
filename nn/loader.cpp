#include <sinter/nn/loader.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>
#include <string>

#include "check.h"
#include "random_bits.h"

namespace sinter::nn {

namespace {

void check(const LoaderOptions& options, std::size_t values, const Shape& sample,
           std::size_t sample_size, std::size_t labels, const Where& where) {
    const Called call("DataLoader", where);
    require(options.batch >= 1, "batch is " + std::to_string(options.batch) + "; needs at least 1");
    require(values == sample_size * labels, std::to_string(values) + " values are not " +
                                                std::to_string(labels) +
                                                " samples (one a label) of " + to_string(sample));
    require(labels <= std::numeric_limits<std::uint32_t>::max(), "more than 2^32 samples");
}

std::size_t product(const Shape& shape) {
    return static_cast<std::size_t>(
        std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>()));
}

}  // namespace

DataLoader::DataLoader(const ImageSet& images, const LoaderOptions& options, PixelScale scale,
                       Where where)
    : pixels_(images.pixels),
      sample_shape_{1, images.height, images.width},
      sample_size_(product(sample_shape_)),
      labels_(images.labels.begin(), images.labels.end()),
      options_(options) {
    check(options_, pixels_.size(), sample_shape_, sample_size_, labels_.size(), where);
    for (int pixel = 0; pixel < 256; ++pixel) {
        of_pixel_.push_back((static_cast<float>(pixel) / 255.f - scale.mean) / scale.std);
    }
    start_epoch(0);
}

DataLoader::DataLoader(std::vector<float> samples, const Shape& sample_shape,
                       std::vector<std::int32_t> labels, const LoaderOptions& options, Where where)
    : samples_(std::move(samples)),
      sample_shape_(sample_shape),
      sample_size_(product(sample_shape_)),
      labels_(std::move(labels)),
      options_(options) {
    check(options_, samples_.size(), sample_shape_, sample_size_, labels_.size(), where);
    start_epoch(0);
}

std::int64_t DataLoader::batch_count() const {
    const std::int64_t full = sample_count() / options_.batch;
    return options_.drop_last || sample_count() % options_.batch == 0 ? full : full + 1;
}

void DataLoader::start_epoch(std::int64_t epoch) {
    epoch_ = epoch;
    at_ = 0;
    order_.resize(labels_.size());
    std::iota(order_.begin(), order_.end(), 0u);
    if (!options_.shuffle) return;
    RandomBits random(options_.seed, static_cast<std::uint64_t>(epoch));
    for (std::size_t i = order_.size(); i > 1; --i)
        std::swap(order_[i - 1], order_[random.below(i)]);
}

void DataLoader::gather(std::size_t sample, float* out) const {
    const std::size_t begin = sample * sample_size_;
    if (of_pixel_.empty()) {
        std::copy_n(samples_.begin() + static_cast<std::ptrdiff_t>(begin), sample_size_, out);
    } else {
        for (std::size_t i = 0; i < sample_size_; ++i) out[i] = of_pixel_[pixels_[begin + i]];
    }
}

bool DataLoader::next(HostBatch& batch) {
    const std::size_t count =
        std::min(static_cast<std::size_t>(options_.batch), order_.size() - at_);
    if (count == 0 || (options_.drop_last && count < static_cast<std::size_t>(options_.batch))) {
        start_epoch(epoch_ + 1);
        return false;
    }
    batch.count = static_cast<std::int64_t>(count);
    batch.x.resize(count * sample_size_);
    batch.y.resize(count);
    for (std::size_t i = 0; i < count; ++i) {
        const std::size_t sample = order_[at_ + i];
        gather(sample, batch.x.data() + i * sample_size_);
        batch.y[i] = labels_[sample];
    }
    at_ += count;
    return true;
}

DataLoader::Iterator DataLoader::begin() {
    if (at_ != 0) start_epoch(epoch_ + 1);
    return Iterator(this);
}

DataLoader::Iterator& DataLoader::Iterator::operator++() {
    if (!loader_->next(host_)) {
        loader_ = nullptr;
        return *this;
    }
    Shape shape{host_.count};
    shape.insert(shape.end(), loader_->sample_shape_.begin(), loader_->sample_shape_.end());
    batch_.x = Tensor(std::span<const float>(host_.x), shape);
    batch_.y = Tensor(std::span<const std::int32_t>(host_.y), {host_.count});
    return *this;
}

}  // namespace sinter::nn
