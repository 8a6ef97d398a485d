#include <sinter/nn/digits.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "random_bits.h"

namespace sinter::nn {

namespace {

constexpr int kSize = 28;

struct Point {
    double x, y;
};

// A pen stroke: a smooth curve through control points (Catmull-Rom), in a box of 0..1 with y
// downwards.
struct Stroke {
    std::array<Point, 8> points;
    int count;
};

// How a digit is written; some are written in two ways.
struct Glyph {
    int digit;
    std::array<Stroke, 3> strokes;
    int count;
};

constexpr std::array kGlyphs = {
    Glyph{
        0,
        {Stroke{
            {{{.52, .05}, {.18, .25}, {.15, .65}, {.45, .95}, {.80, .75}, {.84, .30}, {.52, .05}}},
            7}},
        1},
    Glyph{1, {Stroke{{{{.30, .25}, {.55, .05}, {.55, .50}, {.55, .95}}}, 4}}, 1},
    Glyph{1, {Stroke{{{{.58, .05}, {.50, .50}, {.44, .95}}}, 3}}, 1},
    Glyph{2,
          {Stroke{{{{.18, .28}, {.45, .05}, {.78, .25}, {.60, .55}, {.20, .92}}}, 5},
           Stroke{{{{.20, .92}, {.50, .90}, {.85, .93}}}, 3}},
          2},
    Glyph{
        2,
        {Stroke{
            {{{.20, .22}, {.55, .05}, {.76, .30}, {.40, .75}, {.15, .90}, {.35, .78}, {.85, .95}}},
            7}},
        1},
    Glyph{3,
          {Stroke{{{{.20, .15}, {.55, .05}, {.76, .25}, {.45, .46}}}, 4},
           Stroke{{{{.45, .46}, {.82, .68}, {.55, .95}, {.16, .85}}}, 4}},
          2},
    Glyph{4,
          {Stroke{{{{.60, .05}, {.38, .35}, {.14, .62}, {.50, .63}, {.88, .60}}}, 5},
           Stroke{{{{.64, .35}, {.62, .65}, {.60, .97}}}, 3}},
          2},
    Glyph{4,
          {Stroke{{{{.22, .08}, {.20, .45}, {.45, .52}, {.78, .45}}}, 4},
           Stroke{{{{.76, .06}, {.74, .50}, {.68, .96}}}, 3}},
          2},
    Glyph{5,
          {Stroke{{{{.78, .07}, {.50, .07}, {.28, .09}}}, 3},
           Stroke{{{{.28, .09}, {.25, .28}, {.22, .45}}}, 3},
           Stroke{{{{.22, .45}, {.60, .40}, {.82, .66}, {.55, .94}, {.16, .88}}}, 5}},
          3},
    Glyph{
        6,
        {Stroke{
            {{{.68, .05}, {.34, .32}, {.20, .70}, {.48, .95}, {.78, .74}, {.55, .52}, {.24, .66}}},
            7}},
        1},
    Glyph{7,
          {Stroke{{{{.16, .10}, {.50, .09}, {.82, .08}}}, 3},
           Stroke{{{{.82, .08}, {.58, .45}, {.40, .95}}}, 3}},
          2},
    Glyph{7,
          {Stroke{{{{.16, .12}, {.50, .10}, {.80, .08}}}, 3},
           Stroke{{{{.80, .08}, {.60, .45}, {.42, .95}}}, 3},
           Stroke{{{{.36, .50}, {.55, .49}, {.74, .48}}}, 3}},
          3},
    Glyph{8,
          {Stroke{{{{.72, .16},
                    {.42, .05},
                    {.26, .26},
                    {.50, .47},
                    {.80, .72},
                    {.50, .95},
                    {.20, .76},
                    {.46, .50}}},
                  8},
           Stroke{{{{.46, .50}, {.70, .34}, {.72, .16}}}, 3}},
          2},
    Glyph{9,
          {Stroke{{{{.76, .26}, {.48, .05}, {.22, .28}, {.48, .50}, {.76, .26}}}, 5},
           Stroke{{{{.76, .26}, {.74, .60}, {.62, .96}}}, 3}},
          2},
};

Point catmull_rom(Point a, Point b, Point c, Point d, double t) {
    const auto at = [t](double p, double q, double r, double s) {
        return .5 * (2 * q + (r - p) * t + (2 * p - 5 * q + 4 * r - s) * t * t +
                     (3 * q - p - 3 * r + s) * t * t * t);
    };
    return {at(a.x, b.x, c.x, d.x), at(a.y, b.y, c.y, d.y)};
}

// Where points of the glyph's box come to lie on the image: an affine map, then a smooth warp by a
// few long waves (in the spirit of Simard, Steinkraus, Platt: Best Practices for Convolutional
// Neural Networks, 2003).
class Distortion {
public:
    explicit Distortion(RandomBits& random) {
        const double turn = random.uniform(-.25, .25), shear = random.uniform(-.3, .3);
        const double wide = random.uniform(13, 18), high = random.uniform(17, 22);
        xx_ = wide * std::cos(turn);
        xy_ = high * (shear * std::cos(turn) - std::sin(turn));
        yx_ = wide * std::sin(turn);
        yy_ = high * (shear * std::sin(turn) + std::cos(turn));
        x_ = kSize / 2. + random.uniform(-2, 2);
        y_ = kSize / 2. + random.uniform(-2, 2);
        for (Wave& wave : waves_) {
            const double direction = random.uniform(0, 2 * std::numbers::pi);
            const double frequency = 2 * std::numbers::pi / random.uniform(14, 36);
            wave = {frequency * std::cos(direction), frequency * std::sin(direction),
                    random.uniform(0, 2 * std::numbers::pi), .6 * random.normal(),
                    .6 * random.normal()};
        }
    }
    Point operator()(Point p) const {
        const double u = p.x - .5, v = p.y - .5;
        const double x = x_ + xx_ * u + xy_ * v, y = y_ + yx_ * u + yy_ * v;
        Point moved{x, y};
        for (const Wave& wave : waves_) {
            const double s = std::sin(wave.kx * x + wave.ky * y + wave.phase);
            moved.x += wave.dx * s;
            moved.y += wave.dy * s;
        }
        return moved;
    }

private:
    struct Wave {
        double kx, ky, phase, dx, dy;
    };
    double xx_, xy_, yx_, yy_, x_, y_;
    std::array<Wave, 3> waves_;
};

using Canvas = std::array<double, kSize * kSize>;

// Ink where a round pen of radius `radius` passes from a to b, with soft edges.
void draw_line(Canvas& canvas, Point a, Point b, double radius, double ink) {
    const double reach = radius + 1;
    const int left = std::max(0, static_cast<int>(std::floor(std::min(a.x, b.x) - reach)));
    const int right = std::min(kSize - 1, static_cast<int>(std::ceil(std::max(a.x, b.x) + reach)));
    const int top = std::max(0, static_cast<int>(std::floor(std::min(a.y, b.y) - reach)));
    const int bottom = std::min(kSize - 1, static_cast<int>(std::ceil(std::max(a.y, b.y) + reach)));
    const double dx = b.x - a.x, dy = b.y - a.y, length2 = std::max(dx * dx + dy * dy, 1e-12);
    for (int y = top; y <= bottom; ++y) {
        for (int x = left; x <= right; ++x) {
            const double px = x + .5 - a.x, py = y + .5 - a.y;
            const double t = std::clamp((px * dx + py * dy) / length2, 0., 1.);
            const double distance = std::hypot(px - t * dx, py - t * dy);
            const double cover = std::clamp(radius + .5 - distance, 0., 1.);
            double& pixel =
                canvas[static_cast<std::size_t>(y) * kSize + static_cast<std::size_t>(x)];
            pixel = std::max(pixel, ink * cover);
        }
    }
}

void draw_stroke(Canvas& canvas, const Stroke& stroke, const Distortion& distort, double radius,
                 RandomBits& random) {
    constexpr int kSteps = 6;
    std::array<Point, 8> points = stroke.points;
    const auto count = static_cast<std::size_t>(stroke.count);
    for (std::size_t i = 0; i < count; ++i) {
        points[i].x += .03 * random.normal();
        points[i].y += .03 * random.normal();
    }
    const double ink = random.uniform(.75, 1);
    Point from = distort(points[0]);
    for (std::size_t i = 0; i + 1 < count; ++i) {
        const Point& before = points[i == 0 ? 0 : i - 1];
        const Point& after = points[std::min(i + 2, count - 1)];
        for (int step = 1; step <= kSteps; ++step) {
            const Point to = distort(catmull_rom(before, points[i], points[i + 1], after,
                                                 static_cast<double>(step) / kSteps));
            draw_line(canvas, from, to, radius * random.uniform(.85, 1.15), ink);
            from = to;
        }
    }
}

// A 3x3 blur of weights (side, 1, side) in both directions.
void blur(Canvas& canvas, double side) {
    const double total = 1 + 2 * side;
    for (const int stride : {1, kSize}) {
        const Canvas before = canvas;
        for (int i = 0; i < kSize * kSize; ++i) {
            const int along = stride == 1 ? i % kSize : i / kSize;
            const auto at = [&](int k) { return before[static_cast<std::size_t>(k)]; };
            double sum = at(i);
            if (along > 0) sum += side * at(i - stride);
            if (along + 1 < kSize) sum += side * at(i + stride);
            canvas[static_cast<std::size_t>(i)] = sum / total;
        }
    }
}

void draw_digit(const Glyph& glyph, RandomBits& random, std::uint8_t* pixels) {
    Canvas canvas{};
    const Distortion distort(random);
    const double radius = random.uniform(.8, 1.8);
    for (int i = 0; i < glyph.count; ++i) {
        draw_stroke(canvas, glyph.strokes[static_cast<std::size_t>(i)], distort, radius, random);
    }
    for (std::uint64_t specks = random.below(3); specks > 0; --specks) {
        const Point at{random.uniform(0, kSize), random.uniform(0, kSize)};
        const Point end{at.x + 1.5 * random.normal(), at.y + 1.5 * random.normal()};
        draw_line(canvas, at, end, random.uniform(.3, .7), random.uniform(.3, .9));
    }
    blur(canvas, random.uniform(0, .35));
    const double grain = random.uniform(.02, .10);
    for (std::size_t i = 0; i < canvas.size(); ++i) {
        const double ink = std::clamp(canvas[i] + grain * random.normal(), 0., 1.);
        pixels[i] = static_cast<std::uint8_t>(std::lround(255 * ink));
    }
}

}  // namespace

ImageSet make_digits(std::int64_t count, std::uint64_t seed) {
    ImageSet set{count, kSize, kSize, {}, {}};
    set.pixels.resize(static_cast<std::size_t>(count) * kSize * kSize);
    set.labels.resize(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < set.labels.size(); ++i) {
        RandomBits random(seed, i);
        const int digit = static_cast<int>(random.below(10));
        std::array<const Glyph*, kGlyphs.size()> ways{};
        std::size_t n = 0;
        for (const Glyph& glyph : kGlyphs) {
            if (glyph.digit == digit) ways[n++] = &glyph;
        }
        set.labels[i] = static_cast<std::uint8_t>(digit);
        draw_digit(*ways[random.below(n)], random, set.pixels.data() + i * kSize * kSize);
    }
    return set;
}

}  // namespace sinter::nn
