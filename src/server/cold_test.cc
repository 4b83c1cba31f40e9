#include "server/cold.h"

#include <cstring>

#include <gtest/gtest.h>

namespace gantry::server {
namespace {

TaskId id_of(std::uint64_t first, std::uint64_t second) {
  std::array<std::uint8_t, 16> bytes;
  std::memcpy(bytes.data(), &first, 8);
  std::memcpy(bytes.data() + 8, &second, 8);
  return TaskId::from_bytes(bytes);
}

/// Another id with the same fingerprint: (a, b) and (a ^ b * k ^ c * k, c).
TaskId twin_of(std::uint64_t first, std::uint64_t second, std::uint64_t other) {
  constexpr std::uint64_t k = 0x9E3779B97F4A7C15ull;
  return id_of(first ^ (second * k) ^ (other * k), other);
}

using Sequences = std::vector<std::uint64_t>;

TEST(KnownTasks, ATaskIsFoundBySequenceUntilItIsRemoved) {
  KnownTasks known;
  TaskId id = id_of(1, 2);
  EXPECT_FALSE(known.may_know(id));
  EXPECT_EQ(known.sequences(id), Sequences());
  known.add(id, 7);
  known.add(id, 7);
  EXPECT_TRUE(known.may_know(id));
  EXPECT_EQ(known.sequences(id), Sequences({7}));
  EXPECT_EQ(known.size(), 1u);
  known.remove(id, 8);
  EXPECT_TRUE(known.may_know(id)) << "another record was removed";
  known.remove(id, 7);
  EXPECT_FALSE(known.may_know(id));
  known.remove(id, 7);
}

TEST(KnownTasks, IdsOfOneFingerprintDoNotHideEachOther) {
  KnownTasks known;
  TaskId a = id_of(1, 2);
  TaskId b = twin_of(1, 2, 3);
  TaskId c = twin_of(1, 2, 4);
  ASSERT_EQ(a.hash(), b.hash());
  ASSERT_NE(a, b);
  for (auto [id, sequence] : {std::pair(a, 1ul), std::pair(b, 2ul), std::pair(c, 3ul), std::pair(b, 2ul)}) {
    known.add(id, sequence);
  }
  EXPECT_EQ(known.size(), 3u);
  EXPECT_EQ(known.sequences(b).size(), 3u);
  known.remove(a, 1);
  EXPECT_EQ(known.sequences(b), Sequences({2, 3}));
  known.remove(c, 3);
  EXPECT_EQ(known.sequences(b), Sequences({2}));
  known.remove(b, 2);
  EXPECT_FALSE(known.may_know(b));
}

}  // namespace
}  // namespace gantry::server
