#include "sim/native_check.h"

#include <gtest/gtest.h>

namespace gantry::sim {
namespace {

struct Fixture {
  wire::RunRef run{TaskId::parse("fN1SbArXTPSVFNUvaOlinQ").value(), 0};
  ContainerFacts facts;
  std::string failure;
  Oracle oracle{[](std::string) {}};
  NativeCheck check{facts, oracle, [this](std::string what) { failure = what; }};

  Fixture() {
    facts[run].starts = 1;
    facts[run].produced = {0, 500, 100};
  }
  std::string out(std::int64_t from, std::int64_t bytes) const { return output_bytes(run, 1, from, bytes); }
  std::string err(std::int64_t from, std::int64_t bytes) const { return output_bytes(run, 2, from, bytes); }
};

TEST(NativeCheck, ALogMayBeAsFarAsItIs) {
  Fixture f;
  f.check.check_log(f.run, "");
  f.check.check_log(f.run, f.out(0, 120) + f.err(0, 100) + f.out(120, 30));
  EXPECT_EQ(f.failure, "");
}

TEST(NativeCheck, FindsAGap) {
  Fixture f;
  f.check.check_log(f.run, f.out(0, 120) + f.out(121, 100));
  EXPECT_NE(f.failure.find("a gap or a repetition in stream 1"), std::string::npos) << f.failure;
}

TEST(NativeCheck, FindsARepetition) {
  Fixture f;
  f.check.check_log(f.run, f.err(0, 40) + f.err(30, 40));
  EXPECT_NE(f.failure.find("a gap or a repetition in stream 2"), std::string::npos) << f.failure;
}

TEST(NativeCheck, FindsWhatNobodyWrote) {
  Fixture f;
  f.check.check_log(f.run, f.out(0, 500) + f.out(500, 1));
  EXPECT_NE(f.failure.find("of which there were 500"), std::string::npos) << f.failure;
}

}  // namespace
}  // namespace gantry::sim
