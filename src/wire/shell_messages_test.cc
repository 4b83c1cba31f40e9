#include "wire/shell_messages.h"

#include <gtest/gtest.h>

namespace gantry::wire {
namespace {

std::string bytes(std::initializer_list<int> values) {
  std::string out;
  for (int value : values) out += static_cast<char>(value);
  return out;
}

TEST(ShellMessages, AreTheBytesOfDockerExecWebsocket3) {
  EXPECT_EQ(encode_shell(ShellCode::input, "ls\n"), std::string(1, '\0') + "ls\n");
  EXPECT_EQ(encode_shell(ShellCode::output, "a"),
            "\x01"
            "a");
  EXPECT_EQ(encode_shell(ShellCode::error_output, "b"),
            "\x02"
            "b");
  EXPECT_EQ(encode_shell({.code = ShellCode::resize, .rows = 40, .columns = 300}), bytes({50, 40, 0, 44, 1}));
  EXPECT_EQ(encode_shell(ShellCode::resume), bytes({100}));
  EXPECT_EQ(encode_shell(ShellCode::pause), bytes({101}));
  EXPECT_EQ(encode_shell(ShellCode::end), bytes({102}));
  EXPECT_EQ(encode_shell({.code = ShellCode::stopped, .exit_code = 137}), bytes({200, 137}));
  EXPECT_EQ(encode_shell(ShellCode::shutdown), bytes({201}));
  EXPECT_EQ(encode_shell(ShellCode::error, "why"), bytes({202}) + "why");
}

TEST(ShellMessages, ReadBackAsWritten) {
  for (const ShellMessage& message :
       {ShellMessage{ShellCode::input, std::string(1, '\0')}, ShellMessage{ShellCode::output, ""},
        ShellMessage{.code = ShellCode::resize, .rows = 1, .columns = terminal_side_max},
        ShellMessage{.code = ShellCode::stopped, .exit_code = 255}, ShellMessage{ShellCode::end},
        ShellMessage{ShellCode::error, "no"}}) {
    auto read = decode_shell(encode_shell(message));
    ASSERT_TRUE(read);
    EXPECT_EQ(read.value().code, message.code);
    EXPECT_EQ(read.value().bytes, message.bytes);
    EXPECT_EQ(read.value().rows, message.rows);
    EXPECT_EQ(read.value().columns, message.columns);
    EXPECT_EQ(read.value().exit_code, message.exit_code);
  }
}

TEST(ShellMessages, WhatIsNotOneIsRefused) {
  for (const std::string& bad : {std::string(), bytes({3}), bytes({255, 1}), bytes({50, 1, 0, 1}),
                                 bytes({50, 0, 0, 1, 0}), bytes({200}), bytes({200, 1, 2}), bytes({100, 0})}) {
    auto read = decode_shell(bad);
    ASSERT_FALSE(read) << bad.size();
    EXPECT_EQ(read.error().code(), ErrorCode::invalid_input);
  }
}

}  // namespace
}  // namespace gantry::wire
