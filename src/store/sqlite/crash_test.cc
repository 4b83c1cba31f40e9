// kill -9: a child process writes and says which batches were acknowledged; it is killed in the midst of it.
#include <csignal>
#include <cstring>
#include <random>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/sqlite/support_test.h"

extern char** environ;

namespace gantry::store {
namespace {

constexpr std::uint64_t rows = 40;
constexpr std::size_t row_bytes = 900;
constexpr const char* file_variable = "GANTRY_CRASH_TEST_FILE";
constexpr int acknowledgements = 3;  // the child's descriptor for them

/// Not a test: what the child runs. It goes on until it is killed, or its parent is gone.
TEST(SqliteCrash, DISABLED_child) {
  const char* path = std::getenv(file_variable);
  ASSERT_NE(path, nullptr) << "only the test below runs this";
  auto store = open_sqlite(path);
  auto there = whole_batches(*store, rows);
  auto next = there.empty() ? 0 : *there.rbegin() + 1;
  for (auto number = next;; ++number) {
    ASSERT_EQ(write_and_wait(*store, numbered_batch(number, rows, row_bytes)).outcome, Outcome::durable);
    if (::write(acknowledgements, &number, sizeof number) != sizeof number) return;
  }
}

/// Starts the child; returns its id and the end of the pipe from which to read.
std::pair<pid_t, int> start_child(const std::string& path) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2 failed");
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], acknowledgements);
  std::vector<std::string> words = {"child", "--gtest_also_run_disabled_tests",
                                    "--gtest_filter=SqliteCrash.DISABLED_child"};
  std::vector<char*> arguments;
  for (auto& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  auto setting = fmt::format("{}={}", file_variable, path);
  std::vector<char*> environment = {setting.data()};
  for (char** variable = environ; *variable; ++variable) {
    if (!std::string_view(*variable).starts_with("GTEST_")) environment.push_back(*variable);
  }
  environment.push_back(nullptr);
  pid_t child = 0;
  int code = ::posix_spawn(&child, "/proc/self/exe", &actions, nullptr, arguments.data(), environment.data());
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  if (code != 0) throw std::runtime_error("posix_spawn failed");
  return {child, ends[0]};
}

TEST(SqliteCrash, acknowledged_batches_survive_kill_9) {
  TemporaryDirectory directory;
  std::mt19937 random(7);
  std::set<std::uint64_t> acknowledged;
  constexpr int rounds = 8;
  for (int round = 0; round < rounds; ++round) {
    auto [child, from_child] = start_child(directory.file());
    // The child goes on writing while this counts, so the kill meets it anywhere in a batch.
    int until_kill = 1 + static_cast<int>(random() % 120);
    std::uint64_t number = 0;
    int seen = 0;
    while (::read(from_child, &number, sizeof number) == sizeof number) {
      acknowledged.insert(number);
      if (++seen == until_kill) ::kill(child, SIGKILL);
    }
    ::close(from_child);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << "the child ended by itself";
    auto found = whole_batches(*open_sqlite(directory.file(), {.check = true}), rows);
    for (auto expected : acknowledged) EXPECT_TRUE(found.contains(expected)) << "lost batch " << expected;
    EXPECT_LE(found.size(), acknowledged.size() + static_cast<std::size_t>(round) + 1)
        << "at most the one in flight is there without having been acknowledged";
  }
  EXPECT_GT(acknowledged.size(), std::size_t(rounds));
}

}  // namespace
}  // namespace gantry::store
