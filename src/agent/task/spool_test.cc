#include "agent/task/spool.h"

#include <csignal>
#include <filesystem>

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "agent/testing/agent_world.h"
#include "base/error.h"

namespace gantry::agent {
namespace {

/// Files of this process cannot grow past `bytes` while it exists.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    rlimit now = before_;
    now.rlim_cur = bytes;
    old_handler_ = ::signal(SIGXFSZ, SIG_IGN);
    ::setrlimit(RLIMIT_FSIZE, &now);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, old_handler_);
  }

 private:
  rlimit before_{};
  void (*old_handler_)(int) = nullptr;
};

TEST(Spool, gives_back_what_was_appended_in_order_and_counts_by_stream) {
  TemporaryDirectory directory;
  Spool spool(directory.file("s"));
  spool.append(0, "header\n");
  spool.append(1, "out");
  spool.append(2, std::string("e\0r", 3));
  EXPECT_EQ(spool.sizes().bytes, 13);
  EXPECT_EQ(spool.sizes().of_stream[1], 3);
  EXPECT_EQ(spool.read(0, 100), std::string("header\noute\0r", 13));
  EXPECT_EQ(spool.read(5, 4), "r\nou");
  EXPECT_EQ(spool.read(9, 100), std::string("te\0r", 4));
  EXPECT_EQ(spool.read(13, 100), "");
  EXPECT_EQ(spool.read(0, 6), "header");  // back to the start
}

TEST(Spool, is_the_same_after_it_is_opened_again) {
  TemporaryDirectory directory;
  {
    Spool spool(directory.file("s"));
    spool.append(1, "one");
    spool.append(2, "two");
  }
  Spool spool(directory.file("s"));
  EXPECT_EQ(spool.sizes().of_stream[1], 3);
  EXPECT_EQ(spool.sizes().of_stream[2], 3);
  spool.append(1, "three");
  EXPECT_EQ(spool.read(0, 100), "onetwothree");
}

TEST(Spool, drops_a_frame_that_was_cut_off_at_any_byte) {
  TemporaryDirectory directory;
  constexpr std::uintmax_t first = 5 + 4;
  constexpr std::uintmax_t second = 5 + 6;
  for (std::uintmax_t left = 0; left < second; ++left) {
    std::string path = directory.file("s" + std::to_string(left));
    {
      Spool spool(path);
      spool.append(1, "kept");
      spool.append(1, "broken");
    }
    std::filesystem::resize_file(path, first + left);
    Spool spool(path);
    EXPECT_EQ(spool.read(0, 100), "kept") << left;
    spool.append(2, "next");
    EXPECT_EQ(spool.read(0, 100), "keptnext") << left;
  }
}

TEST(Spool, takes_nothing_after_a_write_that_failed) {
  TemporaryDirectory directory;
  Spool spool(directory.file("s"));
  spool.append(1, "kept");
  {
    FileSizeLimit limit(100);
    EXPECT_THROW(spool.append(1, std::string(200, 'x')), Error);
  }
  EXPECT_THROW(spool.append(1, "after the gap"), Error);
  EXPECT_EQ(spool.read(0, 100), "kept");
  EXPECT_EQ(spool.sizes().bytes, 4);
}

TEST(Spool, is_open_once_at_a_time) {
  TemporaryDirectory directory;
  auto first = std::make_unique<Spool>(directory.file("s"));
  first->append(1, "one");
  EXPECT_THROW(Spool(directory.file("s")), Error);
  first.reset();
  Spool second(directory.file("s"));
  EXPECT_EQ(second.read(0, 100), "one");
}

TEST(Spool, refuses_a_path_that_cannot_be_opened) { EXPECT_THROW(Spool("/nowhere/at/all"), Error); }

}  // namespace
}  // namespace gantry::agent
