#include "agent/run_program.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace gantry::agent {
namespace {

TEST(RunProgram, GivesOutputAndExitCode) {
  ProgramResult result = run_program({"sh", "-c", "echo out; echo err >&2; cat; exit 3"}, seconds(30));
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(result.output, "out\nerr\n");
  EXPECT_EQ(run_program({"sh", "-c", "kill -TERM $$"}, seconds(30)).exit_code, 128 + 15);
}

TEST(RunProgram, ArgumentsAreNoShellsText) {
  EXPECT_EQ(run_program({"echo", "$HOME; *", ""}, seconds(30)).output, "$HOME; * \n");
}

TEST(RunProgram, OutputHasABound) {
  ProgramResult result = run_program({"head", "-c", "3000000", "/dev/zero"}, seconds(30));
  EXPECT_EQ(result.output.size(), program_output_bytes_max);
}

TEST(RunProgram, SaysWhatIsMissing) {
  try {
    run_program({"no-such-program-anywhere"}, seconds(30));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::not_found);
    EXPECT_NE(error.message().find("no-such-program-anywhere"), std::string::npos);
  }
}

TEST(RunProgram, KillsWhatDoesNotEnd) {
  try {
    run_program({"sleep", "3600"}, milliseconds(20));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::deadline_exceeded);
  }
}

}  // namespace
}  // namespace gantry::agent
