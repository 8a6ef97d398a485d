#include <doctest/doctest.h>

#include <sinter/ir/env.h>
#include <sinter/ir/error.h>

namespace sinter::ir {

TEST_CASE("an override of an environment variable lasts as long as its scope, and nests") {
    const bool before = env::flag("SPEC");
    {
        const env::Override on("SPEC", "1");
        CHECK(env::flag("SPEC"));
        {
            const env::Override off("SPEC", "0");
            CHECK_FALSE(env::flag("SPEC"));
        }
        CHECK(env::flag("SPEC"));
    }
    CHECK(env::flag("SPEC") == before);

    const env::Override debug("DEBUG", "4");
    CHECK(env::debug() == 4);
    const env::Override folder("SINTER_CACHE_DIR", "/nowhere");
    CHECK(env::text("SINTER_CACHE_DIR") == "/nowhere");
}

TEST_CASE("a variable that is no number is an error that names it") {
    CHECK_THROWS_WITH_AS(env::Override("SINTER_THREADS", "many"),
                         doctest::Contains("SINTER_THREADS=many: not a whole number"), ValueError);
    CHECK_THROWS_AS(env::Override("DEBUG", "2x"), ValueError);
    CHECK_THROWS_AS(env::Override("DEBUG", ""), ValueError);
}

TEST_CASE("every environment variable has a sentence") {
    for (const env::EnvVar& var : env::kEnvVars) {
        CAPTURE(std::string(var.name));
        CHECK_FALSE(var.name.empty());
        CHECK(var.doc.ends_with("."));
    }
}

}  // namespace sinter::ir
