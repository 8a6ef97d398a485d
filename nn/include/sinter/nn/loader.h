#pragma once
// Batches of a data set in host memory, in an order that a seed decides.

#include <cstdint>
#include <iterator>
#include <memory>
#include <span>
#include <vector>

#include <sinter/nn/image_set.h>
#include <sinter/tensor.h>

namespace sinter::nn {

/// Samples (f32) and labels (i32), in host memory.
struct HostBatch {
    std::vector<float> x;         ///< [count, sample shape…], row-major
    std::vector<std::int32_t> y;  ///< [count]
    std::int64_t count = 0;
};

/// The same as tensors on default_device(): x is f32 [count, sample shape…], y is i32 [count].
struct Batch {
    Tensor x, y;
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

/// Goes over a data set in batches. Each walk is an epoch with an order of its own, given by the
/// seed and the epoch's number alone:
///
///     for (const Batch& batch : loader) train(batch.x, batch.y);
class DataLoader {
public:
    /// Images as samples of [1, height, width]. Throws ValueError for a batch below 1 or a set
    /// whose sizes do not agree.
    explicit DataLoader(const ImageSet& images, const LoaderOptions& options = {},
                        PixelScale scale = {}, Where where = Where::current());
    /// Samples of any shape. Throws ValueError where samples, shape and labels do not agree.
    DataLoader(std::vector<float> samples, const Shape& sample_shape,
               std::vector<std::int32_t> labels, const LoaderOptions& options = {},
               Where where = Where::current());

    std::int64_t sample_count() const { return static_cast<std::int64_t>(labels_.size()); }
    /// Batches of one epoch.
    std::int64_t batch_count() const;
    const Shape& sample_shape() const { return sample_shape_; }

    /// Starts epoch `epoch`; the first is 0, and the next follows by itself.
    void start_epoch(std::int64_t epoch);
    std::int64_t epoch() const { return epoch_; }
    /// Puts the next batch of the epoch into `batch`; false at its end, after which the next epoch
    /// begins.
    bool next(HostBatch& batch);

    /// Walks over one epoch; made by begin().
    class Iterator {
    public:
        using value_type = Batch;
        using difference_type = std::ptrdiff_t;
        using iterator_category = std::input_iterator_tag;
        const Batch& operator*() const { return batch_; }
        const Batch* operator->() const { return &batch_; }
        Iterator& operator++();
        friend bool operator==(const Iterator& it, std::default_sentinel_t) { return !it.loader_; }

    private:
        friend class DataLoader;
        explicit Iterator(DataLoader* loader) : loader_(loader) { ++*this; }
        DataLoader* loader_;  // null at the end
        HostBatch host_;
        Batch batch_;
    };
    /// The first batch of the epoch, or of the next one where this one has begun.
    Iterator begin();
    std::default_sentinel_t end() const { return {}; }

private:
    void gather(std::size_t sample, float* out) const;

    std::vector<float> samples_;        // either these
    std::vector<std::uint8_t> pixels_;  // or these, through the table
    std::vector<float> of_pixel_;
    Shape sample_shape_;
    std::size_t sample_size_ = 1;
    std::vector<std::int32_t> labels_;
    LoaderOptions options_;
    std::int64_t epoch_ = -1;
    std::vector<std::uint32_t> order_;
    std::size_t at_ = 0;
};

}  // namespace sinter::nn
