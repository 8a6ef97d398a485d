// Every rule with a pattern on the right, at random values of every dtype it takes.
#include <doctest/doctest.h>

#include <algorithm>

#include <sinter/ir/error.h>
#include <sinter/ir/fuzz.h>
#include <sinter/ir/simplify.h>

namespace sinter::ir {

TEST_CASE("every rule whose right side is a pattern is exact") {
    for (const RewriteRules* table : {&algebra(), &index_algebra()}) {
        std::size_t patterns = 0;
        for (const RewriteRule& rule : table->rules()) {
            if (rule.rhs() == nullptr) continue;
            ++patterns;
            std::uint64_t tried = 0;
            CHECK(fuzz_rule(rule, 1 + patterns, 400, &tried) == "");
            INFO(rule.text());
            CHECK(tried >= 100);
        }
        CHECK(patterns >= 2);
    }
}

TEST_CASE("the fuzzer of rules finds identities that are not exact") {
    using namespace pat;
    const Pat x = any(0), y = any(1), z = any(2);
    const RewriteRule wrong[] = {
        {(x + 0).of(kFloats), x},                  // -0 + 0 is 0
        {(x * 0).of(kFloats), 0},                  // nan
        {div(x, x), 1},                            // 0 / 0
        {((x + y) + z).of(kFloats), x + (y + z)},  // rounding
        {idiv(x * y, y), x},                       // wraps, and y = 0
        {logical_not(lt(x.of(kFloats), y)), le(y, x)},
        {cast(i32, cast(i8, x.of(i32))), x},
        {cast(f32, cast(f16, x.of(f32))), x},
    };
    for (const RewriteRule& rule : wrong) {
        INFO(rule.text());
        CHECK(fuzz_rule(rule, 7, 2000) != "");
    }
}

TEST_CASE("every rule knows its own line") {
    for (const RewriteRules* table : {&algebra(), &index_algebra()}) {
        std::vector<std::uint_least32_t> lines;
        for (const RewriteRule& rule : table->rules()) lines.push_back(rule.where().line());
        CHECK(std::is_sorted(lines.begin(), lines.end()));
        CHECK(std::adjacent_find(lines.begin(), lines.end()) == lines.end());
    }
}

TEST_CASE("a rule whose right side cannot be made is refused where it is written") {
    using namespace pat;
    const Pat x = any(0);
    CHECK_THROWS_WITH_AS(RewriteRule(x + 0, Pat::apply(op_set(OpKind::Unary), {x})),
                         doctest::Contains("test_rules.cpp"), InternalError);
}

}  // namespace sinter::ir
