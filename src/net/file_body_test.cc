#include "net/file_body.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <stdlib.h>

#include "base/testing/fake_env.h"

namespace gantry::net {
namespace {

class FileBodyTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/gantry-file-body-XXXXXX";
    ASSERT_TRUE(::mkdtemp(name));
    directory_ = name;
    path_ = directory_ + "/file";
    for (int i = 0; text_.size() < 700'000; ++i) text_ += std::to_string(i) + " ";
    std::ofstream(path_) << text_;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string read(std::int64_t offset, std::int64_t bytes) {
    auto file = open_to_read(path_);
    EXPECT_TRUE(file);
    auto body = file_body(env_, file, offset, bytes, "a file");
    return env_.run(read_all(*body, 1 << 20));
  }

  FakeEnv env_;
  std::string directory_;
  std::string path_;
  std::string text_;
};

TEST_F(FileBodyTest, ReadsWhatIsAskedFor) {
  auto bytes = static_cast<std::int64_t>(text_.size());
  EXPECT_EQ(read(0, bytes), text_);
  EXPECT_EQ(read(262'140, 10), text_.substr(262'140, 10));
  EXPECT_EQ(read(bytes - 1, 1), text_.substr(text_.size() - 1));
  EXPECT_EQ(read(5, 0), "");
}

TEST_F(FileBodyTest, AFileThatIsTooShortIsAnError) {
  try {
    read(0, static_cast<std::int64_t>(text_.size()) + 1);
    FAIL() << "read on";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::corrupt);
    EXPECT_EQ(error.message(), "a file is shorter than it should be");
  }
}

TEST_F(FileBodyTest, ABodyThatIsGivenUpWhileItReadsLeavesNothing) {
  auto file = open_to_read(path_);
  std::weak_ptr<Descriptor> seen = file;
  {
    auto body = file_body(env_, std::move(file), 0, 500'000, "a file");
    env_.run(body->read_some());
  }
  env_.advance(seconds(1));
  EXPECT_TRUE(seen.expired());
}

TEST_F(FileBodyTest, WhatIsNotThereIsNotOpened) { EXPECT_FALSE(open_to_read(directory_ + "/none")); }

}  // namespace
}  // namespace gantry::net
