#pragma once
// Batches of a data set in host memory, in an order that a seed decides.

#include <cstdint>
#include <iterator>
#include <memory>
#include <span>
#include <vector>

#include <sinter/nn/image_set.h>

namespace sinter::nn {

/// Samples (f32) and labels (i32), in host memory.
struct HostBatch {
    std::vector<float> x;         ///< [count, sample shape…], row-major
    std::vector<std::int32_t> y;  ///< [count]
    std::int64_t count = 0;
};

struct LoaderOptions {
    std::int64_t batch = 32;
    bool shuffle = true;
    bool drop_last = false;  ///< leave out a last batch that is not full
    std::uint64_t seed = 0;
};

/// Pixels 0..255 become (pixel / 255 - mean) / std.
struct PixelScale {
    float mean = 0, std = 1;
};

/// Goes over a data set in batches. Each walk (`for (const HostBatch& batch : loader.host())`, or
/// next()) is an epoch with an order of its own, given by the seed and the epoch's number alone.
class DataLoader {
public:
    /// Images as samples of [1, height, width]. Throws ValueError for a batch below 1 or a set
    /// whose sizes do not agree.
    explicit DataLoader(const ImageSet& images, const LoaderOptions& options = {},
                        PixelScale scale = {});
    /// Samples of any shape. Throws ValueError where samples, shape and labels do not agree.
    DataLoader(std::vector<float> samples, std::vector<std::int64_t> sample_shape,
               std::vector<std::int32_t> labels, const LoaderOptions& options = {});

    std::int64_t sample_count() const { return static_cast<std::int64_t>(labels_.size()); }
    /// Batches of one epoch.
    std::int64_t batch_count() const;
    const std::vector<std::int64_t>& sample_shape() const { return sample_shape_; }

    /// Starts epoch `epoch`; the first is 0, and the next follows by itself.
    void start_epoch(std::int64_t epoch);
    std::int64_t epoch() const { return epoch_; }
    /// Puts the next batch of the epoch into `batch`; false at its end, after which the next epoch
    /// begins.
    bool next(HostBatch& batch);

private:
    void gather(std::size_t sample, float* out) const;

    std::vector<float> samples_;        // either these
    std::vector<std::uint8_t> pixels_;  // or these, through the table
    std::vector<float> of_pixel_;
    std::vector<std::int64_t> sample_shape_;
    std::size_t sample_size_ = 1;
    std::vector<std::int32_t> labels_;
    LoaderOptions options_;
    std::int64_t epoch_ = -1;
    std::vector<std::uint32_t> order_;
    std::size_t at_ = 0;
};

}  // namespace sinter::nn
