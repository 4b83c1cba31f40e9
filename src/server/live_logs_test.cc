#include "server/live_logs.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "base/testing/fake_env.h"

namespace gantry::server {
namespace {

class LiveLogsTest : public testing::Test {
 protected:
  LiveLogsTest() : directory_(make_directory()), logs_(env_, directory_ + "/logs") {}
  ~LiveLogsTest() override { std::filesystem::remove_all(directory_); }

  void append(std::string bytes) {
    auto offset = static_cast<std::int64_t>(whole_.size());
    whole_ += bytes;
    env_.run(logs_.append(run_, offset, std::move(bytes)));
  }
  /// Follows from `offset` into `text`, until the log ends.
  Async<> follow(std::int64_t offset, std::string& text) {
    auto reader = co_await logs_.read(run_, offset, true);
    for (;;) {
      std::string piece = co_await reader->read_some();
      if (piece.empty()) co_return;
      ++pieces_;
      text += piece;
    }
  }

  FakeEnv env_;
  std::string directory_;
  LiveLogs logs_;
  wire::RunRef run_{TaskId::random(env_), 0};
  std::string whole_;
  int pieces_ = 0;

 private:
  static std::string make_directory() {
    auto pattern = (std::filesystem::temp_directory_path() / "gantry-logs-XXXXXX").string();
    if (!::mkdtemp(pattern.data())) throw std::runtime_error("mkdtemp failed");
    return pattern;
  }
};

TEST_F(LiveLogsTest, EveryReaderHasEveryByteHoweverManyThereAre) {
  constexpr int count = 60;
  std::vector<std::string> texts(count);
  Scope scope(env_.executor(), "readers");
  append("before anybody reads\n");
  for (int i = 0; i < count; ++i) {
    scope.spawn("reader", follow(0, texts[static_cast<std::size_t>(i)]));
    // Pieces beyond what is kept in memory, and small ones; not all readers are there from the start.
    append(std::string(i % 7 == 0 ? 200'000 : 10, static_cast<char>('a' + i % 26)));
    if (i % 5 == 0) env_.advance(milliseconds(100));
  }
  env_.advance(seconds(1));
  for (const auto& text : texts) EXPECT_EQ(text == whole_, true) << text.size() << " of " << whole_.size();
  env_.run(logs_.discard(run_));
  env_.run(scope.join());
}

TEST_F(LiveLogsTest, OneReaderIsToldAtOnceAndManyALittleLater) {
  std::vector<std::string> texts(100);
  Scope scope(env_.executor(), "readers");
  scope.spawn("reader", follow(0, texts[0]));
  env_.settle();
  std::int64_t begin_us = env_.uptime_us();
  append("a");
  env_.settle();
  EXPECT_EQ(texts[0], "a");
  EXPECT_EQ(env_.uptime_us(), begin_us);
  for (std::size_t i = 1; i < texts.size(); ++i) scope.spawn("reader", follow(0, texts[i]));
  env_.settle();
  pieces_ = 0;
  for (int i = 0; i < 10; ++i) append("b");
  env_.settle();
  EXPECT_EQ(pieces_, 0) << "told at once";
  env_.advance(milliseconds(50));
  EXPECT_EQ(pieces_, 100) << "ten pieces are read as one";
  for (const auto& text : texts) EXPECT_EQ(text, whole_);
  env_.run(logs_.discard(run_));
  env_.run(scope.join());
}

}  // namespace
}  // namespace gantry::server
